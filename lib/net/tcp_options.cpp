#include "net/tcp_options.hpp"

#include <algorithm>
#include <cstddef>

namespace flowloom {

namespace {

// More kinds of the IANA registry.
constexpr std::uint8_t kEndOfOptions = 0;
constexpr std::uint8_t kMssKind = 2;
constexpr std::uint8_t kSackPermittedKind = 4;
constexpr std::uint8_t kSackKind = 5;
constexpr std::uint8_t kTimestampsKind = 8;
constexpr std::uint8_t kMd5Kind = 19;
constexpr std::uint8_t kAuthenticationKind = 29;

constexpr std::size_t kMssBytes = 4;
constexpr std::size_t kSackPermittedBytes = 2;
constexpr std::size_t kTimestampsBytes = 10;
constexpr std::size_t kSackBlockBytes = 8;
constexpr std::size_t kMinOptionBytes = 2;

void set_timestamps(const std::uint8_t* values, TcpOptions& out) {
  out.timestamp_value = load_be32(values);
  out.timestamp_echo = load_be32(values + 4);
  out.present |= TcpOptions::kTimestamps;
}

void set_sack(const std::uint8_t* blocks, std::size_t bytes, TcpOptions& out) {
  if (bytes == 0 || bytes % kSackBlockBytes != 0) return;
  const std::size_t count = std::min(bytes / kSackBlockBytes, kMaxSackBlocks);
  for (std::size_t i = 0; i < count; ++i) {
    const std::uint8_t* block = blocks + i * kSackBlockBytes;
    out.sack[i] = {SeqNum{load_be32(block)}, SeqNum{load_be32(block + 4)}};
  }
  out.sack_count = static_cast<std::uint8_t>(count);
}

// One option of `length` bytes, all of them readable.
void set_option(const std::uint8_t* option, std::size_t length, TcpOptions& out) {
  switch (option[0]) {
    case kMssKind:
      if (length != kMssBytes) return;
      out.mss = load_be16(option + 2);
      out.present |= TcpOptions::kMss;
      return;
    case tcp_option::kWindowScaleKind:
      if (length != tcp_option::kWindowScaleBytes) return;
      out.window_scale = option[2];
      out.present |= TcpOptions::kWindowScale;
      return;
    case kSackPermittedKind:
      if (length == kSackPermittedBytes) out.present |= TcpOptions::kSackPermitted;
      return;
    case kSackKind:
      set_sack(option + kMinOptionBytes, length - kMinOptionBytes, out);
      return;
    case kTimestampsKind:
      if (length == kTimestampsBytes) set_timestamps(option + 2, out);
      return;
    case kMd5Kind:
    case kAuthenticationKind:
      out.present |= TcpOptions::kSignature;
      return;
    default:
      return;  // any other kind says nothing that flowloom uses
  }
}

}  // namespace

TcpOptions parse_tcp_options(ByteView options) {
  TcpOptions out;
  if (options.size() == kAlignedTimestampsBytes &&
      load_be32(options.data()) == kAlignedTimestamps) {
    set_timestamps(options.data() + 4, out);
    return out;
  }
  // What the SYNs of scanners have, if anything.
  if (options.size() == kMssBytes && options[0] == kMssKind && options[1] == kMssBytes) {
    set_option(options.data(), kMssBytes, out);
    return out;
  }
  std::size_t i = 0;
  while (i < options.size() && options[i] != kEndOfOptions) {
    if (options[i] == tcp_option::kNoOperation) {
      ++i;
      continue;
    }
    const std::size_t left = options.size() - i;
    const std::size_t length = left >= kMinOptionBytes ? options[i + 1] : 0;
    if (length < kMinOptionBytes || length > left) {
      out.present |= TcpOptions::kMalformed;
      break;
    }
    set_option(options.data() + i, length, out);
    i += length;
  }
  return out;
}

}  // namespace flowloom
