// How far a run is while it goes on: what each thread tells of itself when the control thread asks,
// and the sum. Nothing is counted twice for it: a thread copies its own ledger between two bursts,
// at most once per question, so that packets pay one load and one comparison a burst.
#pragma once

#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <string>
#include <vector>

#include "export/shed_counts.hpp"
#include "io/packet_source.hpp"
#include "pipeline/ledger.hpp"

namespace flowloom {

/// What a pool, table or ring holds, and could hold.
struct Level {
  std::uint64_t used = 0;
  std::uint64_t capacity = 0;
};

/// Everything with a level, in the order of kResourceNames.
enum class Resource : std::uint8_t { Connections, ReorderPages, DescriptorRing, ExportBytes,
                                     MessageRing };
inline constexpr std::array<std::string_view, 5> kResourceNames = {
    "connections", "reorder_pages", "descriptor_ring", "export_bytes", "message_ring"};
using Levels = std::array<Level, kResourceNames.size()>;

/// What one thread tells of itself: sums since the start, levels of now.
struct ThreadReport {
  Ledger ledger;
  SourceStats source;              ///< of the source that it polls
  Levels levels{};                 ///< capacity 0: it has none of these
  ShedCounts shed;                 ///< for which the writers were too slow; not in `ledger`
  std::uint64_t writer_waits = 0;  ///< times it had to wait for the writer
  std::chrono::nanoseconds idle{}; ///< time without packets

  Level& level(Resource r) { return levels[static_cast<std::size_t>(r)]; }
};

/// One thread asks, one answers, neither waits. What is told is written only between a question and
/// its answer, and read only between an answer and the next question.
template <class Report>
class ReportBox {
 public:
  // --- who asks
  void ask() { asked_.store(++questions_, std::memory_order_release); }
  [[nodiscard]] bool answered() const {
    return told_.load(std::memory_order_acquire) == questions_;
  }
  /// Preconditions: answered().
  [[nodiscard]] const Report& report() const { return report_; }

  // --- who answers
  [[nodiscard]] bool wanted() const { return asked_.load(std::memory_order_acquire) != answers_; }
  /// Preconditions: wanted(), and nothing was asked since.
  void tell(const Report& report) {
    answers_ = asked_.load(std::memory_order_relaxed);
    report_ = report;
    told_.store(answers_, std::memory_order_release);
  }

 private:
  alignas(64) std::atomic<std::uint64_t> asked_{0};
  std::uint64_t questions_ = 0;  ///< of the asker
  alignas(64) std::atomic<std::uint64_t> told_{0};
  std::uint64_t answers_ = 0;  ///< of the teller
  Report report_;
};

/// How long a thread had nothing to do. Reads the clock only when that begins and ends.
class IdleMeter {
 public:
  void idle() {
    if (!idle_) begin();
  }
  void busy() {
    if (idle_) end();
  }
  [[nodiscard]] std::chrono::nanoseconds total() const {
    return idle_ ? total_ + (Clock::now() - since_) : total_;
  }

 private:
  using Clock = std::chrono::steady_clock;
  void begin() {
    idle_ = true;
    since_ = Clock::now();
  }
  void end() {
    idle_ = false;
    total_ += Clock::now() - since_;
  }
  bool idle_ = false;
  Clock::time_point since_;
  std::chrono::nanoseconds total_{};
};

/// The last answer of a thread.
struct ThreadStatus {
  std::string name;  ///< "rx0", "worker3"
  ThreadReport report;
  std::chrono::steady_clock::time_point answered;  ///< when it was last seen alive
};

/// Whether packets may still come.
enum class InputState : std::uint8_t { Open, Over };

/// The last answers of all threads, and their sums.
struct RunStatus {
  std::vector<ThreadStatus> threads;
  InputState input = InputState::Open;  ///< of all sources together
  Ledger ledger;
  SourceStats source;
  ShedCounts shed;
};

}  // namespace flowloom
