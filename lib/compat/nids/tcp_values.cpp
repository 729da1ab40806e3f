#include "compat/nids/tcp_values.hpp"

#include "base/bytes.hpp"
#include "net/tcp_header.hpp"

namespace flowloom::nids {

namespace {

constexpr std::uint8_t kEnd = 0;
constexpr std::uint8_t kNoOperation = 1;
constexpr std::uint8_t kWindowScale = 3;
constexpr std::uint8_t kTimestamps = 8;
constexpr std::uint32_t kWindowScaleBytes = 3;
constexpr std::uint32_t kTimestampsBytes = 10;

/// Calls `found` with the value of every option of `kind`. The search ends where such an option
/// would not fit any more.
template <class Function>
void each_option(const std::uint8_t* tcp, std::uint32_t header_bytes, std::uint8_t kind,
                 std::uint32_t option_bytes, Function&& found) {
  const std::uint8_t* const options = tcp + kTcpMinHeaderBytes;
  for (std::uint32_t at = kTcpMinHeaderBytes; at + option_bytes <= header_bytes;) {
    const std::uint8_t* const option = options + (at - kTcpMinHeaderBytes);
    if (option[0] == kEnd) return;
    if (option[0] == kNoOperation) {
      ++at;
      continue;
    }
    if (option[0] == kind) found(option + 2);
    if (option[1] < 2) return;
    at += option[1];
  }
}

}  // namespace

std::optional<std::uint32_t> find_timestamp(const std::uint8_t* tcp, std::uint32_t header_bytes) {
  std::optional<std::uint32_t> value;
  each_option(tcp, header_bytes, kTimestamps, kTimestampsBytes,
              [&](const std::uint8_t* at) { value = load_be32(at); });
  return value;
}

std::optional<std::uint32_t> window_scale_of(const std::uint8_t* tcp, std::uint32_t header_bytes) {
  constexpr std::uint32_t kShiftMax = 14;
  std::optional<std::uint32_t> value;
  each_option(tcp, header_bytes, kWindowScale, kWindowScaleBytes, [&](const std::uint8_t* at) {
    value = std::uint32_t{1} << (*at < kShiftMax ? *at : kShiftMax);
  });
  return value;
}

}  // namespace flowloom::nids
