// What random conversations may be made of; each can be left out or asked for by name.
#pragma once

#include <array>
#include <bitset>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace flowloom::gen {

enum class Feature : std::uint8_t {
  Loss,          ///< in the network, before or behind the tap; retransmission, cut anew
  CaptureLoss,   ///< the tap misses packets
  LostSyn,
  LostSynAck,    ///< its third step names where the server's stream begins
  Reorder,
  Repeat,        ///< the network delivers packets twice
  CaptureRepeat, ///< the tap shows packets twice
  Skew,          ///< one direction is stamped later: acknowledgements before their data
  Wrap,          ///< sequence numbers cross 2^32
  Padding,
  Vlan,
  TwoVlans,
  VlanTwins,     ///< the same end points on two VLANs at once
  Ipv6,
  Tunnels,
  Fragments,
  Timestamps,
  KeepAlive,
  ZeroWindow,
  HalfClose,
  FinWithData,
  Reset,         ///< RST instead of FIN, or in the middle
  Open,          ///< no end at all
  MidStream,
  OneSided,
  SynData,       ///< TCP fast open, taken and refused
  Simultaneous,
  Reuse,         ///< the same end points again
  Large,         ///< a few long streams
};

inline constexpr std::array<std::string_view, 29> kFeatureNames = {
    "loss",        "capture-loss", "lost-syn",   "lost-syn-ack", "reorder",    "repeat",
    "capture-repeat", "skew",      "wrap",       "padding",      "vlan",       "two-vlans",
    "vlan-twins",  "ipv6",         "tunnels",    "fragments",    "timestamps", "keep-alive",
    "zero-window", "half-close",   "fin-data",   "reset",        "open",       "mid-stream",
    "one-sided",   "syn-data",     "simultaneous", "reuse",      "large"};
static_assert(kFeatureNames.size() == static_cast<std::size_t>(Feature::Large) + 1);

class Features {
 public:
  [[nodiscard]] bool has(Feature f) const { return bits_[static_cast<std::size_t>(f)]; }
  void set(Feature f) { bits_.set(static_cast<std::size_t>(f)); }
  void clear(Feature f) { bits_.reset(static_cast<std::size_t>(f)); }
  void set_all() { bits_.set(); }

 private:
  std::bitset<kFeatureNames.size()> bits_;
};

}  // namespace flowloom::gen
