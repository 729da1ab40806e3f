// See flow_filter.hpp.
#include "sinks/flow_filter.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace flowloom {

bool FlowFilter::matches(const ConnectionRecord& record, std::string_view its_uid) const {
  const auto& sides = record.sides;
  const auto either = [&sides](auto&& holds) {
    return std::any_of(sides.begin(), sides.end(), holds);
  };
  if (host && !either([&](const SideRecord& s) { return s.endpoint.address == *host; })) {
    return false;
  }
  if (port && !either([&](const SideRecord& s) { return s.endpoint.port == *port; })) return false;
  if (!its_uid.starts_with(uid)) return false;
  if (close && record.close != *close) return false;
  if (only_gaps && sides[0].gap_count + sides[1].gap_count == 0) return false;
  return sides[0].stream_bytes + sides[1].stream_bytes >= bytes_min;
}

std::optional<IpAddress> parse_address(const std::string& text) {
  std::array<std::uint8_t, 16> bytes{};
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return IpAddress::v4(bytes.data());
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return IpAddress::v6(bytes.data());
  return std::nullopt;
}

}  // namespace flowloom
