#include "support/script_runner.hpp"

#include <algorithm>
#include <array>
#include <map>
#include <set>
#include <sstream>
#include <stdexcept>

#include "support/recording_consumer.hpp"
#include "support/shard_runner.hpp"

namespace flowloom::test {

namespace {

constexpr std::array<std::uint32_t, 6> kIsns = {0,           1,           0x7fffffff,
                                                0x80000000u, 0xfffffff5u, 0xffffffffu};
constexpr std::array<std::uint32_t, 3> kBursts = {1, 7, 32};
constexpr std::uint16_t kRightPort = 80;
const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);

std::string quoted(const std::string& bytes) {
  constexpr std::size_t kShown = 60;
  std::string text = "\"";
  for (const char c : bytes.substr(0, kShown)) text += c >= 0x20 && c < 0x7f ? c : '?';
  return text + (bytes.size() > kShown ? "...\" (" + std::to_string(bytes.size()) + ")" : "\"");
}

/// What was counted under a name. A name that nothing has counts nothing: a script may be older
/// than the rule that it asks for.
template <class Names, class Counts>
std::uint64_t count_of(const Names& names, const Counts& counts, const std::string& name) {
  for (std::size_t i = 0; i < names.size(); ++i) {
    if (names[i] == name) return counts[i];
  }
  return 0;
}

/// The options between < and > of a script.
void add_options(PacketBuilder& packet, const std::string& text) {
  std::istringstream in(text);
  std::string item;
  while (std::getline(in, item, ',')) {
    std::istringstream words(item);
    std::string name;
    std::uint32_t a = 0;
    std::uint32_t b = 0;
    words >> name;
    if (name == "raw" || name == "ip") { // hexadecimal bytes of one option
      std::vector<std::uint8_t> bytes;
      for (std::string hex; words >> hex;) {
        bytes.push_back(static_cast<std::uint8_t>(std::stoi(hex, nullptr, 16)));
      }
      name == "raw" ? packet.option(bytes) : packet.ip_options(bytes);
      continue;
    }
    if (name == "ext") {
      for (std::string header; words >> header;) packet.extension(header);
      continue;
    }
    words >> a >> b;
    if (name == "mss") {
      packet.mss(static_cast<std::uint16_t>(a));
    } else if (name == "ws") {
      packet.window_scale(static_cast<std::uint8_t>(a));
    } else if (name == "sackok") {
      packet.sack_permitted();
    } else if (name == "ts") {
      packet.timestamps(a, b);
    } else {
      throw std::runtime_error("unknown option: " + name);
    }
  }
}

std::uint64_t datagrams(const Ledger& ledger, const DefragmentCounters& counters,
                        const std::string& name) {
  constexpr auto kBadChecksum = static_cast<std::size_t>(Verdict::BadTcpChecksum);
  const std::map<std::string, std::uint64_t> counts = {
      {"reassembled", counters.reassembled}, {"expired", counters.expired},
      {"discarded", counters.discarded},     {"overlaps", counters.overlaps},
      {"overlap_conflicts", counters.overlap_conflicts},
      {"decided_by_checksum", counters.decided_by_checksum},
      {"bad_checksum", ledger.datagram_verdicts[kBadChecksum]}};
  return counts.at(name);
}

/// What a segment says of the layers below TCP.
void set_ip_header(PacketBuilder& packet, const ScriptSegment& segment) {
  packet.hop_limit(segment.ttl).ip_id(segment.ip_id).protocol(segment.protocol);
  if (segment.ip_length) packet.ip_length(*segment.ip_length);
  if (segment.ip_header_words) packet.ip_header_words(*segment.ip_header_words);
  if (segment.data_offset) packet.data_offset(*segment.data_offset);
  if (segment.ip_sum == PacketBuilder::Checksum::Bad) packet.bad_ip_checksum();
  if (segment.quoted == ScriptSegment::Quoted::Yes) packet.quoted_in_icmp();
  packet.mac(segment.mac);
  if (segment.dont_fragment == ScriptSegment::DontFragment::Yes) packet.dont_fragment();
  for (const TunnelLayer& layer : segment.tunnels) packet.inside(layer);
}

ShardConfig config_of(const SegmentScript& script, const ScriptVariant& variant) {
  ShardConfig config = script.config;
  config.hold_first = variant.hold_first;
  return config;
}

class Player {
 public:
  Player(const SegmentScript& script, const ScriptVariant& variant,
         std::vector<Frame>* kept = nullptr)
      : script_(script), variant_(variant), kept_(kept),
        runner_(config_of(script, variant), consumer_, variant.burst, script.fragment_overlap) {}

  ScriptOutcome run();

 private:
  using Stream = std::pair<std::size_t, ScriptSide>;  // connection ordinal, sender

  /// Scripts number connections in the order of their first segments.
  [[nodiscard]] std::size_t ordinal(const ConnectionLog& log) const;

  void feed(Frame frame) {
    if (kept_ != nullptr) kept_->push_back(frame);
    runner_.feed(std::move(frame));
  }
  void send(const ScriptSegment& segment);
  void sweep(const ScriptSegment& segment);
  void send_piece(const ScriptSegment& segment, std::uint32_t skip, std::uint32_t count);
  [[nodiscard]] Endpoint endpoint(ScriptSide side, std::uint16_t port) const;
  [[nodiscard]] std::uint32_t isn(ScriptSide side) const {
    return side == ScriptSide::Left ? variant_.left_isn : variant_.right_isn;
  }

  void check_now(const ScriptStep& step);
  void check_claim(const ScriptStep& step, const Stream& stream);
  void check_data(const ScriptStep& step, const Stream& stream);
  void check_final();
  void check_final_step(const ScriptStep& step);
  void check_side_count(const ScriptStep& step);
  void check_urgent_offsets(const ScriptStep& step);
  void check_unclaimed();
  void check_counts();
  [[nodiscard]] std::vector<const StreamEvent*> unclaimed(const Stream& stream) const;
  [[nodiscard]] const ConnectionLog* connection(const ScriptStep& step);
  [[nodiscard]] Direction direction(const ConnectionLog& log, ScriptSide side) const;
  void fail(int line, const std::string& message) {
    failures_ += script_.name + ":" + std::to_string(line) + ": " + message + "\n";
  }

  const SegmentScript& script_;
  const ScriptVariant variant_;
  std::vector<Frame>* const kept_;  // where the frames go as well, or null
  RecordingConsumer consumer_;
  ShardRunner runner_;
  Timestamp now_ = kBase;
  bool finished_ = false;
  std::set<std::size_t> claimed_;    // events
  std::set<Stream> whole_;           // streams with a `bytes` line
  std::map<std::string, std::set<std::string>> named_;  // fates, verdicts, "anomaly N"
  std::string failures_;
};

Endpoint Player::endpoint(ScriptSide side, std::uint16_t port) const {
  const std::uint16_t own = side == ScriptSide::Left ? port : kRightPort;
  // In IPv4 the originator is the lower end point, in IPv6 the upper one.
  const bool v4 = variant_.version == ScriptVariant::Version::V4;
  const bool left = side == ScriptSide::Left || script_.hosts == SegmentScript::Hosts::One;
  if (!left && script_.hosts == SegmentScript::Hosts::Multicast) {
    constexpr std::array<std::uint8_t, 16> kGroup6 = {0xff, 0x02, 0, 0, 0, 0, 0, 0,
                                                      0,    0,    0, 0, 0, 0, 0, 5};
    constexpr std::array<std::uint8_t, 4> kGroup4 = {224, 0, 0, 5};
    return {v4 ? IpAddress::v4(kGroup4.data()) : IpAddress::v6(kGroup6.data()), own};
  }
  if (v4) return endpoint4(left ? 1 : 2, own);
  return endpoint6(left ? 9 : 3, own);
}

void Player::send(const ScriptSegment& segment) {
  const std::uint32_t size = segment.split == 0 ? segment.length : segment.split;
  const std::uint32_t pieces = size == 0 ? 1 : (segment.length + size - 1) / size;
  for (std::uint32_t n = 0; n < segment.times; ++n) {
    now_ += segment.delay;
    for (std::uint32_t i = 0; i < pieces; ++i) {
      const bool backwards = segment.order == ScriptSegment::Order::Reversed;
      const std::uint32_t skip = (backwards ? pieces - 1 - i : i) * size;
      send_piece(segment, skip, std::min(size, segment.length - skip));
    }
    if (segment.sweep > 1) sweep(segment);
  }
}

void Player::sweep(const ScriptSegment& segment) {
  ScriptSegment next = segment;
  for (std::uint32_t i = 1; i < segment.sweep; ++i) {
    ++next.port;
    send_piece(next, 0, next.length);
  }
}

void Player::send_piece(const ScriptSegment& segment, std::uint32_t skip, std::uint32_t count) {
  const ScriptSide other =
      segment.side == ScriptSide::Left ? ScriptSide::Right : ScriptSide::Left;
  const bool syn = segment.flags.find('S') != std::string::npos;
  const std::int64_t position = segment.seq - (syn ? 0 : 1);
  const std::string bytes = segment.text ? segment.text->substr(skip, count)
                                         : fill_bytes(segment.side, position + skip, count);
  PacketBuilder packet;
  packet.from(endpoint(segment.side, segment.port)).to(endpoint(other, segment.port));
  packet.flags(segment.flags).window(segment.window).urgent(segment.urgent);
  packet.seq(segment.raw_seq
                 ? *segment.raw_seq
                 : isn(segment.side) + static_cast<std::uint32_t>(segment.seq) + skip);
  if (segment.ack) packet.ack(isn(other) + static_cast<std::uint32_t>(*segment.ack));
  if (segment.raw_ack) packet.ack(*segment.raw_ack);
  packet.payload(bytes);
  add_options(packet, segment.options);
  for (const std::uint16_t id : segment.vlans) packet.vlan(id);
  packet.pad_to(segment.pad);
  packet.checksum(segment.sum);
  set_ip_header(packet, segment);
  // The script's number is of an IPv4 frame; an IPv6 header is 20 bytes longer.
  const std::size_t longer = variant_.version == ScriptVariant::Version::V4 ? 0 : 20;
  if (segment.snap != 0) packet.snap(segment.snap + longer);
  if (segment.fragments.empty() && segment.outer_fragments.empty()) feed(packet.build(now_));
  for (const FragmentRange& range : segment.fragments) {
    feed(packet.fragment(range).build(now_));
  }
  for (const FragmentRange& range : segment.outer_fragments) {
    feed(packet.outer_fragment(range).build(now_));
  }
}

std::size_t Player::ordinal(const ConnectionLog& log) const {
  const std::vector<ConnectionLog>& all = consumer_.connections();
  return 1 + static_cast<std::size_t>(
                 std::count_if(all.begin(), all.end(), [&](const ConnectionLog& other) {
                   return other.first_packet < log.first_packet;
                 }));
}

std::vector<const StreamEvent*> Player::unclaimed(const Stream& stream) const {
  std::vector<const StreamEvent*> events;
  for (std::size_t i = 0; i < consumer_.events().size(); ++i) {
    const StreamEvent& event = consumer_.events()[i];
    const bool of_stream =
        event.kind != StreamEvent::Kind::Open && event.kind != StreamEvent::Kind::Close;
    if (!of_stream || claimed_.count(i) != 0) continue;
    if (ordinal(consumer_.connections()[event.connection]) != stream.first) continue;
    if ((event.sender.port == kRightPort) != (stream.second == ScriptSide::Right)) continue;
    if (event.kind == StreamEvent::Kind::Data && whole_.count(stream) != 0) continue;
    events.push_back(&event);
  }
  return events;
}

void Player::check_data(const ScriptStep& step, const Stream& stream) {
  const std::vector<std::string>& words = step.expectation.words;
  const StreamOffset offset = std::stoll(words.at(1));
  const bool fill = words.at(2) == "fill";
  const std::string wanted =
      fill ? fill_bytes(stream.second, offset, std::stoull(words.at(3))) : words.at(2);
  std::string found;
  StreamOffset at = offset;
  for (const StreamEvent* event : unclaimed(stream)) {
    if (event->kind != StreamEvent::Kind::Data) break;
    if (found.empty()) at = event->offset;
    found += event->bytes;
    claimed_.insert(static_cast<std::size_t>(event - consumer_.events().data()));
  }
  if (found != wanted || at != offset) {
    fail(step.line, "delivered at " + std::to_string(at) + ": " + quoted(found) + ", expected " +
                        quoted(wanted));
  }
}

void Player::check_claim(const ScriptStep& step, const Stream& stream) {
  const std::string& what = step.expectation.what;
  const std::vector<std::string>& words = step.expectation.words;
  if (what == "data") {
    check_data(step, stream);
    return;
  }
  const std::vector<const StreamEvent*> events = unclaimed(stream);
  if (what == "nothing") {
    if (!events.empty()) fail(step.line, "something was delivered");
    return;
  }
  const auto kind = what == "gap" ? StreamEvent::Kind::Gap : StreamEvent::Kind::End;
  if (events.empty() || events.front()->kind != kind) {
    fail(step.line, "no " + what + " is next");
    return;
  }
  const StreamEvent& event = *events.front();
  claimed_.insert(static_cast<std::size_t>(&event - consumer_.events().data()));
  if (what != "gap") return;
  const std::string found = std::to_string(event.offset) + " " + std::to_string(event.length) +
                            " " +
                            std::string(kGapCauseNames[static_cast<std::size_t>(event.cause)]);
  const std::string wanted = words.at(1) + " " + words.at(2) + " " + words.at(3);
  if (found != wanted) fail(step.line, "gap " + found + ", expected " + wanted);
}

void Player::check_now(const ScriptStep& step) {
  const std::string& what = step.expectation.what;
  if (what == "open") {
    const std::string found = std::to_string(runner_.shard().connections());
    if (found != step.expectation.words.at(0)) fail(step.line, found + " connections are open");
  } else if (what == "data" || what == "gap" || what == "end" || what == "nothing") {
    const std::string& side = step.expectation.words.at(0);
    check_claim(step, {step.expectation.connection,
                       side == ">" ? ScriptSide::Left : ScriptSide::Right});
  }
}

const ConnectionLog* Player::connection(const ScriptStep& step) {
  for (const ConnectionLog& log : consumer_.connections()) {
    if (ordinal(log) == step.expectation.connection) return &log;
  }
  fail(step.line, "there is no such connection");
  return nullptr;
}

Direction Player::direction(const ConnectionLog& log, ScriptSide side) const {
  const bool originator_is_left = log.record.sides[0].endpoint.port != kRightPort;
  return originator_is_left == (side == ScriptSide::Left) ? Direction::OriginatorToResponder
                                                          : Direction::ResponderToOriginator;
}

void Player::check_side_count(const ScriptStep& step) {
  const ConnectionLog& log = *connection(step);
  const std::vector<std::string>& words = step.expectation.words;
  const Direction d =
      direction(log, words.at(1) == ">" ? ScriptSide::Left : ScriptSide::Right);
  const SideRecord& side = log.record.side(d);
  const std::map<std::string, std::uint64_t> counts = {
      {"duplicate_bytes", side.duplicate_bytes}, {"retransmissions", side.retransmissions},
      {"out_of_order", side.out_of_order},       {"overlap_conflicts", side.overlap_conflicts},
      {"urgent_bytes", side.urgent_bytes},       {"packets", side.packets},
      {"payload_bytes", side.payload_bytes}};
  const std::uint64_t found = counts.at(words.at(0));
  if (std::to_string(found) != words.at(2)) {
    fail(step.line, words.at(0) + " is " + std::to_string(found));
  }
}

void Player::check_urgent_offsets(const ScriptStep& step) {
  const ConnectionLog& log = *connection(step);
  const std::vector<std::string>& words = step.expectation.words;
  const ScriptSide side = words.at(0) == ">" ? ScriptSide::Left : ScriptSide::Right;
  const SideRecord& found = log.record.side(direction(log, side));
  const std::size_t listed = std::min<std::size_t>(found.urgent_bytes, kUrgentOffsetsMax);
  std::vector<std::string> offsets;
  for (std::size_t i = 0; i < listed; ++i) {
    offsets.push_back(std::to_string(found.urgent_offsets[i]));
  }
  if (!std::equal(words.begin() + 1, words.end(), offsets.begin(), offsets.end())) {
    std::string text = "urgent bytes stand at";
    for (const std::string& offset : offsets) text += " " + offset;
    fail(step.line, text);
  }
}

void Player::check_final_step(const ScriptStep& step) {
  const std::string& what = step.expectation.what;
  const std::vector<std::string>& words = step.expectation.words;
  const Ledger& ledger = runner_.ledger();
  const auto compare = [&](const std::string& found, const std::string& wanted) {
    if (found != wanted) fail(step.line, what + " is " + found + ", expected " + wanted);
  };
  if (what == "fate" || what == "verdict") {
    named_[what].insert(words.at(0));
    const std::uint64_t found = what == "fate" ? count_of(kFateNames, ledger.tcp.fates, words[0])
                                               : count_of(kVerdictNames, ledger.verdicts, words[0]);
    return compare(words[0] + " " + std::to_string(found), words[0] + " " + words.at(1));
  }
  if (what == "reject" || what == "datagrams") {
    named_[what].insert(words.at(0));
    const DefragmentCounters& counters = runner_.datagrams();
    const std::uint64_t found =
        what == "reject" ? count_of(kFragmentRejectNames, counters.rejected, words[0])
                         : datagrams(ledger, counters, words[0]);
    return compare(words[0] + " " + std::to_string(found), words[0] + " " + words.at(1));
  }
  if (what == "bad_timestamps") {
    return compare(std::to_string(runner_.bad_timestamps()), words.at(0));
  }
  if (what == "connections") {
    return compare(std::to_string(consumer_.connections().size()), words.at(0));
  }
  const ConnectionLog* log = connection(step);
  if (log == nullptr) return;
  const ConnectionRecord& record = log->record;
  if (what == "anomaly") {
    named_["anomaly " + std::to_string(step.expectation.connection)].insert(words.at(0));
    const std::uint64_t found = count_of(kAnomalyNames, record.anomalies, words[0]);
    const bool counted = words.size() > 1;
    const std::string wanted = counted ? words[1] : std::to_string(found > 0 ? found : 1);
    return compare(words[0] + " " + std::to_string(found), words[0] + " " + wanted);
  }
  if (what == "count") return check_side_count(step);
  if (what == "urgent") return check_urgent_offsets(step);
  if (what == "bytes") {
    const ScriptSide side = words.at(0) == ">" ? ScriptSide::Left : ScriptSide::Right;
    const bool fill = words.at(1) == "fill";
    const std::string wanted = fill ? fill_bytes(side, 0, std::stoull(words.at(2))) : words[1];
    return compare(quoted(log->side(direction(*log, side)).bytes), quoted(wanted));
  }
  if (what == "history") {
    return compare(std::string(record.history.data(), record.history_length), words.at(0));
  }
  if (what == "state") {
    return compare(std::string(kConnStateNames[static_cast<std::size_t>(record.state)]), words[0]);
  }
  if (what == "close") {
    return compare(std::string(kCloseReasonNames[static_cast<std::size_t>(record.close)]),
                   words[0]);
  }
  if (what == "reuse") return compare(std::to_string(record.reuse), words.at(0));
  if (what == "midstream") return compare(record.midstream ? "true" : "false", "true");
  if (what == "originator") {
    const bool left = direction(*log, ScriptSide::Left) == Direction::OriginatorToResponder;
    return compare(left ? ">" : "<", words.at(0));
  }
  throw std::runtime_error("unknown expectation: " + what);
}

// What no line has spoken of must not have happened.
void Player::check_unclaimed() {
  for (std::size_t n = 1; n <= consumer_.connections().size(); ++n) {
    for (const ScriptSide side : {ScriptSide::Left, ScriptSide::Right}) {
      for (const StreamEvent* event : unclaimed({n, side})) {
        constexpr std::array<const char*, 5> kNames = {"open", "data", "gap", "end", "close"};
        fail(0, "#" + std::to_string(n) + (side == ScriptSide::Left ? " >" : " <") +
                    " unclaimed " + kNames[static_cast<std::size_t>(event->kind)] + " at " +
                    std::to_string(event->offset) + " length " + std::to_string(event->length) +
                    " " +
                    (event->kind == StreamEvent::Kind::Gap
                         ? std::string(kGapCauseNames[static_cast<std::size_t>(event->cause)])
                         : quoted(event->bytes)));
      }
    }
  }
}

void Player::check_counts() {
  const Ledger& ledger = runner_.ledger();
  for (std::size_t i = 0; i < kFateCount; ++i) {
    const std::string name(kFateNames[i]);
    if (ledger.tcp.fates[i] == 0 || name == "delivered" || named_["fate"].count(name) != 0) {
      continue;
    }
    fail(0, "fate " + name + " is " + std::to_string(ledger.tcp.fates[i]));
  }
  for (std::size_t i = 0; i < kFragmentRejectCount; ++i) {
    const std::string name(kFragmentRejectNames[i]);
    const std::uint64_t found = runner_.datagrams().rejected[i];
    if (found == 0 || named_["reject"].count(name) != 0) continue;
    fail(0, "reject " + name + " is " + std::to_string(found));
  }
  for (std::size_t i = 0; i < kVerdictCount; ++i) {
    const std::string name(kVerdictNames[i]);
    if (ledger.verdicts[i] == 0 || name == "tcp" || named_["verdict"].count(name) != 0) continue;
    fail(0, "verdict " + name + " is " + std::to_string(ledger.verdicts[i]));
  }
  for (const ConnectionLog& log : consumer_.connections()) {
    const ConnectionRecord& record = log.record;
    const std::size_t n = ordinal(log);
    for (std::size_t i = 0; i < kAnomalyCount; ++i) {
      const std::string name(kAnomalyNames[i]);
      if (record.anomalies[i] == 0) continue;
      if (named_["anomaly " + std::to_string(n)].count(name) != 0) continue;
      fail(0, "#" + std::to_string(n) + " anomaly " + name + " is " +
                  std::to_string(record.anomalies[i]));
    }
  }
}

void Player::check_final() {
  bool connections_named = false;
  std::set<std::size_t> originator_named;
  for (const ScriptStep& step : script_.steps) {
    if (step.kind != ScriptStep::Kind::Expect) continue;
    const std::string& what = step.expectation.what;
    if (what == "connections") connections_named = true;
    if (what == "originator") originator_named.insert(step.expectation.connection);
    const bool claim = what == "data" || what == "gap" || what == "end" || what == "nothing" ||
                       what == "open";
    if (!claim) check_final_step(step);
  }
  const std::size_t count = consumer_.connections().size();
  if (!connections_named && count != 1) fail(0, std::to_string(count) + " connections");
  for (const ConnectionLog& log : consumer_.connections()) {
    const std::size_t n = ordinal(log);
    if (!log.closed) fail(0, "a connection was not closed");
    if (originator_named.count(n) != 0) continue;
    if (direction(log, ScriptSide::Left) != Direction::OriginatorToResponder) {
      fail(0, "#" + std::to_string(n) + " the originator is <");
    }
  }
  check_unclaimed();
  check_counts();
}

ScriptOutcome Player::run() {
  const bool checked = variant_.burst == 1;
  for (const ScriptStep& step : script_.steps) {
    if (step.kind != ScriptStep::Kind::Expect || step.expectation.what != "bytes") continue;
    whole_.insert({step.expectation.connection, step.expectation.words.at(0) == ">"
                                                    ? ScriptSide::Left
                                                    : ScriptSide::Right});
  }
  for (const ScriptStep& step : script_.steps) {
    switch (step.kind) {
      case ScriptStep::Kind::Segment: send(step.segment); break;
      case ScriptStep::Kind::Tick: runner_.advance_clock(now_ += step.delay); break;
      case ScriptStep::Kind::Finish:
        runner_.finish();
        finished_ = true;
        break;
      case ScriptStep::Kind::Expect:
        if (checked) check_now(step);
        break;
    }
  }
  if (!finished_) runner_.finish();
  if (!runner_.ledger().balances()) fail(0, "the ledger does not balance");
  const Shard::MemoryInUse memory = runner_.shard().memory_in_use();
  if (memory != Shard::MemoryInUse{}) fail(0, "memory was not given back");
  if (!consumer_.violations().empty()) fail(0, consumer_.violations());
  if (checked) check_final();
  return {failures_, consumer_.text(kBase)};
}

}  // namespace

std::string ScriptVariant::describe() const {
  return std::string(version == Version::V4 ? "IPv4" : "IPv6") + ", ISNs " +
         std::to_string(left_isn) + " and " + std::to_string(right_isn) + ", burst " +
         std::to_string(burst) + (hold_first == HoldFirst::Never ? "" : ", first segments held");
}

ScriptOutcome play(const SegmentScript& script, const ScriptVariant& variant) {
  return Player(script, variant).run();
}

std::vector<Frame> frames_of(const SegmentScript& script, const ScriptVariant& variant) {
  std::vector<Frame> frames;
  Player(script, variant, &frames).run();
  return frames;
}

std::string play_all(const SegmentScript& script) {
  std::string failures;
  std::string log;
  for (const auto version : {ScriptVariant::Version::V4, ScriptVariant::Version::V6}) {
    const bool v4 = version == ScriptVariant::Version::V4;
    if (script.only == (v4 ? SegmentScript::Only::V6 : SegmentScript::Only::V4)) continue;
    for (std::size_t i = 0; i < kIsns.size(); ++i) {
      for (const std::uint32_t burst : kBursts) {
        ScriptVariant variant{kIsns[i], kIsns[(i + 2) % kIsns.size()], version, burst};
        const ScriptOutcome outcome = play(script, variant);
        if (log.empty()) log = outcome.log;
        if (outcome.log != log) {
          failures += "another log than the first variant:\n" + outcome.log;
        }
        failures += outcome.failures;
        // The first variant that fails says enough.
        if (!failures.empty()) {
          return variant.describe() + "\n" + failures + "first log:\n" + log;
        }
        if (script.first_segments == SegmentScript::FirstSegments::Open) continue;
        // Connections open later then, so that the log is another one.
        variant.hold_first = HoldFirst::Always;
        failures = play(script, variant).failures;
        if (!failures.empty()) return variant.describe() + "\n" + failures;
      }
    }
  }
  return failures;
}

}  // namespace flowloom::test
