// What a NIC's receive-side scaling does with a flow, computed in software: the symmetric key,
// the Toeplitz hash, the queue, and the self-test that both directions of a connection meet in
// one queue. Predicts hardware only: with this key the hash has 16 bits of entropy and serves
// for no table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "base/bytes.hpp"
#include "net/five_tuple.hpp"

namespace flowloom {

/// 0x6d5a over the whole key (Woo and Park, 2012): a key of period 16 bits makes the hash
/// indifferent to exchanging source and destination.
std::vector<std::uint8_t> symmetric_rss_key(std::size_t bytes);

/// The Toeplitz hash of `input`. Preconditions: key.size() >= input.size() + 4.
std::uint32_t toeplitz_hash(ByteView key, ByteView input);

/// The hash that a NIC computes over addresses and ports of a TCP packet as it stands on the
/// wire: `from` sent it to `to`. Both are of one IP version.
std::uint32_t rss_hash(ByteView key, const Endpoint& from, const Endpoint& to);

/// The hash over the addresses alone, as of fragments and other protocols.
std::uint32_t rss_hash_addresses(ByteView key, const IpAddress& from, const IpAddress& to);

/// The queue that the redirection table names. Preconditions: the table is not empty.
std::uint16_t rss_queue(std::uint32_t hash, std::span<const std::uint16_t> redirection);

/// Two end points that a NIC with this key and table would tear apart.
struct RssAsymmetry {
  Endpoint a;
  Endpoint b;
  std::uint16_t queue_forth = 0;
  std::uint16_t queue_back = 0;
};

/// Sends sample connections of both IP versions both ways through key and table; the first that
/// does not meet in one queue, or nothing.
std::optional<RssAsymmetry> rss_self_test(ByteView key, std::span<const std::uint16_t> redirection);

}  // namespace flowloom
