// Key to index: an open-addressing table of cache-line buckets, for one lcore.
//
// A bucket is one line: ten 16-bit tags, ten 32-bit indices and an overflow count, the number of
// entries that hash here (or before) but had to be stored further on. A lookup compares all tags
// at once, touches the object only where a tag agrees, and goes on to the next bucket only while
// the overflow count says so; erasing leaves no tombstones. The table does not know what an
// object is: KeyOf turns an index into its FlowKey.
#pragma once

#include <emmintrin.h>

#include <algorithm>
#include <array>
#include <bit>
#include <cstdint>

#include "base/check.hpp"
#include "base/memory.hpp"
#include "base/prefetch.hpp"
#include "base/slab_pool.hpp"
#include "net/five_tuple.hpp"

namespace flowloom {

/// A table whose entries scatter over more memory than they need costs the first touch of all of
/// it. One that grows begins with 256 KiB; the moment in which it does is a pause of some
/// nanoseconds for each entry: for inputs that wait.
enum class TableGrowth : std::uint8_t { Never, ByNeed };

template <class KeyOf>
class FlowTable {
 public:
  /// Longest run of buckets an entry may be away from home.
  static constexpr std::uint32_t kMaxProbe = 16;
  static constexpr std::uint32_t kSlotsPerBucket = 10;

  FlowTable() = default;
  /// Room for `capacity` entries at a load of at most 0.6 of the slots. With ByNeed the caller
  /// asks wants_to_grow() before insert().
  FlowTable(std::uint32_t capacity, KeyOf key_of, TableGrowth growth = TableGrowth::Never)
      : key_of_(key_of) {
    const std::size_t most = bucket_count(capacity);
    std::size_t count = growth == TableGrowth::Never ? most : std::min(most, kFirstBuckets);
    for (std::size_t i = 0; i < kSizes; ++i) {
      sizes_[i] = ReservedArray<Bucket>(count);
      if (count == most) break;
      count = std::min(most, count * kGrowth);
    }
    use_size(0);
  }

  void prefetch(std::uint64_t hash) const { prefetch_line(&buckets_[hash & mask_]); }

  /// The index of the first entry whose tag agrees, for prefetching its object; or kNoIndex.
  [[nodiscard]] std::uint32_t candidate(std::uint64_t hash) const {
    const Bucket& bucket = buckets_[hash & mask_];
    const std::uint32_t hits = matching(bucket, tag_of(hash));
    return hits != 0 ? bucket.index[std::countr_zero(hits)] : kNoIndex;
  }

  /// Whether one look at its home bucket tells that no entry has this hash.
  [[nodiscard]] bool lacks(std::uint64_t hash) const {
    const Bucket& bucket = buckets_[hash & mask_];
    return bucket.overflow == 0 && matching(bucket, tag_of(hash)) == 0;
  }

  /// The index stored under `key`, or kNoIndex.
  [[nodiscard]] std::uint32_t find(const FlowKey& key, std::uint64_t hash) const {
    const std::uint16_t tag = tag_of(hash);
    std::uint64_t at = hash & mask_;
    for (std::uint32_t probe = 0; probe < kMaxProbe; ++probe) {
      const Bucket& bucket = buckets_[at];
      for (std::uint32_t hits = matching(bucket, tag); hits != 0; hits &= hits - 1) {
        const std::uint32_t index = bucket.index[std::countr_zero(hits)];
        if (key_of_(index) == key) return index;
      }
      if (bucket.overflow == 0) return kNoIndex;
      at = (at + 1) & mask_;
    }
    return kNoIndex;
  }

  /// Stores `index`; false when kMaxProbe buckets in a row are full.
  /// Preconditions: no entry with the same key.
  bool insert(std::uint64_t hash, std::uint32_t index) {
    if (!put({buckets_, mask_}, hash, index)) return false;
    ++size_;
    return true;
  }

  /// Whether there are so many entries that it has to grow before the next.
  [[nodiscard]] bool wants_to_grow() const { return size_ >= grow_from_; }

  /// Moves all entries into several times the buckets. Hashes offers
  ///   std::uint64_t hash(index): what it was inserted with,
  ///   void prefetch(index): it will be asked for soon.
  /// Preconditions: wants_to_grow().
  template <class Hashes>
  void grow(const Hashes& hashes) {
    ReservedArray<Bucket>& larger = sizes_[size_number_ + 1];
    if (larger.bytes() > kSmallPagesMax) larger.use_huge_pages_now();
    // A page whose first access is a read costs two faults (SlabPool::take).
    for (std::size_t i = 0; i < larger.size(); i += kBucketsPerPage) larger[i].overflow = 0;
    const Buckets to{larger.data(), larger.size() - 1};
    for (std::size_t i = 0; i <= mask_; ++i) {
      if (i + kBucketsAhead <= mask_) {
        for_each_entry(buckets_[i + kBucketsAhead],
                       [&](std::uint32_t index) { hashes.prefetch(index); });
      }
      bool all = true;
      for_each_entry(buckets_[i], [&](std::uint32_t index) {
        all = all && put(to, hashes.hash(index), index);
      });
      // Nobody can bring that about who does not know the hash: it stays as it is, which works.
      if (!all) [[unlikely]] {
        grow_from_ = kNoIndex;
        return;
      }
    }
    use_size(size_number_ + 1);
  }

  /// The entry `index` is `other` from now on, whose key is the same.
  /// Preconditions: `index` is stored under `hash`.
  void replace(std::uint64_t hash, std::uint32_t index, std::uint32_t other) {
    const Place place = place_of(hash, index);
    place.bucket->index[place.slot] = other;
  }

  /// Preconditions: `index` is stored under `hash`.
  void erase(std::uint64_t hash, std::uint32_t index) {
    const Place place = place_of(hash, index);
    place.bucket->tag[place.slot] = kEmpty;
    for (std::uint32_t passed = 0; passed < place.probe; ++passed) {
      --buckets_[(hash + passed) & mask_].overflow;
    }
    --size_;
  }

  [[nodiscard]] std::uint32_t size() const { return size_; }
  [[nodiscard]] std::size_t bytes() const {
    std::size_t bytes = 0;
    for (const ReservedArray<Bucket>& buckets : sizes_) bytes += buckets.bytes();
    return bytes;
  }

 private:
  struct alignas(64) Bucket {
    std::uint16_t tag[kSlotsPerBucket];
    std::uint16_t overflow;
    std::uint32_t index[kSlotsPerBucket];
  };
  static_assert(sizeof(Bucket) == 64, "one cache line");
  struct Place {
    Bucket* bucket;
    int slot;
    std::uint32_t probe;  // buckets away from home
  };
  struct Buckets {
    Bucket* first;
    std::uint64_t mask;
  };
  static constexpr std::uint16_t kEmpty = 0;
  // 256 KiB, 1 MiB, 4 MiB and so on, up to what 4 billion entries need.
  static constexpr std::size_t kFirstBuckets = std::size_t{1} << 12;
  static constexpr std::size_t kGrowth = 4;
  static constexpr std::size_t kSizes = 10;
  static constexpr std::size_t kBucketsAhead = 2;
  static constexpr std::size_t kBucketsPerPage = 4096 / 64;
  // Hashes scatter entries over all pages, each with its first touch and its place in the TLB.
  // Where they are many, huge pages are the cheaper ones: 16 MiB are 4096 small pages.
  static constexpr std::size_t kSmallPagesMax = std::size_t{4} << 20;

  void use_size(std::size_t number) {
    const ReservedArray<Bucket>& used = sizes_[number];
    size_number_ = number;
    buckets_ = used.data();
    mask_ = used.size() - 1;
    const bool is_last = number + 1 == kSizes || sizes_[number + 1].size() == 0;
    grow_from_ = is_last ? kNoIndex : static_cast<std::uint32_t>(used.size() * kEntriesPerBucket);
  }

  static bool put(const Buckets& to, std::uint64_t hash, std::uint32_t index) {
    const std::uint64_t home = hash & to.mask;
    for (std::uint32_t probe = 0; probe < kMaxProbe; ++probe) {
      Bucket& bucket = to.first[(home + probe) & to.mask];
      const std::uint32_t free = matching(bucket, kEmpty);
      if (free == 0) continue;
      const int slot = std::countr_zero(free);
      bucket.tag[slot] = tag_of(hash);
      bucket.index[slot] = index;
      for (std::uint32_t passed = 0; passed < probe; ++passed) {
        ++to.first[(home + passed) & to.mask].overflow;
      }
      return true;
    }
    return false;
  }

  template <class Visit>
  static void for_each_entry(const Bucket& bucket, Visit visit) {
    for (std::uint32_t slot = 0; slot < kSlotsPerBucket; ++slot) {
      if (bucket.tag[slot] != kEmpty) visit(bucket.index[slot]);
    }
  }

  // At 0.6 of the slots the longest run measured is 9 buckets, also in tables of 10^8 entries; at
  // 0.75 it is 13 to 28, so that a table with room left would refuse entries.
  static constexpr std::uint32_t kEntriesPerBucket = kSlotsPerBucket * 6 / 10;

  static std::size_t bucket_count(std::uint32_t capacity) {
    return std::bit_ceil(std::size_t{capacity} / kEntriesPerBucket + 1);
  }
  /// The tag comes from the high bits, the bucket from the low ones; 0 means empty.
  static std::uint16_t tag_of(std::uint64_t hash) {
    const auto tag = static_cast<std::uint16_t>(hash >> 48);
    return tag == kEmpty ? std::uint16_t{1} : tag;
  }
  /// Preconditions: `index` is stored under `hash`.
  Place place_of(std::uint64_t hash, std::uint32_t index) {
    for (std::uint32_t probe = 0; probe < kMaxProbe; ++probe) {
      Bucket& bucket = buckets_[(hash + probe) & mask_];
      for (std::uint32_t hits = matching(bucket, tag_of(hash)); hits != 0; hits &= hits - 1) {
        const int slot = std::countr_zero(hits);
        if (bucket.index[slot] == index) return {&bucket, slot, probe};
      }
    }
    FLOWLOOM_CHECK(!"the entry is in the table");
    return {};
  }
  /// Bit i set where tag[i] == tag. Two overlapping 8-lane compares cover the ten tags.
  static std::uint32_t matching(const Bucket& bucket, std::uint16_t tag) {
    const __m128i wanted = _mm_set1_epi16(static_cast<short>(tag));
    const __m128i low = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bucket.tag));
    const __m128i high = _mm_loadu_si128(reinterpret_cast<const __m128i*>(bucket.tag + 2));
    const __m128i both =
        _mm_packs_epi16(_mm_cmpeq_epi16(low, wanted), _mm_cmpeq_epi16(high, wanted));
    const auto mask = static_cast<std::uint32_t>(_mm_movemask_epi8(both));
    return (mask & 0xff) | ((mask >> 6) & 0x300);
  }

  KeyOf key_of_{};
  Bucket* buckets_ = nullptr; // those of the size in use
  std::uint64_t mask_ = 0;
  std::uint32_t size_ = 0;
  std::uint32_t grow_from_ = kNoIndex;
  std::size_t size_number_ = 0;
  std::array<ReservedArray<Bucket>, kSizes> sizes_;
};

}  // namespace flowloom
