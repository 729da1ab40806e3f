#include "ip/version_choice.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <optional>

#include "net/checksum.hpp"
#include "net/ip.hpp"

namespace flowloom {

namespace {

// A sum taken away: what it lacks to a multiple of 0xffff.
ChecksumSum without(ChecksumSum sum) {
  return 0xffffU - checksum_fold(sum);
}

class Contest {
 public:
  Contest(std::span<std::uint8_t> data, const FragmentStore& store, const FragmentMap& losers)
      : data_(data), store_(store), losers_(losers) {}

  /// Finds what is contested and what each choice would add to the sum.
  void weigh();

  /// The one combination of choices, as bits, that makes `sum` that of a whole segment.
  [[nodiscard]] std::optional<std::uint32_t> solve(ChecksumSum sum) const;

  void put_in(std::uint32_t choices);

 private:
  /// Calls visit(offset, bytes) for the losing copies of a run.
  template <class Visit>
  void for_each_piece(UnitRange run, Visit&& visit) const {
    while (run.begin < run.end) {
      const std::size_t offset = std::size_t{run.begin} * kUnitBytes;
      ByteView bytes = store_.piece(losers_, run);
      run.begin += static_cast<std::uint32_t>(bytes.size() / kUnitBytes);
      visit(offset, bytes.first(std::min(bytes.size(), data_.size() - offset)));
    }
  }

  /// Of all runs where they are too many, else of one.
  [[nodiscard]] std::uint32_t choice_of(std::uint32_t run) const {
    return runs_ > kMaxDoubts ? 0 : run;
  }

  std::span<std::uint8_t> data_;
  const FragmentStore& store_;
  const FragmentMap& losers_;
  std::uint32_t runs_ = 0;
  std::array<ChecksumSum, kMaxDoubts> differences_{};
};

void Contest::weigh() {
  std::array<ChecksumSum, kMaxDoubts> of_run{};
  ChecksumSum of_all = 0;
  UnitRange run = store_.next_run(losers_, 0);
  for (; run.begin != run.end; run = store_.next_run(losers_, run.end), ++runs_) {
    ChecksumSum difference = 0;
    for_each_piece(run, [&](std::size_t offset, ByteView bytes) {
      // Runs begin at even offsets, and only the last byte of the datagram can be an odd one.
      difference += checksum_fold(checksum_sum(bytes));
      difference += without(checksum_sum(data_.subspan(offset, bytes.size())));
    });
    if (runs_ < kMaxDoubts) of_run[runs_] = difference;
    of_all += difference;
  }
  if (runs_ > kMaxDoubts) of_run = {of_all};
  differences_ = of_run;
}

std::optional<std::uint32_t> Contest::solve(ChecksumSum sum) const {
  const std::uint32_t count = runs_ > kMaxDoubts ? 1 : runs_;
  std::optional<std::uint32_t> found;
  for (std::uint32_t choices = 1; choices < 1U << count; ++choices) {
    ChecksumSum version = sum;
    bool says_something = true;
    for (std::uint32_t i = 0; i < count; ++i) {
      if ((choices >> i & 1) == 0) continue;
      version += differences_[i];
      says_something = says_something && differences_[i] % 0xffff != 0;
    }
    if (!says_something || !checksum_is_good(version)) continue;
    if (found) return std::nullopt;
    found = choices;
  }
  return found;
}

void Contest::put_in(std::uint32_t choices) {
  UnitRange run = store_.next_run(losers_, 0);
  for (std::uint32_t i = 0; run.begin != run.end; run = store_.next_run(losers_, run.end), ++i) {
    if ((choices >> choice_of(i) & 1) == 0) continue;
    for_each_piece(run, [&](std::size_t offset, ByteView bytes) {
      std::memcpy(data_.data() + offset, bytes.data(), bytes.size());
    });
  }
}

}  // namespace

bool choose_by_checksum(std::span<std::uint8_t> datagram, std::uint32_t header_bytes,
                        const FragmentStore& store, const FragmentMap& losers) {
  constexpr std::size_t kAddressesBytes = 8;
  const std::span<std::uint8_t> data = datagram.subspan(header_bytes);
  const ChecksumSum sum =
      pseudo_header_sum({datagram.data() + kIpv4SourceOffset, kAddressesBytes}, kTcpProtocol) +
      pseudo_length_sum(static_cast<std::uint32_t>(data.size())) + checksum_sum(data);
  if (checksum_is_good(sum)) return false;
  Contest contest(data, store, losers);
  contest.weigh();
  const std::optional<std::uint32_t> choices = contest.solve(sum);
  if (choices) contest.put_in(*choices);
  return choices.has_value();
}

}  // namespace flowloom
