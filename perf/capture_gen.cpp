// flowloom-gen: writes the captures that flowloom is compared with other tools on, with the ground
// truth beside each. The same arguments make the same bytes everywhere. Uses nothing of flowloom.
#include "perf/gen/playback.hpp"
#include "perf/gen/random_capture.hpp"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <exception>
#include <functional>
#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <vector>

namespace flowloom::gen {
namespace {

constexpr std::uint64_t kManyConnections = 200'000;
constexpr std::uint64_t kManyConcurrent = 4096;
constexpr std::int64_t kManyIntervalNs = 40'000;
constexpr std::uint64_t kBulkConnections = 50;
constexpr std::uint64_t kBulkBytes = 28'360'500;
constexpr std::uint32_t kBulkRun = 8;
constexpr std::int64_t kBulkIntervalNs = 8'000;
constexpr std::uint64_t kTinyConnections = 100'000;
constexpr std::uint32_t kTinySegments = 50;
constexpr std::int64_t kTinyIntervalNs = 2'000;
constexpr std::uint64_t kSynPackets = 5'000'000;
constexpr std::int64_t kSynIntervalNs = 1'000;
// Whose packets a host would take: neither network 0 nor groups (RFC 1122, 3.2.1.3).
constexpr std::uint32_t kFirstHost = 0x01000000;
constexpr std::uint32_t kHosts = 0xe0000000 - kFirstHost;
constexpr std::uint64_t kRandomConversations = 10'000;
constexpr std::uint64_t kFloodPackets = 10'000'000;
constexpr std::uint64_t kFloodTransfers = 1000;
constexpr std::uint64_t kFloodConcurrent = 10;
constexpr double kFloodTransferBytes = 30'000;
constexpr std::int64_t kFloodIntervalNs = 1'000;

constexpr Mishaps kMessy{.reorder = 0.0137,  // data segments and FINs
                         .retransmit = 0.0105,
                         .overlap = 0.0035,
                         .lose = 0.0051,
                         .fragment = 0.0105,  // of data segments of 100 bytes and more
                         .fragments_backwards = 0.25};

struct Options {
  std::string kind;
  std::string path;
  double scale = 1;
  std::uint64_t seed = 1;
  bool ipv6 = false;
  bool padded = true;
  // Of random conversations.
  std::optional<std::uint64_t> conversations;  // of a flood, too
  std::optional<std::uint64_t> only_talk;
  double message_size = 1;
  std::vector<std::string> with;
  std::vector<std::string> without;
  std::string flood = "syn";
};

std::uint64_t scaled(std::uint64_t full, double scale) {
  const long long count = std::llround(static_cast<double>(full) * scale);
  return static_cast<std::uint64_t>(std::max(count, 1LL));
}

/// Connection `i`: a client address and port of its own, one of 64 servers, random ISNs; one
/// connection in a hundred crosses the end of the sequence space in both directions.
Identity identity_of(std::uint64_t i, const Options& options, std::uint64_t wrap_distance,
                     Random& random) {
  constexpr std::uint64_t kPorts = 50'000;
  constexpr std::uint32_t kFirstPort = 10'000;
  constexpr std::uint32_t kClients = 0x0a00'0001;
  constexpr std::uint32_t kServers = 0xc0a8'0001;
  Identity identity;
  identity.family = options.ipv6 ? Family::V6 : Family::V4;
  identity.ends[0] = {static_cast<std::uint32_t>(kClients + i / kPorts + (i % 251) * 256),
                      static_cast<std::uint16_t>(kFirstPort + i % kPorts)};
  identity.ends[1] = {static_cast<std::uint32_t>(kServers + random.below(64)), 80};
  for (std::size_t side = 0; side < 2; ++side) {
    const std::uint64_t iss = i % 100 == 1 ? ~(wrap_distance / 2) : random.next();
    identity.iss[side] = static_cast<std::uint32_t>(iss);
    identity.content[side] = Random::mixed(options.seed * 2 + side + (i << 8));
  }
  return identity;
}

PlaybackConfig config_of(const Options& options) {
  PlaybackConfig config;
  config.path = options.path;
  config.seed = options.seed;
  config.padding = options.padded ? Padding::Ethernet : Padding::None;
  return config;
}

void make_many(const Options& options, const Mishaps& mishaps) {
  constexpr std::uint64_t kWrapDistance = 400;
  PlaybackConfig config = config_of(options);
  config.mishaps = mishaps;
  config.connections = scaled(kManyConnections, options.scale);
  config.concurrent = kManyConcurrent;
  config.packet_interval_ns = kManyIntervalNs;
  Playback playback(config);
  playback.play([&](std::uint64_t i, Random& random) {
    return Conversation(identity_of(i, options, kWrapDistance, random), Dialogue::http(random));
  });
  playback.close(options.kind);
}

void make_bulk(const Options& options) {
  const std::uint64_t bytes = scaled(kBulkBytes, options.scale);
  PlaybackConfig config = config_of(options);
  config.connections = config.concurrent = kBulkConnections;
  config.longest_run = kBulkRun;
  config.packet_interval_ns = kBulkIntervalNs;
  Playback playback(config);
  playback.play([&](std::uint64_t i, Random& random) {
    return Conversation(identity_of(i, options, bytes, random), Dialogue::bulk(bytes));
  });
  playback.close(options.kind);
}

void make_tiny(const Options& options) {
  constexpr std::uint64_t kWrapDistance = 200;
  PlaybackConfig config = config_of(options);
  config.connections = config.concurrent = scaled(kTinyConnections, options.scale);
  config.packet_interval_ns = kTinyIntervalNs;
  Playback playback(config);
  playback.play([&](std::uint64_t i, Random& random) {
    return Conversation(identity_of(i, options, kWrapDistance, random),
                        Dialogue::tiny(kTinySegments));
  });
  playback.close(options.kind);
}

void make_syn(const Options& options) {
  PlaybackConfig config = config_of(options);
  config.packet_interval_ns = kSynIntervalNs;
  Playback playback(config);
  const std::uint64_t packets = scaled(kSynPackets, options.scale);
  for (std::uint64_t i = 0; i < packets; ++i) {
    Identity identity = identity_of(i, options, 0, playback.random());
    const std::uint64_t source = playback.random().next();
    identity.ends[0] = {kFirstHost + static_cast<std::uint32_t>(source >> 32) % kHosts,
                        static_cast<std::uint16_t>(source | 1024)};
    playback.put_lone_syn(identity);
  }
  playback.close(options.kind);
}

const std::map<std::string, FloodKind> kFloods = {{"none", FloodKind::None},
                                                  {"syn", FloodKind::Syn},
                                                  {"ack", FloodKind::Ack},
                                                  {"psh", FloodKind::Push}};

/// The transfers are the same for every kind of flood, and without one.
void make_flood(const Options& options) {
  constexpr std::uint64_t kSegmentBytes = 1460;
  constexpr std::uint64_t kOtherPackets = 8;  // handshake, request, FINs
  const auto bytes = static_cast<std::uint64_t>(kFloodTransferBytes * options.message_size);
  const std::uint64_t packets_each = kOtherPackets + (bytes / kSegmentBytes + 1) * 3 / 2;
  PlaybackConfig config = config_of(options);
  config.connections = options.conversations.value_or(kFloodTransfers);
  config.concurrent = kFloodConcurrent;
  config.packet_interval_ns = kFloodIntervalNs;
  config.flood.kind = kFloods.at(options.flood);
  config.flood.family = options.ipv6 ? Family::V6 : Family::V4;
  if (config.flood.kind != FloodKind::None) {
    config.flood.packets = scaled(kFloodPackets, options.scale);
    config.flood.per_packet = static_cast<double>(config.flood.packets) /
                              static_cast<double>(packets_each * config.connections);
  }
  Playback playback(config);
  playback.play([&](std::uint64_t i, Random& random) {
    return Conversation(identity_of(i, options, bytes, random), Dialogue::bulk(bytes));
  });
  playback.close(options.kind);
}

Feature feature_named(const std::string& name) {
  const auto found = std::find(kFeatureNames.begin(), kFeatureNames.end(), name);
  return static_cast<Feature>(found - kFeatureNames.begin());
}

void make_random(const Options& options) {
  RandomCaptureConfig config;
  config.path = options.path;
  config.talks.seed = options.seed;
  config.talks.size = options.message_size;
  if (options.with.empty()) config.talks.allowed.set_all();
  for (const auto& name : options.with) config.talks.allowed.set(feature_named(name));
  for (const auto& name : options.without) config.talks.allowed.clear(feature_named(name));
  config.conversations =
      options.conversations.value_or(scaled(kRandomConversations, options.scale));
  config.only = options.only_talk;
  write_random_capture(config);
}

const std::map<std::string, std::function<void(const Options&)>> kKinds = {
    {"many", [](const Options& o) { make_many(o, {}); }},
    {"bulk", make_bulk},
    {"tiny", make_tiny},
    {"flood", make_flood},
    {"messy", [](const Options& o) { make_many(o, kMessy); }},
    {"random", make_random},
    {"syn", make_syn}};

/// "0.01" or "1/100"; throws std::invalid_argument for anything that is not in (0, 100].
double scale_from(const std::string& text) {
  constexpr double kLargest = 100;
  const std::size_t slash = text.find('/');
  double scale = 0;
  try {
    scale = std::stod(text.substr(0, slash));
    if (slash != std::string::npos) scale /= std::stod(text.substr(slash + 1));
  } catch (const std::exception&) {
    scale = 0;
  }
  if (!(scale > 0 && scale <= kLargest)) throw std::invalid_argument("not a size: " + text);
  return scale;
}

void add_random_options(CLI::App& app, Options& options) {
  const std::vector<std::string> names(kFeatureNames.begin(), kFeatureNames.end());
  app.add_option("--connections", options.conversations,
                 "random: conversations; flood: transfers (1000)");
  app.add_option("--size", options.message_size,
                 "random, flood: factor on the length of messages");
  app.add_option("--only", options.only_talk, "random: this conversation alone, as in the whole");
  app.add_option("--with", options.with, "random: nothing but these features")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
  app.add_option("--without", options.without, "random: all features but these")
      ->delimiter(',')
      ->check(CLI::IsMember(names));
}

int run(int argc, char** argv) {
  Options options;
  std::string scale = "1";
  CLI::App app{"Writes a made capture and its ground truth (OUT.truth.jsonl, OUT.truth.json)."};
  std::vector<std::string> names;
  for (const auto& [name, make] : kKinds) names.push_back(name);
  app.add_option("KIND", options.kind, "many, bulk, tiny, messy, syn, random or flood")
      ->required()
      ->check(CLI::IsMember(names));
  app.add_option("OUT", options.path, "capture to write (pcap, or pcapng by its name)")->required();
  app.add_option("-n", scale, "size: 1 is the full one, 1/100 or 0.01 a hundredth");
  app.add_option("-s,--seed", options.seed, "seed");
  app.add_flag("-6", options.ipv6, "IPv6");
  app.add_flag("--pad,!--no-pad", options.padded, "pad short frames to 60 bytes (default)");
  add_random_options(app, options);
  app.add_option("--flood", options.flood, "flood: what of; syn, ack, psh or none")
      ->check(CLI::IsMember(kFloods));
  CLI11_PARSE(app, argc, argv);
  options.scale = scale_from(scale);
  kKinds.at(options.kind)(options);
  return 0;
}

}  // namespace
}  // namespace flowloom::gen

int main(int argc, char** argv) {
  try {
    return flowloom::gen::run(argc, argv);
  } catch (const std::exception& e) {
    fmt::print(stderr, "flowloom-gen: {}\n", e.what());
    return 1;
  }
}
