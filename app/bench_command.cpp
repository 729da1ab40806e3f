#include "commands.hpp"
namespace flowloom { int bench_command(std::span<char* const>) { return 1; } }
