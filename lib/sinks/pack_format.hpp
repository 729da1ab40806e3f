// The packed output: constants and headers of its files. docs/pack.md describes every byte; the two
// change together. All integers are little-endian.
#pragma once

#include "base/bytes.hpp"

#include <array>
#include <bit>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace flowloom {

static_assert(std::endian::native == std::endian::little, "headers are written as they lie");

inline constexpr std::string_view kPackFolder = "pack";
inline constexpr const char* kPackIndexName = "index";
inline constexpr std::uint32_t kPackVersion = 1;
/// Bytes of a whole data block before compression: little enough to stay in a core's cache from
/// the copy to the write, enough to make the system call and the header cheap.
inline constexpr std::size_t kPackBlockBytes = std::size_t{256} << 10;
/// No reader has to believe a larger block, so a hostile header cannot make it allocate more.
inline constexpr std::uint32_t kPackBlockBytesMax = std::uint32_t{16} << 20;
/// A data file is not begun larger than this.
inline constexpr std::uint64_t kPackFileBytesMax = std::uint64_t{1} << 30;

/// "FLOWPACK", as it lies in the file.
inline constexpr std::array<char, 8> kPackMagic = {'F', 'L', 'O', 'W', 'P', 'A', 'C', 'K'};
inline constexpr std::uint32_t kPackBlockMagic = 0x424b4350;  // "PCKB"

enum class PackFileKind : std::uint32_t { Index = 1, Data = 2 };
enum class PackCodec : std::uint32_t { Plain = 0, Zstd = 1 };

/// Begins every file.
struct PackFileHeader {
  std::array<char, 8> magic = kPackMagic;
  std::uint32_t version = kPackVersion;
  PackFileKind kind = PackFileKind::Index;
  std::uint64_t number = 0;  ///< of the data file, from 0
  std::uint64_t reserved = 0;
};
static_assert(sizeof(PackFileHeader) == 32);

/// Begins every block. `position`: of a data block that of its first byte among all delivered
/// bytes of the pack; of an index block the number of its first entry.
struct PackBlockHeader {
  std::uint32_t magic = kPackBlockMagic;
  PackCodec codec = PackCodec::Plain;
  std::uint32_t stored_bytes = 0;  ///< that follow the header
  std::uint32_t raw_bytes = 0;     ///< the same after decompression
  std::uint64_t position = 0;
  std::uint64_t checksum = 0;      ///< see pack_checksum
};
static_assert(sizeof(PackBlockHeader) == 32);

/// XXH3-64 of the stored bytes, seeded with XXH3-64 of the header before the checksum.
std::uint64_t pack_checksum(const PackBlockHeader& header, ByteView stored);

/// "data-000000".
std::string pack_data_name(std::uint64_t number);

/// Whether a header can be right; the checksum comes on top.
inline bool is_plausible(const PackBlockHeader& header) {
  return header.magic == kPackBlockMagic && header.stored_bytes <= kPackBlockBytesMax &&
         header.raw_bytes <= kPackBlockBytesMax &&
         (header.codec == PackCodec::Zstd ||
          (header.codec == PackCodec::Plain && header.stored_bytes == header.raw_bytes));
}

}  // namespace flowloom
