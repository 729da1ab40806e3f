#include "stored_folder.hpp"

#include <fmt/format.h>

#include <filesystem>

#include "session.hpp"

namespace flowloom {

std::optional<std::string> find_pack(const std::string& folder) {
  std::error_code ignored;
  for (const std::string& candidate : {folder + "/" + std::string(kPackFolder), folder}) {
    if (std::filesystem::exists(candidate + "/" + kPackIndexName, ignored)) return candidate;
  }
  return std::nullopt;
}

ExitStatus report_replay(const PackReader& reader, const PackReplay& replay) {
  for (const std::string& problem : reader.problems()) say(problem);
  const PackReplay::Counts& counts = replay.counts();
  if (counts.damaged > 0) {
    say(fmt::format("{} connections are not whole in the pack", counts.damaged));
  }
  if (!reader.complete()) {
    say(fmt::format("the pack has no end: its writer was ended, or still runs; {} connections were "
                    "open",
                    counts.open));
  } else if (counts.open > 0) {
    say(fmt::format("{} connections have no end in the pack", counts.open));
  }
  const bool good = reader.problems().empty() && counts.damaged + counts.open == 0;
  return good && reader.complete() ? ExitStatus::Ok : ExitStatus::InputDamaged;
}

}  // namespace flowloom
