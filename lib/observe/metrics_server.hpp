// Serves /metrics on a loopback address, on threads of its own. It shows what the control thread
// published last and touches nothing of the data path. There is no authentication, which is why
// no other address is taken: a proxy in front of it decides who may look.
#pragma once

#include "observe/live_status.hpp"

#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace flowloom {

/// "127.0.0.1:9464" of "9464", "127.0.0.1:9464" or "localhost:9464"; nothing where that is no
/// loopback address with a port. IPv4 only: Debian's civetweb has no IPv6.
std::optional<std::string> parse_metrics_address(std::string_view text);

class MetricsServer {
 public:
  /// Begins to serve. `board` outlives it; `address` as parse_metrics_address() gives it.
  /// Throws std::runtime_error where nothing can listen there.
  MetricsServer(const StatusBoard& board, const std::string& address, std::string_view version);
  ~MetricsServer();

  /// "http://127.0.0.1:9464/metrics", with the port that was taken for port 0.
  [[nodiscard]] const std::string& url() const { return url_; }

 private:
  struct Parts;
  std::unique_ptr<Parts> parts_;
  std::string url_;
};

}  // namespace flowloom
