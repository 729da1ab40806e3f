#include "net/link_type.hpp"

#include <array>
#include <cstddef>

namespace flowloom {

namespace {

struct LinkRow {
  std::uint32_t number;
  std::string_view name;
};

// Row i + 1 of LinkType stands at [i]; Unknown has no row.
constexpr auto kRows = std::to_array<LinkRow>({
#define LINK(symbol, linktype, name) {linktype, name},
#include "net/links.def"
#undef LINK
});

struct NumberAlias {
  std::uint32_t number;
  LinkType link;
};

// Numbers outside links.def under which the same frames are stored: DLT_ values that differ
// between systems and reach files of writers that do not translate them.
constexpr auto kAliases = std::to_array<NumberAlias>({
    {12, LinkType::Raw},     // DLT_RAW of BSD and Linux
    {14, LinkType::Raw},     // DLT_RAW of OpenBSD
    {163, LinkType::Prism},  // IEEE802_11_RADIO_AVS: recognised by its magic, as under PRISM
});

constexpr std::uint32_t kNoNumber = 0xffffffff;

}  // namespace

LinkType link_type_from_number(std::uint32_t linktype) {
  for (std::size_t i = 0; i < kRows.size(); ++i) {
    if (kRows[i].number == linktype) return static_cast<LinkType>(i + 1);
  }
  for (const NumberAlias& alias : kAliases) {
    if (alias.number == linktype) return alias.link;
  }
  return LinkType::Unknown;
}

std::string_view link_type_name(LinkType link) {
  const auto row = static_cast<std::size_t>(link);
  return row == 0 || row > kRows.size() ? std::string_view{"unknown"} : kRows[row - 1].name;
}

std::uint32_t link_type_number(LinkType link) {
  const auto row = static_cast<std::size_t>(link);
  return row == 0 || row > kRows.size() ? kNoNumber : kRows[row - 1].number;
}

}  // namespace flowloom
