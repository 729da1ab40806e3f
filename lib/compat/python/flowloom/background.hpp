// An extractor that runs on a thread of its own and hands what it finds over in batches, so that
// the language on the other side is entered once for thousands of packets. Knows no Python.
#pragma once

#include <flowloom/extractor.hpp>

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <exception>
#include <memory>
#include <mutex>
#include <stdexcept>
#include <thread>
#include <utility>
#include <vector>

namespace flowloom::python {

/// What goes wrong when a process forks: threads stay behind.
struct ForkedError final : std::runtime_error {
  ForkedError()
      : std::runtime_error("this object was made before fork(), and its engine stayed in the "
                           "parent: make a new one in the child") {}
};

/// The process that made an object. After fork() the child must not touch the parent's engine.
class HomeProcess {
 public:
  [[nodiscard]] bool left() const { return generation() != made_in_; }
  void check() const {
    if (left()) throw ForkedError();
  }

 private:
  /// Forks between the process that loaded the module and this one. Asked for every object, where
  /// the system call getpid() would be the dearest part.
  static int generation();

  int made_in_ = generation();
};

/// Whether the input may fall silent: an interface, a pipe. What came must not wait then.
enum class Input : std::uint8_t { Files, MayPause };

/// Batches on their way from the engine's thread to the reader's: bounded, so that the engine waits
/// for a slow reader and memory stays bounded. They go in a circle, so that their memory is touched
/// for the first time only once. `Batch` is a unique_ptr.
template <class Batch>
class BatchQueue {
 public:
  enum class Taken : std::uint8_t { Some, Nothing, End };

  /// Returns false when the reader has gone.
  bool push(Batch batch) {
    std::unique_lock lock(mutex_);
    room_.wait(lock, [this] { return batches_.size() < kBatchesMax || closed_; });
    if (closed_) return false;
    batches_.push_back(std::move(batch));
    news_.notify_one();
    return true;
  }

  /// No batch follows; `failure` is what ended it, if anything did.
  void end(std::exception_ptr failure) {
    const std::lock_guard lock(mutex_);
    ended_ = true;
    failure_ = failure;
    news_.notify_all();
  }

  /// Waits for a batch, but not for long. Throws what ended the engine, behind the last batch.
  Taken take(Batch& batch, std::chrono::milliseconds patience) {
    std::unique_lock lock(mutex_);
    news_.wait_for(lock, patience, [this] { return !batches_.empty() || ended_; });
    if (!batches_.empty()) {
      batch = std::move(batches_.front());
      batches_.pop_front();
      room_.notify_one();
      return Taken::Some;
    }
    if (!ended_) return Taken::Nothing;
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    return Taken::End;
  }

  /// The reader is done with a batch: its memory may be filled again.
  void give_back(Batch batch) {
    const std::lock_guard lock(mutex_);
    if (spare_.size() < kBatchesMax) spare_.push_back(std::move(batch));
  }

  /// Memory that was given back, or an empty pointer.
  Batch spare() {
    const std::lock_guard lock(mutex_);
    if (spare_.empty()) return nullptr;
    Batch batch = std::move(spare_.back());
    spare_.pop_back();
    return batch;
  }

  /// The reader goes.
  void close() {
    const std::lock_guard lock(mutex_);
    closed_ = true;
    batches_.clear();
    room_.notify_all();
  }

 private:
  static constexpr std::size_t kBatchesMax = 8;

  std::mutex mutex_;
  std::condition_variable news_;
  std::condition_variable room_;
  std::deque<Batch> batches_;
  std::vector<Batch> spare_;
  std::exception_ptr failure_;
  bool ended_ = false;
  bool closed_ = false;
};

/// The thread. `Maker` is a StreamHandler made with the queue, with a member flush().
template <class Batch, class Maker>
class Background {
 public:
  Background(Extractor extractor, Input input, std::unique_ptr<Maker> maker,
             std::shared_ptr<BatchQueue<Batch>> queue)
      : shared_(std::make_shared<Shared>(Shared{std::move(extractor), std::move(maker), input})),
        queue_(std::move(queue)) {
    thread_ = std::thread([shared = shared_, queue = queue_] { work(*shared, *queue); });
  }
  Background(const Background&) = delete;
  Background& operator=(const Background&) = delete;
  ~Background() {
    if (home_.left()) {
      // The thread exists in the parent only, and locks may be held for ever: forget everything.
      new std::thread(std::move(thread_));
      new std::shared_ptr<Shared>(std::move(shared_));
      new std::shared_ptr<BatchQueue<Batch>>(std::move(queue_));
      return;
    }
    stop();
  }

  BatchQueue<Batch>& queue() {
    home_.check();
    return *queue_;
  }

  /// Ends the input and the thread. What was not taken is dropped.
  void stop() {
    home_.check();
    shared_->extractor.interrupt();
    queue_->close();
    if (thread_.joinable()) thread_.join();
  }

  /// Preconditions: the queue has ended.
  [[nodiscard]] const Extractor& finished_extractor() {
    home_.check();
    if (thread_.joinable()) thread_.join();
    return shared_->extractor;
  }

 private:
  struct Shared {
    Extractor extractor;
    std::unique_ptr<Maker> maker;
    Input input;
  };

  // What came must not wait in a half filled batch for the next packet.
  static void listen(Shared& shared) {
    constexpr std::chrono::milliseconds kPause{1};
    while (!shared.extractor.ended()) {
      if (const ExtractorEvent* event = shared.extractor.poll()) {
        shared.maker->on_event(*event);
      } else {
        shared.maker->flush();
        std::this_thread::sleep_for(kPause);
      }
    }
  }

  static void work(Shared& shared, BatchQueue<Batch>& queue) {
    std::exception_ptr failure;
    try {
      if (shared.input == Input::MayPause) {
        listen(shared);
      } else {
        shared.extractor.run(*shared.maker);
      }
      shared.maker->flush();
    } catch (const ReaderGone&) {
      // Nobody is interested any more.
    } catch (...) {
      failure = std::current_exception();
    }
    queue.end(failure);
  }

 public:
  /// Thrown by a maker when push() says that the reader has gone.
  struct ReaderGone {};

 private:
  HomeProcess home_;
  std::shared_ptr<Shared> shared_;
  std::shared_ptr<BatchQueue<Batch>> queue_;
  std::thread thread_;
};

}  // namespace flowloom::python
