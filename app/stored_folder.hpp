// What show and unpack share: finding the pack of an output folder, and saying what is wrong with
// it.
#pragma once

#include "options.hpp"
#include "sinks/pack_replay.hpp"

#include <optional>
#include <string>

namespace flowloom {

/// The folder of the pack: DIR/pack, or DIR itself; nothing where neither is one.
std::optional<std::string> find_pack(const std::string& folder);

/// Says what was damaged or missing, and returns the status for it. Preconditions: replay.run()
/// returned.
ExitStatus report_replay(const PackReader& reader, const PackReplay& replay);

}  // namespace flowloom
