// See text.hpp. Numbers are written by std::to_chars; dates follow std::chrono's civil calendar.
#include "sinks/text.hpp"

#include "sinks/descriptor.hpp"
#include "sinks/write_patience.hpp"

#include <fmt/format.h>

#include <chrono>
#include <system_error>

namespace flowloom {
namespace {

constexpr int kHex = 16;
constexpr std::size_t kV4Begin = 12;  // an IPv4 address ends the 16 bytes
constexpr int kGroups = 8;  // of 16 bits in an IPv6 address

/// Exactly `Width` digits, zeros in front.
template <unsigned Width, std::size_t Capacity>
void push_padded(FixedText<Capacity>& out, std::uint32_t value) {
  std::array<char, Width> digits;
  for (std::size_t i = Width; i-- > 0; value /= 10) {
    digits[i] = static_cast<char>('0' + value % 10);
  }
  out.push(std::string_view(digits.data(), Width));
}

template <std::size_t Capacity>
void push_v4(FixedText<Capacity>& out, const std::uint8_t* four) {
  for (int i = 0; i < 4; ++i) {
    if (i > 0) out.push('.');
    out.push_number(four[i]);
  }
}

struct ZeroRun {
  int first = -1;
  int count = 0;
};

/// The run that "::" stands for: the longest of two groups or more, the first of equals
/// (RFC 5952, section 4.2).
ZeroRun longest_zero_run(const std::uint8_t* bytes) {
  ZeroRun best;
  ZeroRun current;
  for (int group = 0; group < kGroups; ++group) {
    if (load_be16(bytes + 2 * group) != 0) {
      current = {};
      continue;
    }
    if (current.count == 0) current.first = group;
    ++current.count;
    if (current.count > best.count) best = current;
  }
  return best.count >= 2 ? best : ZeroRun{};
}

void push_v6(AddressText& out, const IpAddress& address) {
  const std::uint8_t* bytes = address.bytes.data();
  if (address.is_v4()) {  // RFC 5952, section 5
    out.push("::ffff:");
    push_v4(out, bytes + kV4Begin);
    return;
  }
  const ZeroRun run = longest_zero_run(bytes);
  for (int group = 0; group < kGroups; ++group) {
    if (group == run.first) {
      out.push("::");
      group += run.count - 1;
      continue;
    }
    if (group > 0 && group != run.first + run.count) out.push(':');
    out.push_number(load_be16(bytes + 2 * group), kHex);
  }
}

void push_name_part(FileName& out, const Endpoint& endpoint, IpFamily family) {
  if (family == IpFamily::V4) {
    push_v4(out, endpoint.address.bytes.data() + kV4Begin);
  } else {
    const AddressText address = format_address(endpoint.address, family);
    for (const char c : address.view()) out.push(c == ':' ? '-' : c);
  }
  out.push('.');
  out.push_number(endpoint.port);
}

}  // namespace

AddressText format_address(const IpAddress& address, IpFamily family) {
  AddressText out;
  if (family == IpFamily::V4) {
    push_v4(out, address.bytes.data() + kV4Begin);
  } else {
    push_v6(out, address);
  }
  return out;
}

EndpointText format_endpoint(const Endpoint& endpoint, IpFamily family) {
  EndpointText out;
  if (family == IpFamily::V6) out.push('[');
  out.push(format_address(endpoint.address, family).view());
  if (family == IpFamily::V6) out.push(']');
  out.push(':');
  out.push_number(endpoint.port);
  return out;
}

StampText format_rfc3339(Timestamp stamp) {
  constexpr std::int64_t kNanosecondsPerSecond = 1'000'000'000;
  constexpr std::int64_t kSecondsPerDay = 86'400;
  const std::int64_t ns = to_nanoseconds(stamp);
  // Rounded down, so that the fraction is positive before 1970 as well.
  const std::int64_t fraction =
      (ns % kNanosecondsPerSecond + kNanosecondsPerSecond) % kNanosecondsPerSecond;
  const std::int64_t seconds = ns / kNanosecondsPerSecond - (ns % kNanosecondsPerSecond < 0);
  const std::int64_t second_of_day = (seconds % kSecondsPerDay + kSecondsPerDay) % kSecondsPerDay;
  const std::int64_t day = (seconds - second_of_day) / kSecondsPerDay;
  const std::chrono::year_month_day date{
      std::chrono::sys_days{std::chrono::days{static_cast<int>(day)}}};
  StampText out;
  push_padded<4>(out, static_cast<std::uint32_t>(static_cast<int>(date.year())));
  out.push('-');
  push_padded<2>(out, static_cast<unsigned>(date.month()));
  out.push('-');
  push_padded<2>(out, static_cast<unsigned>(date.day()));
  out.push('T');
  const auto clock = static_cast<std::uint32_t>(second_of_day);
  push_padded<2>(out, clock / 3600);
  out.push(':');
  push_padded<2>(out, clock / 60 % 60);
  out.push(':');
  push_padded<2>(out, clock % 60);
  out.push('.');
  push_padded<9>(out, static_cast<std::uint32_t>(fraction));
  out.push('Z');
  return out;
}

FileName format_stream_name(const ConnectionRecord& record, Direction direction,
                            std::string_view uid) {
  FileName out;
  push_name_part(out, record.side(direction).endpoint, family_of(record));
  out.push('-');
  push_name_part(out, record.side(reverse(direction)).endpoint, family_of(record));
  out.push('-');
  out.push(uid);
  return out;
}

std::string describe_errno(int error) {
  if (error == kStoodStill) {
    return fmt::format("it took nothing for {} s when the run was to end", kEndPatience.count());
  }
  return std::generic_category().message(error);
}

}  // namespace flowloom
