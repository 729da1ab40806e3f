#include "runtime/nic_rss.hpp"

#include <array>
#include <cstring>

#include "base/check.hpp"
#include "base/hash.hpp"

namespace flowloom {

namespace {

constexpr std::array<std::uint8_t, 2> kSymmetricPeriod = {0x6d, 0x5a};
constexpr std::size_t kHashBytes = 4;
constexpr std::size_t kV4Bytes = 4;
constexpr std::size_t kV6Bytes = 16;
constexpr std::size_t kInputMax = 2 * kV6Bytes + 4;
constexpr std::uint32_t kSampleFlows = 256;

// Addresses and ports in the order in which NICs take them: both addresses, then both ports.
class RssInput {
 public:
  void append(const IpAddress& address) {
    const std::size_t skipped = address.is_v4() ? kV6Bytes - kV4Bytes : 0;
    for (std::size_t i = skipped; i < kV6Bytes; ++i) append_byte(address.bytes[i]);
  }
  void append(std::uint16_t port) {
    append_byte(static_cast<std::uint8_t>(port >> 8));
    append_byte(static_cast<std::uint8_t>(port));
  }
  [[nodiscard]] ByteView view() const { return {bytes_.data(), size_}; }

 private:
  void append_byte(std::uint8_t byte) { bytes_[size_++] = byte; }

  std::array<std::uint8_t, kInputMax> bytes_{};
  std::size_t size_ = 0;
};

// A sample connection, of IPv4 and IPv6 in turn: every octet takes part, and none is random, so
// that a failure is the same on every start.
Endpoint sample_endpoint(std::uint32_t n, std::uint32_t side) {
  constexpr HashSeed kFixed{};
  const std::uint64_t spread = mix(kFixed.a ^ (n * 2 + side), kFixed.b);
  const std::uint64_t more = mix(kFixed.b ^ spread, kFixed.a);
  Endpoint endpoint;
  std::memcpy(endpoint.address.bytes.data(), &spread, sizeof spread);
  std::memcpy(endpoint.address.bytes.data() + sizeof spread, &more, sizeof more);
  if (n % 2 == 0) endpoint.address = IpAddress::v4(endpoint.address.bytes.data());
  endpoint.port = static_cast<std::uint16_t>(spread ^ more);
  return endpoint;
}

}  // namespace

std::vector<std::uint8_t> symmetric_rss_key(std::size_t bytes) {
  std::vector<std::uint8_t> key(bytes);
  for (std::size_t i = 0; i < bytes; ++i) key[i] = kSymmetricPeriod[i % kSymmetricPeriod.size()];
  return key;
}

std::uint32_t toeplitz_hash(ByteView key, ByteView input) {
  FLOWLOOM_CHECK(key.size() >= input.size() + kHashBytes);
  std::uint32_t hash = 0;
  std::uint32_t window = load_be32(key.data());
  for (std::size_t i = 0; i < input.size(); ++i) {
    for (int bit = 7; bit >= 0; --bit) {
      if (((input[i] >> bit) & 1) != 0) hash ^= window;
      window = window << 1 | (static_cast<std::uint32_t>(key[i + kHashBytes]) >> bit & 1u);
    }
  }
  return hash;
}

std::uint32_t rss_hash(ByteView key, const Endpoint& from, const Endpoint& to) {
  RssInput input;
  input.append(from.address);
  input.append(to.address);
  input.append(from.port);
  input.append(to.port);
  return toeplitz_hash(key, input.view());
}

std::uint32_t rss_hash_addresses(ByteView key, const IpAddress& from, const IpAddress& to) {
  RssInput input;
  input.append(from);
  input.append(to);
  return toeplitz_hash(key, input.view());
}

std::uint16_t rss_queue(std::uint32_t hash, std::span<const std::uint16_t> redirection) {
  FLOWLOOM_CHECK(!redirection.empty());
  return redirection[hash % redirection.size()];
}

std::optional<RssAsymmetry> rss_self_test(ByteView key,
                                          std::span<const std::uint16_t> redirection) {
  for (std::uint32_t n = 0; n < kSampleFlows; ++n) {
    const Endpoint a = sample_endpoint(n, 0);
    const Endpoint b = sample_endpoint(n, 1);
    const std::uint16_t forth = rss_queue(rss_hash(key, a, b), redirection);
    const std::uint16_t back = rss_queue(rss_hash(key, b, a), redirection);
    if (forth != back) return RssAsymmetry{a, b, forth, back};
  }
  return std::nullopt;
}

}  // namespace flowloom
