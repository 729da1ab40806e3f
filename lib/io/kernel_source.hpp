// Live packets of interfaces of the kernel, one or several, as one input: merged by stamp, since
// the two directions of a tap come in on two interfaces. One thread, one socket for each interface.
#pragma once

#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "io/kernel_socket.hpp"
#include "io/packet_source.hpp"
#include "io/stamp_merge.hpp"
#include "net/packet_clock_rule.hpp"

namespace flowloom {

class KernelSource final : public PacketSource {
 public:
  /// Listens from now on, unless problems() says why not: then there will be no packet.
  /// Preconditions: one interface to kMergeInputsMax of them.
  explicit KernelSource(const std::vector<std::string>& interfaces,
                        const KernelSettings& settings = {});
  ~KernelSource() override;
  KernelSource(const KernelSource&) = delete;
  KernelSource& operator=(const KernelSource&) = delete;

  /// Interfaces that could not be opened, or went away. Preconditions: nobody is in receive().
  [[nodiscard]] std::vector<InputProblem> problems() const;

  SourceState receive(Burst& burst) override;
  std::optional<Timestamp> idle_clock() override;
  void release(Burst& burst) override;
  /// Preconditions: nobody is in receive().
  [[nodiscard]] SourceStats stats() const override;

  /// What the kernel has captured until now is still handed over, then comes the end. From any
  /// thread.
  void stop() { stopping_.store(true, std::memory_order_relaxed); }

 private:
  using Clock = std::chrono::steady_clock;
  struct Input {
    std::unique_ptr<KernelSocket> socket;
    std::uint64_t drain_to = 0;  // frames that the kernel had when the end was asked for
  };

  bool fill(Burst& burst);
  [[nodiscard]] Input* next_input();
  [[nodiscard]] bool is_overdue();
  void look_at(std::size_t input);
  void show_head(std::size_t input);
  void hand_over(Input& input, Burst& burst);
  [[nodiscard]] bool is_over();
  void start_draining();
  [[nodiscard]] bool all_ended() const;

  const KernelSettings settings_;
  std::vector<Input> inputs_;
  std::vector<MergeInput> merge_;  // parallel to inputs_
  std::uint32_t asked_ = 0;        // a bit for each input that was looked at in this call
  std::uint64_t waiting_for_ = 0;  // number of the packet that may not pass yet
  Clock::time_point waiting_since_;
  PacketClockRule rule_;
  std::uint64_t number_ = 0;
  std::uint32_t calls_ = 0;
  std::atomic<bool> stopping_{false};
  bool draining_ = false;
  Timestamp drain_begin_{};
  Clock::time_point begin_;
  Clock::time_point last_packet_;  // while draining
  Clock::time_point last_count_;
  Timestamp last_idle_ = kTimeMin;
};

}  // namespace flowloom
