// The commands: each takes what stands after its name and returns the exit status.
#pragma once

#include <span>

namespace flowloom {

int read_command(std::span<char* const> arguments);
int live_command(std::span<char* const> arguments);
int run_command(std::span<char* const> arguments);
int bench_command(std::span<char* const> arguments);
int show_command(std::span<char* const> arguments);
int unpack_command(std::span<char* const> arguments);

}  // namespace flowloom
