#include "base/memory.hpp"

#include <sys/mman.h>

#include <algorithm>

namespace flowloom {

namespace {
// Below this a transparent huge page would mostly be waste.
constexpr std::size_t kHugePageWorthwhile = std::size_t{8} << 20;
// With FirstPages::Small, from here on pages are huge.
constexpr std::size_t kSmallPagesEnd = std::size_t{64} << 20;

std::size_t huge_from = 0;
}  // namespace

void use_first_pages(FirstPages pages) {
  huge_from = pages == FirstPages::Small ? kSmallPagesEnd : 0;
}

ReservedMemory::ReservedMemory(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* p = mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(p);
  // Fewer TLB misses where the kernel can give it; a refusal changes speed, not results.
  if (bytes >= huge_from + kHugePageWorthwhile) {
    (void)madvise(data_ + huge_from, bytes - huge_from, MADV_HUGEPAGE);
  }
}

void ReservedMemory::use_huge_pages_now() {
#ifdef MADV_COLLAPSE
  constexpr int kCollapse = MADV_COLLAPSE;
#else
  constexpr int kCollapse = 25; // of the kernel; older headers do not name it
#endif
  const std::size_t small = std::min(bytes_, huge_from);
  if (small == 0) return;
  (void)madvise(data_, small, MADV_HUGEPAGE);
  (void)madvise(data_, small, kCollapse);
}

ReservedMemory::~ReservedMemory() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

}  // namespace flowloom
