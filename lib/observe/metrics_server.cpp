// See metrics_server.hpp.
#include "observe/metrics_server.hpp"

#include "observe/metrics.hpp"
#include "sinks/descriptor.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <prometheus/collectable.h>
#include <prometheus/exposer.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <stdexcept>

namespace flowloom {
namespace {

/// Whoever asks is a machine that comes every few seconds.
constexpr std::size_t kThreads = 1;

/// Whether a text is an IPv4 address of 127.0.0.0/8.
bool is_loopback(const std::string& text) {
  constexpr std::uint32_t kNetwork = 127;
  in_addr address{};
  return ::inet_pton(AF_INET, text.c_str(), &address) == 1 &&
         ntohl(address.s_addr) >> 24 == kNetwork;
}

/// Memory in use, of a descriptor of /proc/self/statm: nothing has to be opened later, when the
/// process may have lost the right to.
std::uint64_t resident_bytes(const Descriptor& statm) {
  std::array<char, 128> text{};
  unsigned long long pages = 0;
  if (::pread(statm.get(), text.data(), text.size() - 1, 0) <= 0 ||
      std::sscanf(text.data(), "%*u %llu", &pages) != 1) {
    return 0;
  }
  return pages * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

class Collector final : public prometheus::Collectable {
 public:
  Collector(const StatusBoard& board, std::string_view version)
      : board_(board), version_(version) {}

  std::vector<prometheus::MetricFamily> Collect() const override {
    return make_metrics(*board_.latest(),
                        {.version = version_, .resident_bytes = resident_bytes(statm_)});
  }

 private:
  const StatusBoard& board_;
  const std::string version_;
  const Descriptor statm_{::open("/proc/self/statm", O_RDONLY | O_CLOEXEC)};
};

}  // namespace

std::optional<std::string> parse_metrics_address(std::string_view text) {
  const std::size_t colon = text.rfind(':');
  std::string host(colon == std::string_view::npos ? "127.0.0.1" : text.substr(0, colon));
  const std::string_view digits = colon == std::string_view::npos ? text : text.substr(colon + 1);
  std::uint16_t port = 0;
  const char* const end = digits.data() + digits.size();
  const auto read = std::from_chars(digits.data(), end, port);
  if (digits.empty() || read.ec != std::errc{} || read.ptr != end) return std::nullopt;
  if (host == "localhost") host = "127.0.0.1";
  if (!is_loopback(host)) return std::nullopt;
  return fmt::format("{}:{}", host, port);
}

struct MetricsServer::Parts {
  Parts(const StatusBoard& board, const std::string& address, std::string_view version)
      : collector(std::make_shared<Collector>(board, version)), exposer(address, kThreads) {
    exposer.RegisterCollectable(collector);
  }
  std::shared_ptr<Collector> collector;
  prometheus::Exposer exposer;
};

MetricsServer::MetricsServer(const StatusBoard& board, const std::string& address,
                             std::string_view version) {
  try {
    parts_ = std::make_unique<Parts>(board, address, version);
  } catch (const std::exception&) {  // civetweb gives no reason
    throw std::runtime_error(fmt::format("nothing can listen on {} for --metrics", address));
  }
  const std::vector<int> ports = parts_->exposer.GetListeningPorts();
  url_ = fmt::format("http://{}:{}/metrics", address.substr(0, address.rfind(':')),
                     ports.empty() ? 0 : ports.front());
}

MetricsServer::~MetricsServer() = default;

}  // namespace flowloom
