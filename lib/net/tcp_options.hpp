// TCP options (RFC 9293, 3.2; RFC 7323; RFC 2018): what a segment says about window scale,
// timestamps and selective acknowledgement. Values are kept raw; the caller applies the limits.
#pragma once

#include <array>
#include <cstdint>

#include "base/bytes.hpp"
#include "net/seq_num.hpp"

namespace flowloom {

/// Kinds and lengths of the options that are made anew as well as read (IANA registry).
namespace tcp_option {
inline constexpr std::uint8_t kNoOperation = 1;
inline constexpr std::uint8_t kWindowScaleKind = 3;
inline constexpr std::uint8_t kWindowScaleBytes = 3;
}  // namespace tcp_option

/// RFC 7323, section 2.3.
inline constexpr std::uint8_t kMaxWindowScale = 14;

/// A range that the receiver holds; [begin, end) as sent, unchecked.
struct SackBlock {
  SeqNum begin;
  SeqNum end;
};

/// What fits beside nothing else in 40 bytes of options.
inline constexpr std::size_t kMaxSackBlocks = 4;

struct TcpOptions {
  enum Present : std::uint8_t {
    kMss = 1 << 0,
    kWindowScale = 1 << 1,
    kSackPermitted = 1 << 2,
    kTimestamps = 1 << 3,
    kMalformed = 1 << 4, ///< an option's length did not fit; nothing after it was read
    kSignature = 1 << 5  ///< TCP MD5 (RFC 2385) or TCP-AO (RFC 5925); not verified
  };

  std::uint32_t timestamp_value = 0;
  std::uint32_t timestamp_echo = 0;
  std::uint16_t mss = 0;
  std::uint8_t window_scale = 0;  ///< as sent: RFC 7323 (2.3) uses 14 for anything above it
  std::uint8_t present = 0;       ///< bits of Present
  std::uint8_t sack_count = 0;
  std::array<SackBlock, kMaxSackBlocks> sack{};

  [[nodiscard]] bool has(Present option) const { return (present & option) != 0; }
};

/// NOP NOP TS: what nearly every segment of an established connection carries first, so that the
/// values fall on words (RFC 7323, appendix A).
inline constexpr std::uint32_t kAlignedTimestamps = 0x0101080a;
inline constexpr std::size_t kAlignedTimestampsBytes = 12;

/// Reads options up to the end marker, the end of `options`, or the first one whose length does
/// not fit. An option repeated counts as the last copy says; a known kind with a wrong length is
/// passed over, as Linux does.
TcpOptions parse_tcp_options(ByteView options);

}  // namespace flowloom
