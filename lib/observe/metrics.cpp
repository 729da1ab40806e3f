// See metrics.hpp.
#include "observe/metrics.hpp"

#include <algorithm>
#include <chrono>
#include <initializer_list>
#include <string>
#include <utility>

namespace flowloom {
namespace {

using prometheus::ClientMetric;
using prometheus::MetricFamily;
using prometheus::MetricType;

enum class Metric : std::uint8_t {
#define METRIC(symbol, name, type, labels, help) symbol,
#include "observe/metrics.def"
#undef METRIC
};

struct Label {
  const char* name;
  std::string_view value;
};
using Labels = std::initializer_list<Label>;

/// All families of the table, filled by symbol.
class Families {
 public:
  Families() {
#define METRIC(symbol, name, type, labels, help) \
  families_.push_back({name, help, MetricType::type, {}});
#include "observe/metrics.def"
#undef METRIC
  }

  void set(Metric which, double value, Labels labels = {}) {
    MetricFamily& family = families_[static_cast<std::size_t>(which)];
    ClientMetric metric;
    for (const Label& label : labels) {
      metric.label.push_back({label.name, std::string(label.value)});
    }
    if (family.type == MetricType::Counter) {
      metric.counter.value = value;
    } else {
      metric.gauge.value = value;
    }
    family.metric.push_back(std::move(metric));
  }
  void count(Metric which, std::uint64_t value, Labels labels = {}) {
    set(which, static_cast<double>(value), labels);
  }
  /// A count for each name.
  template <class Names, class Counts>
  void counts(Metric which, const char* label, const Names& names, const Counts& values) {
    for (std::size_t i = 0; i < names.size(); ++i) count(which, values[i], {{label, names[i]}});
  }

  std::vector<MetricFamily> take() { return std::move(families_); }

 private:
  std::vector<MetricFamily> families_;
};

void add_ledger(Families& families, const LedgerSnapshot& ledger) {
  families.count(Metric::Received, ledger.packets_received);
  families.count(Metric::Missed, ledger.packets_missed);
  families.count(Metric::HandedOver, ledger.packets_handed_over);
  for (const InterfaceStatus& interface : ledger.interfaces) {
    const Labels labels = {{"interface", interface.name}};
    families.count(Metric::InterfacePackets, interface.received, labels);
    families.count(Metric::InterfaceMissed, interface.missed, labels);
  }
  families.counts(Metric::Verdicts, "verdict", kVerdictNames, ledger.verdicts);
  families.count(Metric::BadStamps, ledger.bad_timestamps);
  families.count(Metric::PayloadSeen, ledger.payload_seen);
  families.counts(Metric::Fates, "fate", kFateNames, ledger.fates);
  families.count(Metric::ShedBytes, ledger.shed.bytes);
  families.count(Metric::ShedRecords, ledger.shed.records);
  for (const NamedCount& datagram : ledger.datagrams) {
    families.count(Metric::Datagrams, datagram.count, {{"outcome", datagram.name}});
  }
  families.count(Metric::Created, ledger.connections_created);
  families.counts(Metric::Closed, "reason", kCloseReasonNames, ledger.connections_closed);
  families.counts(Metric::Evicted, "class", kEvictionClassNames, ledger.evicted);
  for (const std::string_view limit : kLimitNames) {
    const bool reached = std::find(ledger.limits.begin(), ledger.limits.end(), limit) !=
                         ledger.limits.end();
    families.set(Metric::Limits, reached ? 1 : 0, {{"limit", limit}});
  }
  for (const WriterStatus& writer : ledger.writers) {
    const Labels labels = {{"writer", writer.name}};
    families.count(Metric::WriterRecords, writer.records, labels);
    families.count(Metric::WriterBytes, writer.bytes, labels);
    families.count(Metric::WriterDropped, writer.dropped, labels);
    families.count(Metric::WriterDroppedBytes, writer.dropped_bytes, labels);
    families.count(Metric::WriterRotations, writer.rotations, labels);
  }
}

void add_thread(Families& families, const ThreadStatus& thread,
                std::chrono::steady_clock::time_point now) {
  const ThreadReport& report = thread.report;
  const Labels labels = {{"thread", thread.name}};
  families.count(Metric::ThreadPackets, report.ledger.received, labels);
  families.set(Metric::ThreadIdle, seconds_of(report.idle), labels);
  families.set(Metric::ThreadAge, seconds_of(now - thread.answered), labels);
  families.count(Metric::ThreadWaits, report.writer_waits, labels);
  for (std::size_t i = 0; i < kResourceNames.size(); ++i) {
    const Level& level = report.levels[i];
    if (level.capacity == 0) continue;
    const Labels both = {{"thread", thread.name}, {"resource", kResourceNames[i]}};
    families.count(Metric::LevelUsed, level.used, both);
    families.count(Metric::LevelCapacity, level.capacity, both);
  }
}

}  // namespace

std::vector<MetricFamily> make_metrics(const LiveStatus& status, const MetricsContext& context) {
  Families families;
  families.set(Metric::Info, 1, {{"version", context.version}});
  families.set(Metric::Uptime, seconds_of(status.elapsed));
  add_ledger(families, status.ledger);
  families.count(Metric::Open, status.connections_open);
  for (const ThreadStatus& thread : status.threads) add_thread(families, thread, status.at);
  families.count(Metric::Reserved, status.reserved_bytes);
  if (context.resident_bytes > 0) families.count(Metric::Resident, context.resident_bytes);
  return families.take();
}

}  // namespace flowloom
