// See alerts_sink.hpp. A doubled brace is fmt's spelling of one.
#include "sinks/alerts_sink.hpp"

#include <fmt/compile.h>

#include <algorithm>
#include <iterator>

namespace flowloom {
namespace {

using Text = fmt::memory_buffer;

/// So many ports, hosts and uids are listed of a scan; they are counted beyond.
constexpr std::size_t kListedMax = 32;

void put(Text& out, std::string_view text) {
  out.append(text.data(), text.data() + text.size());
}

IpFamily family_of(const ScanAlarm& alarm) { return alarm.ipv6 ? IpFamily::V6 : IpFamily::V4; }

/// `,"key":{"name":count,...}` of what was counted.
template <class Names, class Counts>
void put_counts(Text& out, std::string_view key, const Names& names, const Counts& counts) {
  fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"(,"{}":{{)"), key);
  bool first = true;
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (counts[i] == 0) continue;
    fmt::format_to(std::back_inserter(out), FMT_COMPILE(R"({}"{}":{})"), first ? "" : ",",
                   names[i], counts[i]);
    first = false;
  }
  put(out, "}");
}

/// The distinct values of a member, in the order in which they came.
template <class Value>
std::vector<Value> distinct(std::span<const ScanContact> contacts, Value ScanContact::*member) {
  std::vector<Value> values;
  for (const ScanContact& contact : contacts) values.push_back(contact.*member);
  std::vector<std::size_t> order(values.size());
  for (std::size_t i = 0; i < order.size(); ++i) order[i] = i;
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t a, std::size_t b) { return values[a] < values[b]; });
  const auto same = [&](std::size_t a, std::size_t b) { return values[a] == values[b]; };
  order.erase(std::unique(order.begin(), order.end(), same), order.end());
  std::sort(order.begin(), order.end());
  std::vector<Value> kept;
  for (const std::size_t i : order) kept.push_back(values[i]);
  return kept;
}

ScanProbe probe_of(StreamEvent& event) {
  const StreamMessage& message = event.message();
  const ConnectionRecord& record = message.record;
  const Endpoint& target = record.side(reverse(message.probe.sender)).endpoint;
  ScanProbe probe;
  probe.source = record.side(message.probe.sender).endpoint.address;
  probe.target = target.address;
  probe.port = target.port;
  probe.flags = message.probe.flags;
  probe.kind = message.probe.kind;
  probe.answer = message.probe.answer;
  probe.ipv6 = record.ipv6;
  probe.clock = message.key.clock;
  probe.stamp = record.start;
  const std::string_view uid = event.uid();
  uid.copy(probe.tag.data(), probe.tag.size());
  return probe;
}

}  // namespace

void AlertsSink::consume_probe(StreamEvent& event) {
  write_ended(event.message().key.clock);
  if (const ScanAlarm* alarm = detector_.add(probe_of(event))) write_alarm(*alarm);
}

void AlertsSink::finish() {
  while (const std::optional<ScanTotals> totals = detector_.take_any()) write_totals(*totals);
  write_losses();
  output_.flush();
}

void AlertsSink::write_ended(Timestamp now) {
  while (const std::optional<ScanTotals> totals = detector_.take_ended(now)) write_totals(*totals);
}

void AlertsSink::write_alarm(const ScanAlarm& alarm) {
  const ScanContact& first = alarm.contacts.front();
  const ScanContact& last = alarm.contacts.back();
  fmt::format_to(std::back_inserter(text_),
                 FMT_COMPILE(R"({{"ts":"{}","kind":"port-scan","scan":"{}","across":"{}",)"
                             R"("source":"{}","first":"{}","last":"{}")"),
                 format_rfc3339(last.stamp).view(),
                 kScanKindNames[static_cast<std::size_t>(alarm.scan)],
                 kScanSpreadNames[static_cast<std::size_t>(alarm.spread)],
                 format_address(alarm.source, family_of(alarm)).view(),
                 format_rfc3339(first.stamp).view(), format_rfc3339(last.stamp).view());
  write_lists(alarm);
  end_line();
}

void AlertsSink::write_lists(const ScanAlarm& alarm) {
  const auto comma = [](std::size_t i) { return i > 0 ? "," : ""; };
  const std::vector<IpAddress> targets = distinct(alarm.contacts, &ScanContact::target);
  fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"(,"target_count":{},"targets":[)"),
                 targets.size());
  for (std::size_t i = 0; i < std::min(targets.size(), kListedMax); ++i) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"({}"{}")"), comma(i),
                   format_address(targets[i], family_of(alarm)).view());
  }
  const std::vector<std::uint16_t> ports = distinct(alarm.contacts, &ScanContact::port);
  fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"(],"port_count":{},"ports":[)"),
                 ports.size());
  for (std::size_t i = 0; i < std::min(ports.size(), kListedMax); ++i) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE("{}{}"), comma(i), ports[i]);
  }
  put(text_, "]");
  std::array<std::uint64_t, kScanKindNames.size()> kinds{};
  std::array<std::uint64_t, kProbeAnswerNames.size()> answers{};
  for (const ScanContact& contact : alarm.contacts) {
    ++kinds[static_cast<std::size_t>(contact.kind)];
    ++answers[static_cast<std::size_t>(contact.answer)];
  }
  put_counts(text_, "kinds", kScanKindNames, kinds);
  put_counts(text_, "answers", kProbeAnswerNames, answers);
  put(text_, R"(,"uids":[)");
  for (std::size_t i = 0; i < std::min(alarm.contacts.size(), kListedMax); ++i) {
    fmt::format_to(std::back_inserter(text_), FMT_COMPILE(R"({}"{}")"), comma(i),
                   std::string_view(alarm.contacts[i].tag.data(), kUidLength));
  }
  put(text_, "]");
}

void AlertsSink::write_totals(const ScanTotals& totals) {
  fmt::format_to(std::back_inserter(text_),
                 FMT_COMPILE(R"({{"ts":"{}","kind":"port-scan-end","source":"{}","first":"{}",)"
                             R"("last":"{}","probes":{},"target_count":{},{}"port_count":{})"),
                 format_rfc3339(totals.last).view(),
                 format_address(totals.source, totals.ipv6 ? IpFamily::V6 : IpFamily::V4).view(),
                 format_rfc3339(totals.first).view(), format_rfc3339(totals.last).view(),
                 totals.probes, totals.targets,
                 totals.more_targets ? R"("more_targets":true,)" : "", totals.ports);
  put_counts(text_, "kinds", kScanKindNames, totals.kinds);
  put_counts(text_, "answers", kProbeAnswerNames, totals.answers);
  end_line();
}

void AlertsSink::write_losses() {
  const ScanLosses& losses = detector_.losses();
  if (losses.sources_forgotten + losses.scans_not_counted == 0) return;
  fmt::format_to(std::back_inserter(text_),
                 FMT_COMPILE(R"({{"kind":"port-scan-limits","sources_forgotten":{},)"
                             R"("scans_not_counted":{})"),
                 losses.sources_forgotten, losses.scans_not_counted);
  end_line();
}

void AlertsSink::end_line() {
  put(text_, "}\n");
  output_.append({text_.data(), text_.size()});
  output_.end_record();
  text_.clear();
}

}  // namespace flowloom
