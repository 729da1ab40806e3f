// IP fragments on their way to whole datagrams: flowloom's defragmenter, used as libnids uses its
// own, with libnids' warnings.
#pragma once

#include <cstdint>
#include <span>

#include "base/hash.hpp"
#include "base/time.hpp"
#include "compat/nids/rules.hpp"
#include "ip/defragmenter.hpp"

namespace flowloom::nids {

class Fragments {
 public:
  Fragments(const HashSeed& seed, Rules rules);

  /// The whole datagram that this fragment completes, or nothing. The bytes live until the next
  /// call. Preconditions: a good IPv4 header, all of the packet is readable.
  std::span<std::uint8_t> add(const std::uint8_t* ip, Timestamp stamp);

  /// A packet that is whole takes the place of what is in progress with its numbers.
  void forget(const std::uint8_t* ip) {
    if (defragmenter_.open_datagrams() != 0) [[unlikely]]
      forget_open(ip);
  }

 private:
  void forget_open(const std::uint8_t* ip);
  void warn(const Defragmenter::Result& result, const std::uint8_t* ip);
  [[nodiscard]] Timestamp clock_at(Timestamp stamp);

  Rules rules_;
  Defragmenter defragmenter_;
  Timestamp clock_{kTimeMin};
  DatagramRing::Handle shown_ = 0;
  bool is_shown_ = false;
};

}  // namespace flowloom::nids
