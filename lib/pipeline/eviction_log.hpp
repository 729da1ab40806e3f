// What is to be told of unconfirmed connections that were evicted: gathered for about a second.
#pragma once

#include "base/hash.hpp"
#include "base/time.hpp"
#include "base/timer_wheel.hpp"
#include "net/ip_address.hpp"
#include "stream/eviction.hpp"

namespace flowloom {

/// The addresses of one that was evicted: who was heard, and the other.
inline void add_addresses(EvictionSummary& summary, const IpAddress& sender,
                          const IpAddress& receiver) {
  // A fixed key: what is estimated of a capture does not change from run to run.
  static constexpr HashSeed kKey;
  const auto hash = [](const IpAddress& address) {
    return mix(address.first_word() ^ kKey.a, address.last_word() ^ kKey.b);
  };
  summary.senders.add(hash(sender));
  summary.receivers.add(hash(receiver));
}

class EvictionLog {
 public:
  static constexpr std::chrono::seconds kInterval{1};

  /// Where the connection goes that is evicted at `clock`. Preconditions: clocks do not decrease;
  /// what was due before `clock` was taken.
  EvictionSummary& at(Timestamp clock) {
    if (due_ == kTimeMax) due_ = due_time(clock);
    return summary_;
  }
  [[nodiscard]] bool is_due(Timestamp clock) const { return due_ <= clock && !is_empty(); }
  [[nodiscard]] bool is_empty() const { return summary_.packets == 0; }
  [[nodiscard]] Timestamp due() const { return due_; }
  EvictionSummary take() {
    const EvictionSummary summary = summary_;
    summary_ = EvictionSummary{};
    due_ = kTimeMax;
    return summary;
  }

  /// The end of the second that `clock` is in, at the border of a tick.
  static Timestamp due_time(Timestamp clock) {
    using std::chrono::seconds;
    const Timestamp second{std::chrono::floor<seconds>(clock.time_since_epoch())};
    return TimerWheel::border(saturating_add(second, kInterval));
  }

 private:
  EvictionSummary summary_;
  Timestamp due_{kTimeMax};
};

}  // namespace flowloom
