// What an IP fragment says about itself, and the header of the datagram it becomes. The only place
// of this room that knows header formats. Judges a fragment by itself; knows no datagram.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>

#include "base/bytes.hpp"
#include "ip/fragment_key.hpp"
#include "net/packet.hpp"

namespace flowloom {

enum class FragmentReject : std::uint8_t {
#define REJECT(symbol, name, sentence) symbol,
#include "ip/fragment_rejects.def"
#undef REJECT
};

inline constexpr auto kFragmentRejectNames = std::to_array<std::string_view>({
#define REJECT(symbol, name, sentence) name,
#include "ip/fragment_rejects.def"
#undef REJECT
});
inline constexpr std::size_t kFragmentRejectCount = kFragmentRejectNames.size();

/// RFC 7112 wants all headers up to TCP's in the first fragment of an IPv6 datagram, and hosts to
/// drop what does not keep to it.
enum class Ipv6HeaderChain : std::uint8_t { Whole, Any };

/// IPv4 headers end at 60 bytes; IPv6 extension headers before the fragment header are a few dozen
/// bytes at most in practice.
inline constexpr std::uint32_t kMaxFragmentHeaderBytes = 256;
inline constexpr std::uint32_t kMaxDatagramBytes = 40 + 65535;

enum class FragmentPlace : std::uint8_t { Last, MoreFollow };

/// Views into the frame.
struct Fragment {
  FragmentKey key;
  ByteView header;  ///< IP header; IPv6: with the extensions before the fragment header
  ByteView data;
  std::uint32_t offset;  ///< of the data in the datagram's
  FragmentPlace place;
  std::uint8_t next_header;         ///< IPv6: what follows the fragment header
  std::uint32_t next_header_field;  ///< IPv6: where in `header` that number has to go

  [[nodiscard]] std::uint32_t end() const {
    return offset + static_cast<std::uint32_t>(data.size());
  }
};

/// Reads a fragment, or says why it is refused.
/// Preconditions: packet.verdict == Verdict::Fragment as decode() set it.
std::optional<FragmentReject> read_fragment(const Packet& packet, Ipv6HeaderChain chain,
                                            Fragment& fragment);

/// Whether a datagram of this header and so much data is within what its length field can say.
[[nodiscard]] bool datagram_fits(std::uint8_t version, std::size_t header_bytes,
                                 std::size_t data_bytes);

/// Copies the header of a first fragment; in an IPv6 header the fragment header is taken out of the
/// chain. Preconditions: `to` holds fragment.header.size() bytes.
void copy_header(const Fragment& fragment, std::uint8_t* to);

/// Makes a copied header that of an unfragmented datagram: lengths, IPv4 flags (DF stays) and
/// checksum. Preconditions: datagram_fits().
void finish_header(std::span<std::uint8_t> header, std::uint32_t data_bytes);

}  // namespace flowloom
