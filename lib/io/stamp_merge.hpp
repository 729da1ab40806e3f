// Which of several live inputs may hand over its next packet: the earliest stamp, once no other
// input can still come with an earlier one. Pure: the caller looks at inputs and clocks.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>

#include "base/time.hpp"

namespace flowloom {

/// What is known of an input.
struct MergeInput {
  std::optional<Timestamp> head;        ///< of the packet that waits
  Timestamp silent_until = kTimeMin;    ///< looked at then, in vain
  bool ended = false;                   ///< nothing will come
};

/// At most one is set; neither: nothing may pass now, and all who could change it were asked.
struct MergeChoice {
  std::optional<std::size_t> pass;  ///< hands over its packet
  std::optional<std::size_t> ask;   ///< is to be looked at first
};

/// So many inputs: one bit each tells who was asked.
inline constexpr std::size_t kMergeInputsMax = 32;

/// The two directions of a tap may come in on two inputs, and an input may show its packets later
/// than they came by up to `lateness` (the kernel hands over blocks). So a packet passes when each
/// other input shows a later one, or was silent so long after the packet's stamp. Ties go by the
/// order of the inputs.
MergeChoice choose_input(std::span<const MergeInput> inputs, Duration lateness,
                         std::uint32_t asked);

}  // namespace flowloom
