#include "parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "options.hpp"
#include "session.hpp"

namespace flowloom {

std::optional<int> parse(CLI::App& app, std::span<char* const> arguments) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend()); // as CLI11 wants it
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return static_cast<int>(ExitStatus::Ok);
  } catch (const CLI::ParseError& error) {
    say(fmt::format("{}; see '{} --help'", error.what(), app.get_name()));
    return static_cast<int>(ExitStatus::Usage);
  }
  return std::nullopt;
}

}  // namespace flowloom
