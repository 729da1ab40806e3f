#include "bench_worker.hpp"

#include <sys/resource.h>
#include <time.h>

#include <algorithm>

#include "base/bytes.hpp"
#include "net/five_tuple.hpp"
#include "net/tcp_checksum.hpp"
#include "pipeline/burst_pair.hpp"

namespace flowloom {

namespace {

using Clock = std::chrono::steady_clock;

/// One chunk in so many is taken apart into stages.
constexpr std::uint64_t kStagesEvery = 8;

std::chrono::nanoseconds thread_cpu_time() {
  timespec t{};
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return std::chrono::seconds{t.tv_sec} + std::chrono::nanoseconds{t.tv_nsec};
}

/// How often the kernel has given this thread's core to somebody else.
long preemptions() {
  rusage usage{};
  getrusage(RUSAGE_THREAD, &usage);
  return usage.ru_nivcsw;
}

double per_packet(std::chrono::nanoseconds time, std::uint64_t packets) {
  const auto counted = static_cast<double>(std::max<std::uint64_t>(packets, 1));
  return static_cast<double>(time.count()) / counted;
}

DecodeOptions decode_options_of(const ShardConfig& shard) {
  DecodeOptions options;
  options.seed = shard.seed;
  return options;
}

}  // namespace

Spent& Spent::operator+=(const Spent& other) {
  packets += other.packets;
  wall += other.wall;
  cpu += other.cpu;
  cycles += other.cycles;
  return *this;
}

double Spent::wall_ns_per_packet() const { return per_packet(wall, packets); }
double Spent::cpu_ns_per_packet() const { return per_packet(cpu, packets); }

CopyFigures& CopyFigures::operator+=(const CopyFigures& other) {
  floor += other.floor;
  writer += other.writer;
  waits += other.waits;
  memory_left += other.memory_left;
  return *this;
}

BenchWorker::BenchWorker(BenchFeed& feed, const BenchSettings& settings)
    : feed_(feed),
      settings_(settings),
      decode_options_(decode_options_of(settings.shard)),
      front_(FrontSettings{decode_options_, {}}),
      writer_(settings.exporter ? std::make_unique<BenchWriter>(*settings.exporter) : nullptr),
      shard_(settings.shard, consumer()) {
  // As Engine does it on a thread that receives and tracks.
  shard_.keep_delivered_in(feed_.source().keep_released(kComparablePackets, *this));
  if (writer_ == nullptr) return;
  copy_floor_.emplace(settings.chunk_packets);
  figures_.copy.emplace();
}

StreamConsumer& BenchWorker::consumer() {
  return writer_ != nullptr ? static_cast<StreamConsumer&>(writer_->exporter()) : counting_;
}

std::uint64_t BenchWorker::waits() const {
  return writer_ != nullptr ? writer_->exporter().waits() : 0;
}

void BenchWorker::decode_burst() {
  for (std::uint32_t i = 0; i < burst_.size; ++i) {
    Packet& packet = burst_.packets[i];
    decode(packet, decode_options_);
    if (packet.verdict == Verdict::Tcp) hash_flow(packet, decode_options_.seed);
  }
}

// As Engine::run_to_completion() does it.
void BenchWorker::run_engine(std::size_t packets) {
  BurstPair bursts;
  const auto complete = [this](Burst& burst) {
    shard_.track(burst);
    const Packet& last = burst.packets[burst.size - 1];
    front_.release(last.number);
    feed_.source().release(burst);
    consumer().on_watermark({last.clock, last.number, 0});
  };
  while (packets > 0) {
    Burst& fresh = bursts.fresh();
    fresh.limit = static_cast<std::uint32_t>(std::min<std::size_t>(packets, kBurstMax));
    if (feed_.source().receive(fresh) == SourceState::End) break;
    packets -= fresh.size;
    for (std::uint32_t i = 0; i < fresh.size; ++i) fresh.packets[i].verdict = Verdict::Tcp;
    front_.run(fresh);
    bursts.advance(shard_, complete);
  }
  bursts.advance(shard_, complete);
}

template <class Work>
void BenchWorker::run_bursts(std::size_t packets, Work work) {
  PacketSource& source = feed_.source();
  while (packets > 0) {
    burst_.limit = static_cast<std::uint32_t>(std::min<std::size_t>(packets, kBurstMax));
    if (source.receive(burst_) == SourceState::End) return;
    packets -= burst_.size;
    if (burst_.size > 0) work();
    source.release(burst_);
  }
}

void BenchWorker::run_pass(Pass pass, std::size_t packets) {
  const auto for_each = [&](auto value) {
    for (std::uint32_t i = 0; i < burst_.size; ++i) sink_ += value(burst_.packets[i]);
  };
  switch (pass) {
    case Pass::Receive:
      return run_bursts(packets, [&] {
        for_each([](const Packet& p) { return load_native<std::uint64_t>(p.frame); });
      });
    case Pass::Parse:
      return run_bursts(packets, [&] {
        decode_burst();
        for_each([](const Packet& p) { return p.flow_hash; });
      });
    case Pass::Checksum:
      return run_bursts(packets, [&] {
        decode_burst();
        for_each([](const Packet& p) {
          if (p.verdict != Verdict::Tcp) return std::uint64_t{0};
          return static_cast<std::uint64_t>(check_tcp_checksum(p));
        });
      });
    case Pass::Lookup:
      return run_bursts(packets, [&] {
        decode_burst();
        for_each([](const Packet& p) {
          if (p.verdict != Verdict::Tcp) return std::uint64_t{0};
          return static_cast<std::uint64_t>(check_tcp_checksum(p));
        });
        sink_ += shard_.count_known(burst_);
      });
    case Pass::Whole:
      return run_engine(packets);
    case Pass::Copy:
      return run_bursts(packets, [&] { copy_floor_->copy(burst_); });
  }
}

// Where somebody else had the core meanwhile, the thread's own time stands for the wall's, unless
// it waited for the writer, too: waiting counts.
void BenchWorker::measure_pass(Pass pass, std::size_t packets, const CycleCounter& counter,
                               Spent& spent) {
  const long before = preemptions();
  const std::uint64_t waits_before = waits();
  const auto cycles = counter.read();
  const auto cpu_before = thread_cpu_time();
  const auto wall_before = Clock::now();
  run_pass(pass, packets);
  const std::chrono::nanoseconds wall = Clock::now() - wall_before;
  const auto cpu = thread_cpu_time() - cpu_before;
  const auto cycles_after = counter.read();
  const bool disturbed = preemptions() != before && waits() == waits_before;
  if (disturbed) ++figures_.disturbed_passes;
  spent.wall += disturbed ? std::min(wall, cpu) : wall;
  spent.cpu += cpu;
  if (cycles && cycles_after) spent.cycles += *cycles_after - *cycles;
  spent.packets += packets;
}

void BenchWorker::measure_chunk(std::size_t packets, const ChunkContent& content,
                                const CycleCounter& cycles) {
  measure_pass(Pass::Receive, packets, cycles, figures_.floor);
  feed_.refill();
  const std::uint64_t connections = shard_.ledger().connections_created;
  measure_pass(Pass::Whole, packets, cycles, figures_.engine);
  figures_.connections += shard_.ledger().connections_created - connections;
  figures_.payload_bytes += content.payload_bytes;
  figures_.frame_bytes += content.frame_bytes;
}

// The lookup comes last of the passes that change nothing: it brings the connections into the
// caches, so the whole that follows is not measured. The stage "track" is what is left of the
// engine's own figure.
void BenchWorker::measure_stages(std::size_t packets, const CycleCounter& cycles) {
  for (const Pass pass : {Pass::Receive, Pass::Parse, Pass::Checksum, Pass::Lookup}) {
    measure_pass(pass, packets, cycles, figures_.stages[static_cast<std::size_t>(pass)]);
    feed_.refill();
  }
  if (copy_floor_) measure_copying(packets, cycles);
  run_pass(Pass::Whole, packets);
}

void BenchWorker::measure_copying(std::size_t packets, const CycleCounter& cycles) {
  copy_floor_->clear();
  run_bursts(packets, [&] {
    decode_burst();
    copy_floor_->note(burst_);
  });
  feed_.refill();
  measure_pass(Pass::Copy, packets, cycles, figures_.copy->floor);
  feed_.refill();
}

void BenchWorker::set_up() {
  std::uint64_t left = settings_.warm_up_packets;
  while (feed_.in_setup() || left > 0) {
    const bool warming_up = !feed_.in_setup();
    const std::size_t packets = feed_.fill(settings_.chunk_packets);
    if (packets == 0) return;
    run_pass(Pass::Whole, packets);
    if (warming_up) left -= std::min<std::uint64_t>(left, packets);
  }
}

void BenchWorker::measure() {
  const CycleCounter cycles;
  if (writer_ == nullptr) return measure_chunks(cycles);
  CopyFigures& copy = *figures_.copy;
  const std::uint64_t waits_before = waits();
  const std::uint64_t packets_before = shard_.ledger().received;
  const auto cpu_before = writer_->cpu_time();
  measure_chunks(cycles);
  copy.writer.cpu = writer_->cpu_time() - cpu_before;
  copy.writer.packets = shard_.ledger().received - packets_before;
  copy.waits = waits() - waits_before;
}

void BenchWorker::measure_chunks(const CycleCounter& cycles) {
  const traffic::TrafficTruth unknown;
  const traffic::TrafficTruth& truth = feed_.truth() == nullptr ? unknown : *feed_.truth();
  for (std::uint64_t chunk = 1; figures_.engine.wall < settings_.duration; ++chunk) {
    const traffic::TrafficTruth before = truth;
    const std::size_t packets = feed_.fill(settings_.chunk_packets);
    if (packets == 0) return;
    if (chunk % kStagesEvery == 0) {
      measure_stages(packets, cycles);
    } else {
      measure_chunk(packets,
                    {truth.payload_bytes - before.payload_bytes,
                     truth.frame_bytes - before.frame_bytes},
                    cycles);
    }
  }
}

void BenchWorker::finish() {
  feed_.end();
  while (const std::size_t packets = feed_.fill(settings_.chunk_packets)) {
    run_pass(Pass::Whole, packets);
  }
  front_.finish();
  shard_.finish();
  if (writer_ != nullptr) writer_->exporter().finish();
  asm volatile("" : : "r"(sink_)); // the passes' results are needed
}

BenchFigures BenchWorker::figures() {
  const Ledger& ledger = shard_.ledger();
  figures_.balanced = ledger.balances();
  figures_.tracked_bytes = ledger.tcp.fates[static_cast<std::size_t>(Fate::Delivered)];
  figures_.delivered_bytes = counting_.bytes();
  figures_.reserved_bytes = shard_.reserved_bytes() + front_.reserved_bytes();
  if (writer_ != nullptr) {
    writer_->settle();
    figures_.delivered_bytes = writer_->bytes();
    figures_.copy->memory_left = writer_->exporter().levels().bytes;
    figures_.reserved_bytes += writer_->exporter().reserved_bytes();
  }
  const Shard::MemoryInUse left = shard_.memory_in_use();
  figures_.objects_left =
      std::uint64_t{left.connections} + left.extras + left.rares + left.pages +
      left.encapsulations;
  if (const auto* truth = feed_.truth()) {
    figures_.expected_bytes = truth->payload_bytes - truth->duplicate_bytes;
  }
  return figures_;
}

}  // namespace flowloom
