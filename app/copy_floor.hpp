// The least that copying can take: the payload of the same packets, one memcpy each, into a ring as
// large as what an exporter has on its way.
#pragma once

#include <cstdint>
#include <cstring>
#include <vector>

#include "base/memory.hpp"
#include "export/exporter.hpp"
#include "net/ip.hpp"
#include "net/packet.hpp"

namespace flowloom {

class CopyFloor {
 public:
  explicit CopyFloor(std::size_t packets) : ring_(Exporter::kOnTheWayMax) {
    places_.reserve(packets);
  }

  /// Another series of packets follows.
  void clear() { places_.clear(); }
  /// Where the payload of these packets is. Not to be timed. Preconditions: they are decoded.
  void note(const Burst& burst) {
    for (std::uint32_t i = 0; i < burst.size; ++i) places_.push_back(place_in(burst.packets[i]));
    next_ = 0;
  }
  /// Copies the payload of these packets, which come in the order in which they were noted.
  void copy(const Burst& burst) {
    for (std::uint32_t i = 0; i < burst.size; ++i) {
      const Place place = places_[next_++];
      if (ring_.bytes() - filled_ < place.length) filled_ = 0;
      std::memcpy(ring_.data() + filled_, burst.packets[i].frame + place.offset, place.length);
      filled_ += place.length;
    }
  }

 private:
  struct Place {
    std::uint32_t offset = 0;
    std::uint32_t length = 0;
  };
  /// Of a fragment all that follows its IP header: nobody knows yet what of it is payload.
  static Place place_in(const Packet& packet) {
    if (packet.verdict == Verdict::Fragment) {
      return {packet.tcp_offset, packet.captured - packet.tcp_offset};
    }
    if (packet.verdict != Verdict::Tcp) return {};
    const std::uint32_t end = packet.ip_offset + ip_length_of(packet);
    return {end - packet.payload_length, packet.payload_length};
  }

  ReservedMemory ring_;
  std::size_t filled_ = 0;
  std::vector<Place> places_;
  std::size_t next_ = 0;
};

}  // namespace flowloom
