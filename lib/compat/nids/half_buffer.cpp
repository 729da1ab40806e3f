#include "compat/nids/half_buffer.hpp"

#include <cstdlib>
#include <cstring>

namespace flowloom::nids {

namespace {

void out_of_memory() {
  static char place[] = "half_buffer";
  if (nids_params.no_mem != nullptr) nids_params.no_mem(place);
}

std::uint32_t kept_bytes(const half_stream& half) {
  return static_cast<std::uint32_t>(half.count) - static_cast<std::uint32_t>(half.offset);
}

/// What libnids makes of bufsize when `bytes` more do not fit: programs may look at it.
std::uint32_t grown(std::uint32_t size, std::uint32_t bytes) {
  constexpr std::uint32_t kFirst = 4096;
  if (size == 0) return bytes < kFirst / 2 ? kFirst : 2 * bytes;
  return bytes < size ? 2 * size : size + 2 * bytes;
}

}  // namespace

void HalfBuffer::make_room(half_stream& half, std::uint32_t bytes) {
  const auto size = static_cast<std::uint32_t>(half.bufsize);
  const std::uint32_t kept = kept_bytes(half);
  if (kept + bytes <= size) return;
  const std::uint32_t wanted = grown(size, bytes);
  if (is_shared(half) && kept == 0) {
    half.bufsize = static_cast<int>(wanted);
    return;
  }
  void* const memory = wanted <= 2 * kKeptMax - 1 ? std::realloc(half.data, wanted) : nullptr;
  if (memory == nullptr) {
    out_of_memory();
    half.offset = half.count;
    return;
  }
  half.data = static_cast<char*>(memory);
  half.bufsize = static_cast<int>(wanted);
}

void HalfBuffer::append(half_stream& half, ByteView bytes) {
  const auto size = static_cast<std::uint32_t>(bytes.size());
  make_room(half, size);
  if (is_shared(half)) half.data = shared_.data();
  const std::uint32_t kept = kept_bytes(half);
  std::memcpy(half.data + kept, bytes.data(), size);
  half.count_new = static_cast<int>(size);
  half.count = static_cast<int>(static_cast<std::uint32_t>(half.count) + size);
}

void HalfBuffer::drop(half_stream& half, int taken) {
  const std::uint32_t shown = kept_bytes(half);
  const auto gone = static_cast<std::uint32_t>(taken > 0 ? taken : 0);
  if (gone > shown) return;
  half.offset = static_cast<int>(static_cast<std::uint32_t>(half.offset) + gone);
  const std::uint32_t left = shown - gone;
  if (left == 0) return;
  if (!is_shared(half)) {
    if (gone != 0) std::memmove(half.data, half.data + gone, left);
    return;
  }
  auto* const memory = static_cast<char*>(std::malloc(static_cast<std::size_t>(half.bufsize)));
  if (memory == nullptr) {
    out_of_memory();
    half.offset = half.count;
    return;
  }
  std::memcpy(memory, half.data + gone, left);
  half.data = memory;
}

void HalfBuffer::release(half_stream& half) const {
  if (!is_shared(half)) std::free(half.data);
  half.data = nullptr;
}

}  // namespace flowloom::nids
