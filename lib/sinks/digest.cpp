// See digest.hpp. A failure of OpenSSL here means that there is no memory, or a broken
// installation; never bad input.
#include "sinks/digest.hpp"

#include "base/check.hpp"

#include <new>

namespace flowloom {
namespace {

/// Kept until the process ends: OpenSSL frees its providers at exit, after all of ours.
const EVP_MD* fetched(DigestAlgorithm algorithm) {
  static const EVP_MD* const sha1 = EVP_MD_fetch(nullptr, "SHA1", nullptr);
  static const EVP_MD* const sha256 = EVP_MD_fetch(nullptr, "SHA256", nullptr);
  return algorithm == DigestAlgorithm::Sha1 ? sha1 : sha256;
}

}  // namespace

Digest::Digest(DigestAlgorithm algorithm) : context_(EVP_MD_CTX_new()) {
  if (context_ == nullptr || fetched(algorithm) == nullptr ||
      EVP_DigestInit_ex2(context_.get(), fetched(algorithm), nullptr) != 1) {
    throw std::bad_alloc();
  }
}

void Digest::start() {
  if (EVP_DigestInit_ex2(context_.get(), nullptr, nullptr) != 1) throw std::bad_alloc();
}

void Digest::update(ByteView bytes) {
  FLOWLOOM_CHECK(EVP_DigestUpdate(context_.get(), bytes.data(), bytes.size()) == 1);
}

ByteView Digest::finish() {
  unsigned length = 0;
  FLOWLOOM_CHECK(EVP_DigestFinal_ex(context_.get(), value_.data(), &length) == 1);
  return {value_.data(), length};
}

Sha256Text format_hex(ByteView sha256) {
  FLOWLOOM_CHECK(sha256.size() == kSha256Bytes);
  constexpr std::string_view kDigits = "0123456789abcdef";
  Sha256Text text;
  for (std::size_t i = 0; i < kSha256Bytes; ++i) {
    text[2 * i] = kDigits[sha256[i] >> 4];
    text[2 * i + 1] = kDigits[sha256[i] & 0xf];
  }
  return text;
}

}  // namespace flowloom
