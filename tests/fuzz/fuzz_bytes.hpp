// What a fuzzer's input is made into: small integers and runs of bytes, taken from the front. An
// input that is used up gives zeros, so that every input means something.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <span>

#include "base/bytes.hpp"

namespace flowloom::fuzz {

class FuzzBytes {
 public:
  FuzzBytes(const std::uint8_t* data, std::size_t size) : rest_(data, size) {}

  [[nodiscard]] bool empty() const { return rest_.empty(); }

  std::uint8_t u8() {
    const ByteView one = take(1);
    return one.empty() ? std::uint8_t{0} : one[0];
  }
  std::uint16_t u16() {
    const std::uint32_t low = u8();
    return static_cast<std::uint16_t>(low | std::uint32_t{u8()} << 8U);
  }
  std::int16_t i16() { return static_cast<std::int16_t>(u16()); }

  /// The next `size` bytes, or what is left of them.
  ByteView take(std::size_t size) {
    const ByteView bytes = rest_.first(std::min(size, rest_.size()));
    rest_ = rest_.subspan(bytes.size());
    return bytes;
  }

 private:
  ByteView rest_;
};

}  // namespace flowloom::fuzz
