// When connections of which both sides want to close are given up (nids_params.tcp_workarounds): a
// heap by deadline, so that stamps that jump back cost no more than others.
#pragma once

#include <cstdint>
#include <vector>

#include "compat/nids/stream.hpp"

namespace flowloom::nids {

class StreamTimers {
 public:
  [[nodiscard]] bool empty() const { return heap_.empty(); }

  /// Does nothing where the stream has a deadline already.
  void set(Stream& stream, std::int64_t deadline);
  void clear(Stream& stream);

  /// The stream that is due first, if it is due at `seconds`; else null.
  [[nodiscard]] Stream* due(std::int64_t seconds) const {
    return !heap_.empty() && heap_.front()->deadline <= seconds ? heap_.front() : nullptr;
  }

 private:
  static bool before(const Stream& a, const Stream& b) {
    return a.deadline != b.deadline ? a.deadline < b.deadline : a.deadline_order < b.deadline_order;
  }
  void put(std::size_t place, Stream& stream);
  void sift_up(std::size_t place);
  void sift_down(std::size_t place);

  std::vector<Stream*> heap_;
  std::uint64_t order_ = 0;
};

}  // namespace flowloom::nids
