// Message digests by OpenSSL: an algorithm is fetched once, a context serves many messages.
// Fetching it again for every message costs more than hashing a small stream.
#pragma once

#include "base/bytes.hpp"

#include <openssl/evp.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>

namespace flowloom {

/// SHA-1 only where a published format asks for it (Community ID).
enum class DigestAlgorithm : std::uint8_t { Sha1, Sha256 };

inline constexpr std::size_t kSha1Bytes = 20;
inline constexpr std::size_t kSha256Bytes = 32;

class Digest {
 public:
  explicit Digest(DigestAlgorithm algorithm);
  void start();
  void update(ByteView bytes);
  /// The digest, kSha1Bytes or kSha256Bytes long; start() comes before the next message.
  [[nodiscard]] ByteView finish();

 private:
  struct FreeContext {
    void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
  };
  std::unique_ptr<EVP_MD_CTX, FreeContext> context_;
  std::array<std::uint8_t, kSha256Bytes> value_{};
};

/// Lower-case hexadecimal of a SHA-256 digest.
using Sha256Text = std::array<char, 2 * kSha256Bytes>;
Sha256Text format_hex(ByteView sha256);

}  // namespace flowloom
