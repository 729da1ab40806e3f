// Which fragments belong together (RFC 791, 3.2; RFC 8200, 4.5), extended by what the frames were
// wrapped in: the same numbers on two VLANs are two datagrams.
#pragma once

#include <cstdint>
#include <cstring>

#include "base/bytes.hpp"
#include "base/hash.hpp"
#include "net/ip_address.hpp"

namespace flowloom {

struct FragmentKey {
  IpAddress source;
  IpAddress destination;
  std::uint32_t identification;
  std::uint32_t encapsulation;  ///< Packet::encapsulation
  std::uint8_t version;         ///< 4 or 6
  std::uint8_t protocol;        ///< IPv4; 0 for IPv6, whose fragments may differ in it
  std::uint16_t unused;

  friend bool operator==(const FragmentKey& a, const FragmentKey& b) {
    return std::memcmp(&a, &b, sizeof(FragmentKey)) == 0;
  }
};
static_assert(sizeof(FragmentKey) == 44, "compared as bytes: no padding");

/// Keyed: without the seed nobody can choose keys that collide.
inline std::uint64_t hash_of(const FragmentKey& key, const HashSeed& seed) {
  const std::uint8_t* source = key.source.bytes.data();
  const std::uint8_t* destination = key.destination.bytes.data();
  const std::uint64_t numbers = std::uint64_t{key.identification} << 32 | key.encapsulation;
  const std::uint64_t kind = std::uint64_t{key.version} << 8 | key.protocol;
  std::uint64_t h = mix(load_native<std::uint64_t>(source) ^ seed.a,
                        load_native<std::uint64_t>(source + 8) ^ seed.b);
  h = mix(h ^ load_native<std::uint64_t>(destination) ^ seed.b,
          load_native<std::uint64_t>(destination + 8) ^ seed.a);
  return mix(h ^ numbers ^ seed.a, kind ^ seed.b);
}

}  // namespace flowloom
