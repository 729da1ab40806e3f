// Link types as the decoder knows them: one row per type of links.def.
#pragma once

#include <cstdint>
#include <string_view>

namespace flowloom {

/// Index of a row of links.def. Sources translate LINKTYPE_ numbers once per interface.
enum class LinkType : std::uint8_t {
  Unknown,
#define LINK(symbol, linktype, name) symbol,
#include "net/links.def"
#undef LINK
  Reassembled,   ///< no source's: a datagram made of fragments, see write_reassembled_header()
  Contradicted,  ///< the same, of fragments that overlapped with different bytes
};

/// The row for a LINKTYPE_ number as it stands in capture files (also the DLT_ numbers that
/// differ between systems), or LinkType::Unknown.
LinkType link_type_from_number(std::uint32_t linktype);

/// "EN10MB" for Ethernet; "unknown" for LinkType::Unknown.
std::string_view link_type_name(LinkType link);

/// The LINKTYPE_ number of a row, for filters and capture writers.
std::uint32_t link_type_number(LinkType link);

}  // namespace flowloom
