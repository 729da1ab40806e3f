// Packets that belong to nothing: each from another invented address, towards the servers of the
// transfers that they are mixed into. No two have the same end points.
#pragma once

#include "perf/gen/content.hpp"
#include "perf/gen/segment.hpp"

#include <cstdint>
#include <string_view>

namespace flowloom::gen {

enum class FloodKind : std::uint8_t {
  None,  ///< the transfers alone, for comparison
  Syn,
  Ack,   ///< ACK without anything
  Push   ///< PSH and ACK with one byte
};

class Flood {
 public:
  struct Packet {
    Identity identity;
    Segment segment;
  };

  Flood(FloodKind kind, Family family, std::uint64_t seed)
      : kind_(kind), family_(family), random_(~seed) {}

  /// `server` is what the packet is sent to.
  Packet next(const Endpoint& server);
  [[nodiscard]] Random& random() { return random_; }

 private:
  FloodKind kind_;
  Family family_;
  Random random_;
  std::uint64_t count_ = 0;
};

}  // namespace flowloom::gen
