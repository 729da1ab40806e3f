// Memory of RapidJSON's buffers: its own allocator hands out nullptr where there is none, and is
// written to.
#pragma once

#include <rapidjson/stringbuffer.h>

#include <cstddef>
#include <cstdlib>
#include <new>

namespace flowloom {

/// As rapidjson::CrtAllocator, whose names these are, but throws std::bad_alloc.
class JsonMemory {
 public:
  static constexpr bool kNeedFree = true;

  void* Malloc(std::size_t size) { return size == 0 ? nullptr : checked(std::malloc(size)); }
  void* Realloc(void* old, std::size_t, std::size_t size) {
    if (size != 0) return checked(std::realloc(old, size));
    std::free(old);
    return nullptr;
  }
  static void Free(void* memory) { std::free(memory); }

 private:
  static void* checked(void* memory) {
    if (memory == nullptr) throw std::bad_alloc();
    return memory;
  }
};

using JsonBuffer = rapidjson::GenericStringBuffer<rapidjson::UTF8<>, JsonMemory>;

}  // namespace flowloom
