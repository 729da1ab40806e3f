// What tests of the engine start it with: a worker that comes late, sources that call back or tell
// the time, a writer that counts, and small tables.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "io/packet_source.hpp"
#include "runtime/engine.hpp"

namespace flowloom::test {

/// Starts the worker of this index late: the others run ahead as far as there is room.
class LateLauncher final : public Launcher {
 public:
  LateLauncher(unsigned late, std::chrono::milliseconds delay) : late_(late), delay_(delay) {}
  void launch(Role role, unsigned index, std::function<void()> body) override {
    const bool late = role == Role::Worker && index == late_;
    threads_.launch(role, index, [this, late, body = std::move(body)] {
      if (late) std::this_thread::sleep_for(delay_);
      body();
    });
  }
  void join() override { threads_.join(); }

 private:
  unsigned late_;
  std::chrono::milliseconds delay_;
  ThreadLauncher threads_;
};

/// Another source that calls back at one of its packets.
class TappedSource final : public PacketSource {
 public:
  TappedSource(PacketSource& source, std::uint64_t at, std::function<void()> call)
      : source_(source), at_(at), call_(std::move(call)) {}
  SourceState receive(Burst& burst) override {
    const SourceState state = source_.receive(burst);
    if (burst.size > 0 && burst.packets[0].number >= at_ && call_) std::exchange(call_, {})();
    return state;
  }
  void release(Burst& burst) override { source_.release(burst); }
  [[nodiscard]] SourceStats stats() const override { return source_.stats(); }

 private:
  PacketSource& source_;
  std::uint64_t at_;
  std::function<void()> call_;
};

/// Tells the time for ever after its packets, until it is told to end.
class QuietSource final : public PacketSource {
 public:
  QuietSource(PacketSource& inner, Timestamp from) : inner_(inner), clock_(from) {}
  SourceState receive(Burst& burst) override {
    const SourceState state = inner_.receive(burst);
    if (state == SourceState::Packets) return state;
    return over_.load() ? SourceState::End : SourceState::Idle;
  }
  std::optional<Timestamp> idle_clock() override { return clock_ += std::chrono::milliseconds{50}; }
  void release(Burst& burst) override { inner_.release(burst); }
  [[nodiscard]] SourceStats stats() const override { return inner_.stats(); }
  void end() { over_.store(true); }

 private:
  PacketSource& inner_;
  Timestamp clock_;
  std::atomic<bool> over_{false};
};

/// Calls back when so many connections have closed.
class CountingWriter final : public MessageWriter {
 public:
  CountingWriter(MessageWriter& inner, std::size_t closes, std::function<void()> call)
      : inner_(inner), left_(closes), call_(std::move(call)) {}
  void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) override {
    for (const StreamMessage* message : messages) {
      if (message->kind == StreamMessage::Kind::Close && --left_ == 0) call_();
    }
    inner_.write(messages, inlet);
  }
  void idle() override { inner_.idle(); }
  void finish() override { inner_.finish(); }

 private:
  MessageWriter& inner_;
  std::size_t left_;
  std::function<void()> call_;
};

inline EngineSettings engine_settings(std::uint32_t max_flows, unsigned workers,
                                      std::uint32_t burst) {
  EngineSettings s;
  s.shard.max_flows = max_flows;
  s.shard.reorder_bytes = std::uint64_t{64} << 20;
  s.workers = workers;
  s.burst = burst;
  s.export_memory = std::uint64_t{64} << 20;
  return s;
}

}  // namespace flowloom::test
