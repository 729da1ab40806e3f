// Which connections of an output folder are shown: by address, port, uid, end and size.
#pragma once

#include "stream/connection_record.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace flowloom {

struct FlowFilter {
  std::optional<IpAddress> host;      ///< either side's
  std::optional<std::uint16_t> port;  ///< either side's
  std::string uid;                    ///< or how it begins
  std::optional<CloseReason> close;
  std::uint64_t bytes_min = 0;        ///< delivered, both directions
  bool only_gaps = false;             ///< some bytes are missing

  [[nodiscard]] bool is_empty() const {
    return !host && !port && uid.empty() && !close && bytes_min == 0 && !only_gaps;
  }
  [[nodiscard]] bool matches(const ConnectionRecord& record, std::string_view its_uid) const;
};

/// "10.1.1.1" or "2001:db8::1"; nothing where it is neither.
std::optional<IpAddress> parse_address(const std::string& text);

}  // namespace flowloom
