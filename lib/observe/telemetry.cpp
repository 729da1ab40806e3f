// See telemetry.hpp.
#include "observe/telemetry.hpp"

#include <rte_telemetry.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <string>
#include <string_view>

namespace flowloom {
namespace {

// What the commands show. A callback of DPDK has no place for it.
std::mutex shown_mutex;
const StatusBoard* shown = nullptr;

std::shared_ptr<const LiveStatus> shown_status() {
  const std::lock_guard lock(shown_mutex);
  return shown == nullptr ? std::make_shared<LiveStatus>() : shown->latest();
}

/// Keys may have letters, digits and underscores.
std::string key_of(std::string_view name) {
  std::string key(name);
  std::replace(key.begin(), key.end(), '-', '_');
  return key;
}

class Dict {
 public:
  explicit Dict(rte_tel_data* data) : data_(data) { rte_tel_data_start_dict(data_); }
  void add(std::string_view name, std::uint64_t value) {
    rte_tel_data_add_dict_u64(data_, key_of(name).c_str(), value);
  }
  /// A dictionary of every name with its count.
  template <class Names, class Counts>
  void add(std::string_view name, const Names& names, const Counts& counts) {
    Dict inner(rte_tel_data_alloc());
    for (std::size_t i = 0; i < names.size(); ++i) inner.add(names[i], counts[i]);
    add(name, inner);
  }
  void add(std::string_view name, const Dict& inner) {
    rte_tel_data_add_dict_container(data_, key_of(name).c_str(), inner.data_, 0);
  }

 private:
  rte_tel_data* data_;
};

Dict new_dict() { return Dict(rte_tel_data_alloc()); }

std::uint64_t milliseconds(std::chrono::nanoseconds time) {
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::milliseconds>(time).count());
}

int show_stats(const char*, const char*, rte_tel_data* data) {
  const auto status = shown_status();
  const LedgerSnapshot& ledger = status->ledger;
  Dict all(data);
  all.add("uptime_ms", milliseconds(status->elapsed));
  all.add("received", ledger.packets_received);
  all.add("missed", ledger.packets_missed);
  all.add("handed_over", ledger.packets_handed_over);
  all.add("verdicts", kVerdictNames, ledger.verdicts);
  all.add("payload_seen", ledger.payload_seen);
  all.add("fates", kFateNames, ledger.fates);
  Dict writers = new_dict();
  for (const WriterStatus& writer : ledger.writers) {
    Dict one = new_dict();
    one.add("records", writer.records);
    one.add("dropped", writer.dropped);
    one.add("bytes", writer.bytes);
    writers.add(writer.name, one);
  }
  all.add("writers", writers);
  return 0;
}

int show_flows(const char*, const char*, rte_tel_data* data) {
  const auto status = shown_status();
  Dict all(data);
  all.add("created", status->ledger.connections_created);
  all.add("open", status->connections_open);
  all.add("closed", kCloseReasonNames, status->ledger.connections_closed);
  return 0;
}

int show_lcores(const char*, const char*, rte_tel_data* data) {
  const auto status = shown_status();
  Dict all(data);
  for (const ThreadStatus& thread : status->threads) {
    Dict one = new_dict();
    one.add("packets", thread.report.ledger.received);
    one.add("idle_ms", milliseconds(thread.report.idle));
    one.add("silent_ms", milliseconds(status->at - thread.answered));
    one.add("writer_waits", thread.report.writer_waits);
    for (std::size_t i = 0; i < kResourceNames.size(); ++i) {
      const Level& level = thread.report.levels[i];
      if (level.capacity == 0) continue;
      Dict both = new_dict();
      both.add("used", level.used);
      both.add("capacity", level.capacity);
      one.add(kResourceNames[i], both);
    }
    all.add(thread.name, one);
  }
  return 0;
}

}  // namespace

TelemetryCommands::TelemetryCommands(const StatusBoard& board) {
  {
    const std::lock_guard lock(shown_mutex);
    shown = &board;
  }
  // A name that is there already is ours, of before: DPDK forgets none.
  rte_telemetry_register_cmd("/flowloom/stats", show_stats,
                             "Packets by verdict, payload by fate, writers. No parameter");
  rte_telemetry_register_cmd("/flowloom/flows", show_flows,
                             "Connections: created, open, closed by reason. No parameter");
  rte_telemetry_register_cmd("/flowloom/lcores", show_lcores,
                             "Each thread: packets, idle time, levels. No parameter");
}

TelemetryCommands::~TelemetryCommands() {
  const std::lock_guard lock(shown_mutex);
  shown = nullptr;
}

}  // namespace flowloom
