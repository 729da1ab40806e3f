#include "parse.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <cstdio>

#include "options.hpp"
#include "session.hpp"

namespace flowloom {

std::optional<int> parse(CLI::App& app, std::span<char* const> arguments,
                         const PlaceOption& place) {
  std::vector<std::string> reversed(arguments.rbegin(), arguments.rend()); // as CLI11 wants it
  try {
    app.parse(reversed);
  } catch (const CLI::CallForHelp&) {
    std::fputs(app.help().c_str(), stdout);
    return static_cast<int>(ExitStatus::Ok);
  } catch (const CLI::ConfigError& error) {
    say(error.what());
    return static_cast<int>(ExitStatus::Usage);
  } catch (const CLI::FileError& error) {
    say(error.what());
    return static_cast<int>(ExitStatus::Usage);
  } catch (const CLI::ParseError& error) {
    const std::string sentence = place ? place(error.what()) : error.what();
    if (sentence != error.what()) {
      say(sentence);
      return static_cast<int>(ExitStatus::Usage);
    }
    say(fmt::format("{}; see '{} --help'", error.what(), app.get_name()));
    return static_cast<int>(ExitStatus::Usage);
  }
  return std::nullopt;
}

}  // namespace flowloom
