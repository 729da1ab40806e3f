#include "commands.hpp"
namespace flowloom { int run_command(std::span<char* const>) { return 1; } }
