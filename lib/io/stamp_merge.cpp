#include "io/stamp_merge.hpp"

namespace flowloom {

namespace {

std::optional<std::size_t> earliest(std::span<const MergeInput> inputs) {
  std::optional<std::size_t> least;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    if (inputs[i].head && (!least || *inputs[i].head < *inputs[*least].head)) least = i;
  }
  return least;
}

}  // namespace

MergeChoice choose_input(std::span<const MergeInput> inputs, Duration lateness,
                         std::uint32_t asked) {
  const std::optional<std::size_t> least = earliest(inputs);
  bool blocked = !least;
  for (std::size_t i = 0; i < inputs.size(); ++i) {
    const MergeInput& input = inputs[i];
    if (input.head || input.ended) continue;
    if (least && input.silent_until >= saturating_add(*inputs[*least].head, lateness)) continue;
    if ((asked >> i & 1) == 0) return {.pass = std::nullopt, .ask = i};
    blocked = true;
  }
  if (blocked) return {};
  return {.pass = least, .ask = std::nullopt};
}

}  // namespace flowloom
