#include "runtime/flow_owners.hpp"

#include <array>

#include "base/check.hpp"
#include "runtime/nic_rss.hpp"

namespace flowloom {

namespace {

/// The two octets of a sum as they stand on the wire, where memory has them in this order.
std::array<std::uint8_t, 2> wire_bytes(std::size_t sum) {
  const auto native = static_cast<std::uint16_t>(sum);
  std::array<std::uint8_t, 2> bytes;
  std::memcpy(bytes.data(), &native, sizeof native);
  return bytes;
}

}  // namespace

FlowOwners::FlowOwners(unsigned workers, const HashSeed& seed)
    : workers_(workers), owners_(kSums) {
  for (std::size_t sum = 0; sum < kSums; ++sum) {
    const std::uint64_t spread = mix(mix(sum ^ seed.b, seed.a | 1) ^ seed.b, seed.a | 1) >> 48;
    owners_[sum] = static_cast<std::uint16_t>(spread * workers / kSums);
  }
}

FlowOwners::FlowOwners(unsigned workers, ByteView key,
                       std::span<const std::uint16_t> redirection)
    : workers_(workers), owners_(kSums) {
  FLOWLOOM_CHECK(rss_repeats(key));
  for (std::size_t sum = 0; sum < kSums; ++sum) {
    const std::uint16_t queue = rss_queue(toeplitz_hash(key, wire_bytes(sum)), redirection);
    owners_[sum] = static_cast<std::uint16_t>(queue % workers);
  }
}

bool rss_repeats(ByteView key) {
  for (std::size_t i = 2; i < key.size(); ++i) {
    if (key[i] != key[i % 2]) return false;
  }
  return key.size() > 2 * sizeof(std::uint32_t);
}

}  // namespace flowloom
