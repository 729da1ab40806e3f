// One way to parse a command's arguments: help goes to standard output, a mistake is one sentence
// on standard error.
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <span>

namespace flowloom {

/// The exit status where the program should end now; nothing where it should go on.
std::optional<int> parse(CLI::App& app, std::span<char* const> arguments);

}  // namespace flowloom
