#include "base/memory.hpp"

#include <sys/mman.h>

#include <algorithm>

namespace flowloom {

namespace {
// Below this a transparent huge page would mostly be waste.
constexpr std::size_t kHugePageWorthwhile = std::size_t{8} << 20;
constexpr std::size_t kHugePageBytes = std::size_t{2} << 20;
// With FirstPages::Small, from here on pages are huge.
constexpr std::size_t kSmallPagesEnd = kHugePageBytes;
constexpr std::size_t kSmallPagesEndAnywhere = std::size_t{16} << 20;

FirstPages first_pages = FirstPages::Huge;

std::size_t huge_pages_begin(Touched touched) {
  if (first_pages == FirstPages::Huge) return 0;
  return touched == Touched::Anywhere ? kSmallPagesEndAnywhere : kSmallPagesEnd;
}

// Whole huge pages: the kernel aligns such a mapping to them.
std::size_t mapped_bytes(std::size_t bytes) {
  if (bytes < kHugePageWorthwhile) return bytes;
  return (bytes + kHugePageBytes - 1) / kHugePageBytes * kHugePageBytes;
}

}  // namespace

void use_first_pages(FirstPages pages) { first_pages = pages; }

ReservedMemory::ReservedMemory(std::size_t bytes, Touched touched)
    : bytes_(bytes), huge_from_(huge_pages_begin(touched)) {
  if (bytes == 0) return;
  const std::size_t mapped = mapped_bytes(bytes);
  void* p = mmap(nullptr, mapped, PROT_READ | PROT_WRITE,
                 MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<std::byte*>(p);
  // Fewer TLB misses where the kernel can give it; a refusal changes speed, not results.
  if (bytes >= huge_from_ + kHugePageWorthwhile) {
    (void)madvise(data_ + huge_from_, mapped - huge_from_, MADV_HUGEPAGE);
  }
}

void ReservedMemory::use_huge_pages_now() {
#ifdef MADV_COLLAPSE
  constexpr int kCollapse = MADV_COLLAPSE;
#else
  constexpr int kCollapse = 25; // of the kernel; older headers do not name it
#endif
  const std::size_t small = std::min(bytes_, huge_from_);
  if (small == 0) return;
  (void)madvise(data_, small, MADV_HUGEPAGE);
  (void)madvise(data_, small, kCollapse);
}

ReservedMemory::~ReservedMemory() {
  if (data_ != nullptr) munmap(data_, mapped_bytes(bytes_));
}

}  // namespace flowloom
