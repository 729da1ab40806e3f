// See ids.hpp, which documents the bytes that go into the uid: they must never change.
#include "sinks/ids.hpp"

#include <algorithm>

namespace flowloom {
namespace {

constexpr std::size_t kDigitsPerWord = 9;  // 62^9 < 2^54: a word's bias is below one in 1000
constexpr std::uint64_t kBase = 62;

/// Bytes in network order, in place. The longest input is a uid's: see static_assert below.
class WireBytes {
 public:
  template <class Integer>
  void put(Integer value) {
    for (std::size_t shift = 8 * sizeof value; shift > 0; shift -= 8) {
      bytes_[size_++] = static_cast<std::uint8_t>(value >> (shift - 8));
    }
  }
  void put(ByteView view) {
    std::copy(view.begin(), view.end(), bytes_.begin() + static_cast<std::ptrdiff_t>(size_));
    size_ += view.size();
  }
  [[nodiscard]] ByteView view() const { return {bytes_.data(), size_}; }

  static constexpr std::size_t kCapacity = 160;

 private:
  std::array<std::uint8_t, kCapacity> bytes_;
  std::size_t size_ = 0;
};
static_assert(4 + kMaxEncapsulationLayers * 5 + 1 + 2 * 18 + 8 + 4 + 4 <= WireBytes::kCapacity);

void push_base62(Uid& out, std::uint64_t word) {
  constexpr std::string_view kDigits =
      "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
  for (std::size_t i = 0; i < kDigitsPerWord; ++i, word /= kBase) out.push(kDigits[word % kBase]);
}

struct SortedEndpoints {
  const Endpoint& lower;
  const Endpoint& upper;
};

SortedEndpoints sorted_endpoints(const ConnectionRecord& record) {
  const Endpoint& a = record.sides[0].endpoint;
  const Endpoint& b = record.sides[1].endpoint;
  return b < a ? SortedEndpoints{b, a} : SortedEndpoints{a, b};
}

}  // namespace

Uid IdMaker::uid(const ConnectionRecord& record) {
  WireBytes bytes;
  const auto layers = std::min<std::uint32_t>(record.encapsulation.count, kMaxEncapsulationLayers);
  bytes.put(layers);
  for (std::uint32_t i = 0; i < layers; ++i) {
    bytes.put(static_cast<std::uint8_t>(record.encapsulation.layers[i].kind));
    bytes.put(record.encapsulation.layers[i].id);
  }
  bytes.put(static_cast<std::uint8_t>(record.ipv6 ? 6 : 4));
  const auto [lower, upper] = sorted_endpoints(record);
  for (const Endpoint* endpoint : {&lower, &upper}) {
    bytes.put(ByteView(endpoint->address.bytes));
    bytes.put(endpoint->port);
  }
  bytes.put(static_cast<std::uint64_t>(to_nanoseconds(record.start)));
  bytes.put(record.first_sequence.value());
  bytes.put(record.reuse);

  sha256_.start();
  sha256_.update(bytes.view());
  const ByteView hash = sha256_.finish();
  Uid out;
  out.push('C');
  push_base62(out, load_be64(hash.data()));
  push_base62(out, load_be64(hash.data() + 8));
  return out;
}

CommunityId IdMaker::community_id(const ConnectionRecord& record) {
  constexpr std::uint16_t kSeed = 0;
  constexpr std::uint8_t kTcp = 6;
  constexpr std::uint8_t kPadding = 0;
  const auto [lower, upper] = sorted_endpoints(record);
  const auto address = [&](const Endpoint& endpoint) {
    const ByteView all(endpoint.address.bytes);
    return record.ipv6 ? all : all.last(4);
  };
  WireBytes bytes;
  bytes.put(kSeed);
  bytes.put(address(lower));
  bytes.put(address(upper));
  bytes.put(kTcp);
  bytes.put(kPadding);
  bytes.put(lower.port);
  bytes.put(upper.port);

  sha1_.start();
  sha1_.update(bytes.view());
  const ByteView hash = sha1_.finish();
  std::array<unsigned char, 32> base64;
  const int length = EVP_EncodeBlock(base64.data(), hash.data(), static_cast<int>(hash.size()));
  CommunityId out;
  out.push("1:");
  out.push({reinterpret_cast<const char*>(base64.data()), static_cast<std::size_t>(length)});
  return out;
}

}  // namespace flowloom
