// A seed that nobody outside can guess.
#pragma once

#include "base/hash.hpp"

namespace flowloom {

/// Drawn anew at each call. Where the system has no entropy yet, the built-in seed: results do not
/// depend on it, only who can make keys collide does.
HashSeed random_seed();

}  // namespace flowloom
