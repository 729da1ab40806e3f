// What a sink keeps of connections that sent more than one message, by the number of their first
// packet. Empty for a capture of short connections.
#pragma once

#include "base/hash.hpp"

#include <cstdint>
#include <random>
#include <unordered_map>

namespace flowloom {

/// The hash is keyed: a sender who decides which packets open connections would otherwise
/// choose the buckets.
class PacketNumberHash {
 public:
  PacketNumberHash() : seed_{draw(), draw()} {}
  std::size_t operator()(std::uint64_t number) const { return mix(number ^ seed_.a, seed_.b); }

 private:
  static std::uint64_t draw() {
    std::random_device device;
    return (std::uint64_t{device()} << 32 | device()) | 1;
  }
  HashSeed seed_;
};

template <class Value>
class ConnectionMap {
 public:
  /// The entry of a connection, made if there is none.
  Value& at(std::uint64_t first_packet) { return map_[first_packet]; }
  Value* find(std::uint64_t first_packet) {
    const auto entry = map_.find(first_packet);
    return entry == map_.end() ? nullptr : &entry->second;
  }
  void erase(std::uint64_t first_packet) { map_.erase(first_packet); }
  [[nodiscard]] std::size_t size() const { return map_.size(); }

 private:
  std::unordered_map<std::uint64_t, Value, PacketNumberHash> map_;
};

}  // namespace flowloom
