// What stood between the link layer and an IP header: tags, labels, tunnels. One list per packet
// that has any; which of it identifies a connection is a column of encapsulations.def.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flowloom {

/// One element of what an IP header was wrapped in, outermost first.
struct EncapsulationLayer {
  enum class Kind : std::uint8_t {
#define ENCAPSULATION(symbol, name, id, identity, counts_as) symbol,
#include "net/encapsulations.def"
#undef ENCAPSULATION
  };
  Kind kind;
  std::uint32_t id;  ///< VLAN id, label, network identifier, key or session, as wide as it is
};

inline constexpr std::size_t kMaxEncapsulationLayers = 16;

/// Tunnels within tunnels. Real ones end at three; each costs a hostile sender some fifty bytes of
/// a frame and us a few steps.
inline constexpr std::uint32_t kMaxTunnels = 8;

struct EncapsulationList {
  std::uint32_t count = 0;
  std::array<EncapsulationLayer, kMaxEncapsulationLayers> layers;
};

/// Whether a kind is printed with its number.
enum class EncapsulationId : std::uint8_t { Shown, Hidden };

/// What of an element belongs to the identity of a connection.
enum class EncapsulationIdentity : std::uint8_t { Nothing, Presence, Id };

/// One row of encapsulations.def.
struct EncapsulationKind {
  std::string_view name;
  EncapsulationId id;
  EncapsulationIdentity identity;
  EncapsulationLayer::Kind counts_as;
};

/// Indexed by EncapsulationLayer::Kind.
inline constexpr auto kEncapsulationKinds = std::to_array<EncapsulationKind>({
#define ENCAPSULATION(symbol, name, id, identity, counts_as)               \
  {name, EncapsulationId::id, EncapsulationIdentity::identity, \
   EncapsulationLayer::Kind::counts_as},
#include "net/encapsulations.def"
#undef ENCAPSULATION
});

inline const EncapsulationKind& kind_of(const EncapsulationLayer& layer) {
  return kEncapsulationKinds[static_cast<std::size_t>(layer.kind)];
}

}  // namespace flowloom
