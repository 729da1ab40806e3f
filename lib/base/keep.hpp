// A pointer that the compiler computes once.
#pragma once

namespace flowloom {

/// The same pointer, of which the compiler knows no more how it was made: it stays in a register
/// where it would be computed anew from a base and an index each time (g++ 12 does so for elements
/// whose size is no power of two, three instructions for every access).
template <class T>
[[gnu::always_inline]] inline T* kept(T* pointer) {
  asm("" : "+r"(pointer)); // NOLINT: no instruction
  return pointer;
}

}  // namespace flowloom
