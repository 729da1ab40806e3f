// The internet checksum against the textbook loop, at every length and alignment.
#include "net/checksum.hpp"

#include <gtest/gtest.h>

#include <random>

#include "base/cpu_level.hpp"
#include "frame_bytes.hpp"

namespace flowloom::test {
namespace {

std::uint16_t folded(ByteView bytes) {
  return __builtin_bswap16(checksum_fold(checksum_sum(bytes)));
}

// 0 and 0xffff are the two zeros of ones' complement; which one comes out is the summer's choice.
std::uint16_t one_zero(std::uint16_t v) {
  return v == 0xffff ? 0 : v;
}

TEST(Checksum, EqualsTheNaiveSum) {
  std::mt19937 random(7);
  for (std::size_t length = 0; length < 700; ++length) {
    for (std::size_t shift = 0; shift < 4; ++shift) {
      Bytes bytes(length + shift);
      for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
      const Bytes part(bytes.begin() + static_cast<std::ptrdiff_t>(shift), bytes.end());
      const ByteView view = ByteView(bytes).subspan(shift);
      ASSERT_EQ(one_zero(folded(view)), one_zero(naive_sum(part))) << length << '+' << shift;
    }
  }
}

// Every instruction set that this processor has adds up to the same.
TEST(Checksum, IsTheSameAtEveryLevel) {
  std::mt19937 random(9);
  for (std::size_t level = 0; level <= static_cast<std::size_t>(processor_level()); ++level) {
    for (std::size_t length = kVectorBytesMin; length < 300; ++length) {
      for (std::size_t shift = 0; shift < 3; ++shift) {
        Bytes bytes(length + shift);
        for (auto& b : bytes) b = static_cast<std::uint8_t>(random() | (length % 2 ? 0xf0 : 0));
        const ChecksumSum sum = checksum_sum_at(static_cast<CpuLevel>(level),
                                                bytes.data() + shift, length);
        const ChecksumSum plain = checksum_sum_short(bytes.data() + shift, length);
        ASSERT_EQ(one_zero(checksum_fold(sum)), one_zero(checksum_fold(plain)))
            << kCpuLevelNames[level] << ' ' << length << '+' << shift;
        ASSERT_EQ(sum == 0, plain == 0);
      }
    }
  }
}

// All ones: every carry there is, over a length that overflows 32-bit halves.
TEST(Checksum, DoesNotLoseCarries) {
  for (const std::size_t length : {64U, 1460U, 65535U, 1U << 20}) {
    const Bytes ones(length, 0xff);
    EXPECT_EQ(folded(ones), naive_sum(ones)) << length;
    EXPECT_EQ(checksum_is_good(checksum_sum(ones)), length % 2 == 0) << length;
  }
}

TEST(Checksum, GoodIsAMultipleOfFfff) {
  EXPECT_FALSE(checksum_is_good(0));
  EXPECT_TRUE(checksum_is_good(0xffff));
  EXPECT_TRUE(checksum_is_good(0x1fffeULL));
  EXPECT_TRUE(checksum_is_good(0xffffffffULL));
  EXPECT_FALSE(checksum_is_good(0x10000));
}

TEST(Checksum, OfTwentyBytesEqualsTheGeneralSum) {
  std::mt19937 random(8);
  for (int i = 0; i < 1000; ++i) {
    Bytes bytes(20);
    for (auto& b : bytes) b = static_cast<std::uint8_t>(random());
    EXPECT_EQ(checksum_fold(checksum_sum_of_20(bytes.data())), checksum_fold(checksum_sum(bytes)));
  }
}

TEST(Checksum, PseudoHeader) {
  const Bytes addresses = join({kAddressA6, kAddressB6});
  const Bytes whole = join({addresses, be32(0x12345), {0, 0, 0, 6}});
  const ChecksumSum sum = pseudo_header_sum(addresses, 6) + pseudo_length_sum(0x12345);
  EXPECT_EQ(__builtin_bswap16(checksum_fold(sum)), naive_sum(whole));
}

}  // namespace
}  // namespace flowloom::test
