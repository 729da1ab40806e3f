#include "support/segment_script.hpp"

#include <cmath>
#include <fstream>
#include <map>
#include <sstream>
#include <stdexcept>

#include "support/shard_runner.hpp"

namespace flowloom::test {

namespace {

constexpr Duration kDefaultDelay = std::chrono::milliseconds{1};

/// A line in words; a quoted text keeps its leading quote as a mark.
std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  std::size_t at = 0;
  while (at < line.size()) {
    if (line[at] == ' ' || line[at] == '\t') {
      ++at;
      continue;
    }
    if (line[at] == '#' && (words.empty() || line.substr(at, 2) == "# ")) break;
    std::size_t end = at;
    if (line[at] == '"') {
      end = at + 1;
      while (end < line.size() && line[end] != '"') end += line[end] == '\\' ? 2U : 1U;
      if (end >= line.size()) throw std::runtime_error("text without an end");
      ++end;
    } else if (line[at] == '<' && at + 1 < line.size() && line[at + 1] != ' ') {
      end = line.find('>', at);
      if (end == std::string::npos) throw std::runtime_error("options without an end");
      ++end;
    } else {
      end = std::min(line.find_first_of(" \t", at), line.size());
    }
    words.push_back(line.substr(at, end - at));
    at = end;
  }
  return words;
}

std::string unquoted(const std::string& word) {
  std::string text;
  for (std::size_t i = 1; i + 1 < word.size(); ++i) {
    if (word[i] != '\\') {
      text += word[i];
      continue;
    }
    const char code = word[++i];
    if (code == 'n') {
      text += '\n';
    } else if (code == '0') {
      text += '\0';
    } else if (code == 'x') {
      text += static_cast<char>(std::stoi(word.substr(i + 1, 2), nullptr, 16));
      i += 2;
    } else {
      text += code;
    }
  }
  return text;
}

template <class Integer = std::int64_t>
Integer number(const std::string& word) {
  std::size_t used = 0;
  const std::int64_t value = std::stoll(word, &used, 0);
  if (used != word.size()) throw std::runtime_error("not a number: " + word);
  return static_cast<Integer>(value);
}

Duration seconds(const std::string& word) {
  return Duration{std::llround(std::stod(word) * 1e9)};
}

ScriptSide side_of(const std::string& word) {
  if (word == ">") return ScriptSide::Left;
  if (word == "<") return ScriptSide::Right;
  throw std::runtime_error("not a side: " + word);
}

/// "1:6(5)"
void parse_range(const std::string& word, ScriptSegment& segment) {
  const std::size_t colon = word.find(':');
  const std::size_t open = word.find('(');
  if (colon == std::string::npos || open == std::string::npos || word.back() != ')') {
    throw std::runtime_error("not SEQ:END(LENGTH): " + word);
  }
  segment.seq = number(word.substr(0, colon));
  const auto end = number(word.substr(colon + 1, open - colon - 1));
  segment.length = number<std::uint32_t>(word.substr(open + 1, word.size() - open - 2));
  if (end - segment.seq != segment.length) throw std::runtime_error("wrong length: " + word);
}

/// "16:24+"
FragmentRange parse_fragment(const std::string& word) {
  const std::size_t colon = word.find(':');
  if (colon == std::string::npos) throw std::runtime_error("not BEGIN:END: " + word);
  const bool more = word.back() == '+';
  const std::size_t end = word.size() - (more ? 1 : 0);
  const FragmentRange range{number<std::uint32_t>(word.substr(0, colon)),
                            number<std::uint32_t>(word.substr(colon + 1, end - colon - 1)),
                            more ? FragmentRange::More::Yes : FragmentRange::More::No};
  if (range.end < range.begin) throw std::runtime_error("ends before it begins: " + word);
  return range;
}

TunnelLayer parse_tunnel(const std::string& kind, const std::string& id) {
  using Kind = TunnelLayer::Kind;
  const std::map<std::string, Kind> kinds = {
      {"ipip", Kind::IpIp}, {"gre", Kind::Gre},   {"vxlan", Kind::Vxlan}, {"geneve", Kind::Geneve},
      {"gtpu", Kind::Gtpu}, {"mpls", Kind::Mpls}, {"pppoe", Kind::Pppoe}};
  const auto found = kinds.find(kind);
  if (found == kinds.end()) throw std::runtime_error("no such tunnel: " + kind);
  return {found->second, number<std::uint32_t>(id)};
}

/// Words about the layers below TCP; as parse_extra().
std::size_t parse_ip_extra(const std::vector<std::string>& words, std::size_t i,
                           ScriptSegment& segment) {
  const std::string& word = words[i];
  const std::string& value = words.at(i + 1);
  if (word == "ttl") return segment.ttl = number<std::uint8_t>(value), 2;
  if (word == "id") return segment.ip_id = number<std::uint16_t>(value), 2;
  if (word == "proto") return segment.protocol = number<std::uint8_t>(value), 2;
  if (word == "ihl") return segment.ip_header_words = number<std::uint8_t>(value), 2;
  if (word == "doff") return segment.data_offset = number<std::uint8_t>(value), 2;
  if (word == "mac") return segment.mac = number<std::uint8_t>(value), 2;
  if (word == "sweep") return segment.sweep = number<std::uint32_t>(value), 2;
  if (word == "frag") return segment.fragments.push_back(parse_fragment(value)), 2;
  if (word == "outer") return segment.outer_fragments.push_back(parse_fragment(value)), 2;
  if (word == "in") return segment.tunnels.push_back(parse_tunnel(value, words.at(i + 2))), 3;
  throw std::runtime_error("unknown word: " + word);
}

/// One word after the numbers, with its argument; returns how many words that were.
std::size_t parse_extra(const std::vector<std::string>& words, std::size_t i,
                        ScriptSegment& segment) {
  const std::string& word = words[i];
  if (word.front() == '"') return segment.text = unquoted(word), 1;
  if (word.front() == '<') return segment.options = word.substr(1, word.size() - 2), 1;
  using Checksum = PacketBuilder::Checksum;
  if (word == "badsum") return segment.sum = Checksum::Bad, 1;
  if (word == "zerosum") return segment.sum = Checksum::Zero, 1;
  if (word == "offload") return segment.sum = Checksum::Offloaded, 1;
  if (word == "badipsum") return segment.ip_sum = Checksum::Bad, 1;
  if (word == "df") return segment.dont_fragment = ScriptSegment::DontFragment::Yes, 1;
  if (word == "icmp") return segment.quoted = ScriptSegment::Quoted::Yes, 1;
  if (word == "reversed") return segment.order = ScriptSegment::Order::Reversed, 1;
  const std::string& value = words.at(i + 1);
  if (word == "ack") return segment.ack = number(value), 2;
  if (word == "win") return segment.window = number<std::uint16_t>(value), 2;
  if (word == "urg") return segment.urgent = number<std::uint16_t>(value), 2;
  if (word == "port") return segment.port = number<std::uint16_t>(value), 2;
  if (word == "vlan") return segment.vlans.push_back(number<std::uint16_t>(value)), 2;
  if (word == "pad") return segment.pad = number<std::uint32_t>(value), 2;
  if (word == "snap") return segment.snap = number<std::uint32_t>(value), 2;
  if (word == "iplen") return segment.ip_length = number<std::uint16_t>(value), 2;
  if (word == "rawseq") return segment.raw_seq = number<std::uint32_t>(value), 2;
  if (word == "rawack") return segment.raw_ack = number<std::uint32_t>(value), 2;
  if (word == "split") return segment.split = number<std::uint32_t>(value), 2;
  if (word == "times") return segment.times = number<std::uint32_t>(value), 2;
  return parse_ip_extra(words, i, segment);
}

ScriptSegment parse_segment(const std::vector<std::string>& words) {
  ScriptSegment segment;
  std::size_t i = 0;
  segment.delay = words[i].front() == '+' ? seconds(words[i++].substr(1)) : kDefaultDelay;
  segment.side = side_of(words.at(i++));
  segment.flags = words.at(i++);
  parse_range(words.at(i++), segment);
  while (i < words.size()) i += parse_extra(words, i, segment);
  if (segment.text && segment.text->size() != segment.length) {
    throw std::runtime_error("the text has " + std::to_string(segment.text->size()) + " bytes");
  }
  if (segment.flags.find('.') != std::string::npos && !segment.ack && !segment.raw_ack) {
    throw std::runtime_error("an ACK without ack");
  }
  return segment;
}

void parse_setting(const std::vector<std::string>& words, SegmentScript& script) {
  const std::string& name = words.at(1);
  const std::string& value = words.at(2);
  ShardConfig& config = script.config;
  if (name == "only") {
    const std::map<std::string, SegmentScript::Only> versions = {
        {"ipv4", SegmentScript::Only::V4}, {"ipv6", SegmentScript::Only::V6}};
    script.only = versions.at(value);
  } else if (name == "fragment-overlap") {
    script.fragment_overlap = fragment_overlap_from_name(value).value();
  } else if (name == "hosts") {
    const std::map<std::string, SegmentScript::Hosts> hosts = {
        {"one", SegmentScript::Hosts::One}, {"multicast", SegmentScript::Hosts::Multicast}};
    script.hosts = hosts.at(value);
  } else if (name == "first-segments" && value == "open") {
    script.first_segments = SegmentScript::FirstSegments::Open;
  } else if (name == "depth") {
    config.tcp.depth = number(value);
  } else if (name == "overlap") {
    config.tcp.overlap = overlap_policy_from_name(value).value();
  } else if (name == "deliver") {
    config.tcp.deliver = value_named<DeliverWhen>(kDeliverNames, value).value();
  } else if (name == "urgent") {
    config.tcp.urgent = value_named<UrgentMode>(kUrgentNames, value).value();
  } else if (name == "memory") {
    config.reorder_bytes = number<std::uint64_t>(value);
  } else if (name == "max-flows") {
    config.max_flows = number<std::uint32_t>(value);
  } else if (name == "idle-timeout") {
    config.idle_timeout = seconds(value);
  } else if (name == "syn-timeout") {
    config.syn_timeout = seconds(value);
  } else if (name == "closed-timeout") {
    config.closed_timeout = seconds(value);
  } else if (name == "checksum") {
    config.checksum = value == "all"    ? ChecksumMode::All
                      : value == "none" ? ChecksumMode::None
                                        : ChecksumMode::Auto;
  } else {
    throw std::runtime_error("unknown setting: " + name);
  }
}

ScriptExpectation parse_expectation(const std::vector<std::string>& words) {
  ScriptExpectation expectation;
  std::size_t i = 1;
  if (words.at(i).front() == '#') {
    expectation.connection = number<std::size_t>(words[i++].substr(1));
  }
  expectation.what = words.at(i++);
  for (; i < words.size(); ++i) {
    expectation.words.push_back(words[i].front() == '"' ? unquoted(words[i]) : words[i]);
  }
  return expectation;
}

/// Lines that stand for several.
std::vector<std::string> expanded(const std::vector<std::string>& words, const std::string& line) {
  if (words[0] == "handshake") {
    return {"> S 0:0(0) <mss 1460,ws 7>", "< S. 0:0(0) ack 1 <mss 1460,ws 7>", "> . 1:1(0) ack 1"};
  }
  if (words[0] == "closing") {
    const std::string& c = words.at(1);
    const std::string& s = words.at(2);
    const std::string c1 = std::to_string(number(c) + 1);
    const std::string s1 = std::to_string(number(s) + 1);
    return {"> F. " + c + ":" + c + "(0) ack " + s, "< F. " + s + ":" + s + "(0) ack " + c1,
            "> . " + c1 + ":" + c1 + "(0) ack " + s1};
  }
  if (words[0] == "=>" && words.back() == "ends") {
    const std::string head = line.substr(0, line.rfind("ends"));
    return {head + "end >", head + "end <"};
  }
  return {line};
}

void parse_line(const std::string& line, int number_of_line, SegmentScript& script) {
  const std::vector<std::string> words = words_of(line);
  ScriptStep step;
  step.line = number_of_line;
  if (words[0] == "set") {
    parse_setting(words, script);
    return;
  }
  if (words[0] == "=>") {
    step.kind = ScriptStep::Kind::Expect;
    step.expectation = parse_expectation(words);
  } else if (words[0] == "finish") {
    step.kind = ScriptStep::Kind::Finish;
  } else if (words.size() == 2 && words[1] == "tick") {
    step.kind = ScriptStep::Kind::Tick;
    step.delay = seconds(words[0].substr(1));
  } else {
    step.segment = parse_segment(words);
  }
  script.steps.push_back(std::move(step));
}

}  // namespace

std::string fill_bytes(ScriptSide side, std::int64_t position, std::size_t count) {
  // 251 is prime, so that no segment size hides a shift.
  constexpr std::int64_t kPeriod = 251;
  const int base = side == ScriptSide::Left ? 0 : 101;
  std::string bytes(count, '\0');
  for (std::size_t i = 0; i < count; ++i) {
    const std::int64_t at = position + static_cast<std::int64_t>(i);
    bytes[i] = static_cast<char>((at % kPeriod + kPeriod + base) % kPeriod);
  }
  return bytes;
}

SegmentScript parse_script(const std::string& name, const std::string& text) {
  SegmentScript script;
  script.name = name;
  script.config = small_config();
  std::istringstream in(text);
  std::string line;
  for (int number_of_line = 1; std::getline(in, line); ++number_of_line) {
    try {
      const std::vector<std::string> words = words_of(line);
      if (words.empty()) continue;
      for (const std::string& one : expanded(words, line)) {
        parse_line(one, number_of_line, script);
      }
    } catch (const std::exception& error) {
      throw std::runtime_error(name + ":" + std::to_string(number_of_line) + ": " + error.what());
    }
  }
  return script;
}

SegmentScript load_script(const std::string& path) {
  std::ifstream in(path);
  if (!in) throw std::runtime_error("cannot read " + path);
  std::ostringstream text;
  text << in.rdbuf();
  const std::size_t slash = path.rfind('/');
  return parse_script(path.substr(slash == std::string::npos ? 0 : slash + 1), text.str());
}

}  // namespace flowloom::test
