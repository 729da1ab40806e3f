// Options from a file: `--config FILE`, a line `name = value` per option under its long name, and
// `--check-config`, which says what would be used. What the command line says goes before the file.
//
//   # comment
//   out = /srv/flows
//   filter = tcp port 443
//   json                  a flag
//   [live]                what follows is for this command alone
//   interface = eth1
#pragma once

#include <CLI/CLI.hpp>

#include <optional>
#include <span>

#include "options.hpp"

namespace flowloom {

/// Parses a command's arguments with the options of a file, where one is named. The exit status
/// where the program should end now, such as after --check-config; nothing where it should go on.
std::optional<int> parse_with_config(CLI::App& app, std::span<char* const> arguments,
                                     CommonOptions& options);

}  // namespace flowloom
