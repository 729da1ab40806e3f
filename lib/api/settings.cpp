#include "api/settings.hpp"

#include "base/random_seed.hpp"
#include "pipeline/front_settings.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <stdexcept>

namespace flowloom {

namespace {

/// What the timer wheel keeps exactly, and what leaves room for sums.
constexpr std::chrono::nanoseconds kShortestTimeout = std::chrono::milliseconds{100};
constexpr std::chrono::nanoseconds kLongestTimeout = std::chrono::seconds{1'000'000'000};
constexpr std::uint32_t kFewestFlows = 16;
constexpr std::uint32_t kMostFlows = 200'000'000;
constexpr std::uint64_t kLeastMemory = std::uint64_t{1} << 20;
constexpr std::uint64_t kMostMemory = std::uint64_t{1} << 46;
constexpr unsigned kMostWorkers = 64;

constexpr std::array<std::string_view, 3> kChecksumNames = {"auto", "all", "none"};

[[noreturn]] void refuse(const std::string& sentence) { throw std::invalid_argument(sentence); }

template <class Value>
Value known(const std::optional<Value>& value, std::string_view option, std::string_view word) {
  if (!value) refuse(fmt::format("{}: '{}' is no name of one", option, word));
  return *value;
}

void check_timeout(std::string_view name, std::chrono::nanoseconds value) {
  if (value < kShortestTimeout || value > kLongestTimeout) {
    refuse(fmt::format("{} is not from 0.1 to 1000000000 seconds", name));
  }
}

void check_numbers(const ExtractorOptions& o) {
  check_timeout("idle_timeout", o.idle_timeout);
  check_timeout("syn_timeout", o.syn_timeout);
  check_timeout("closed_timeout", o.closed_timeout);
  check_timeout("scan_delay", o.scan_delay);
  if (o.max_flows < kFewestFlows || o.max_flows > kMostFlows) {
    refuse(fmt::format("max_flows is not from {} to {}", kFewestFlows, kMostFlows));
  }
  if (o.memory < kLeastMemory || o.memory > kMostMemory) {
    refuse(fmt::format("memory is not from {} to {} bytes", kLeastMemory, kMostMemory));
  }
  if (o.workers < 1 || o.workers > kMostWorkers) {
    refuse(fmt::format("workers is not from 1 to {}", kMostWorkers));
  }
}

}  // namespace

ApiSettings settings_of(const ExtractorOptions& o) {
  check_numbers(o);
  ApiSettings s;
  s.shard.max_flows = o.max_flows;
  s.shard.reorder_bytes = o.memory;
  s.shard.idle_timeout = o.idle_timeout;
  s.shard.syn_timeout = o.syn_timeout;
  s.shard.closed_timeout = o.closed_timeout;
  s.shard.seed = random_seed();
  s.shard.checksum = known(value_named<ChecksumMode>(kChecksumNames, o.checksum), "checksum",
                           o.checksum);
  TcpSettings& tcp = s.shard.tcp;
  tcp.overlap = known(overlap_policy_from_name(o.overlap), "overlap", o.overlap);
  tcp.deliver = known(value_named<DeliverWhen>(kDeliverNames, o.deliver), "deliver", o.deliver);
  tcp.urgent = known(value_named<UrgentMode>(kUrgentNames, o.urgent), "urgent", o.urgent);
  if (o.scan_ports != 0) s.shard.probes = ReportProbes::Yes;
  if (o.depth != 0) {
    tcp.depth = static_cast<StreamOffset>(
        std::min<std::uint64_t>(o.depth, std::numeric_limits<StreamOffset>::max()));
  }
  DefragmentSettings defragment;
  defragment.ipv4_overlap = known(fragment_overlap_from_name(o.fragment_overlap),
                                  "fragment_overlap", o.fragment_overlap);
  s.front = front_settings(s.shard, defragment);
  if (o.workers > 1 && (o.packets == PacketEvents::Yes || tcp.urgent == UrgentMode::Oob)) {
    refuse("with several workers there are no events for packets and urgent bytes");
  }
  return s;
}

}  // namespace flowloom
