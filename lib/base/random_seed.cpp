#include "base/random_seed.hpp"

#include <sys/random.h>

namespace flowloom {

HashSeed random_seed() {
  HashSeed drawn;
  const ssize_t bytes = getrandom(&drawn, sizeof drawn, GRND_NONBLOCK);
  if (bytes != static_cast<ssize_t>(sizeof drawn)) return HashSeed{};
  drawn.a |= 1;
  drawn.b |= 1;
  return drawn;
}

}  // namespace flowloom
