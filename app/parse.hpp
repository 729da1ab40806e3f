// One way to parse a command's arguments: help goes to standard output, a mistake is one sentence
// on standard error.
#pragma once

#include <CLI/CLI.hpp>

#include <functional>
#include <optional>
#include <span>
#include <string>

namespace flowloom {

/// Adds to a sentence about an option where that comes from.
using PlaceOption = std::function<std::string(const std::string& sentence)>;

/// The exit status where the program should end now; nothing where it should go on.
std::optional<int> parse(CLI::App& app, std::span<char* const> arguments,
                         const PlaceOption& place = nullptr);

}  // namespace flowloom
