// What one frame costs in lib/net: decode (fast path, long way, tagged, IPv6), the checksum at
// segment sizes, and the flow hash. Frames lie in a buffer larger than L1 and smaller than L2,
// visited in order, as a burst is.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <cstring>
#include <vector>

#include "net/checksum.hpp"
#include "net/decode.hpp"
#include "net/five_tuple.hpp"
#include "net/tcp_checksum.hpp"
#include "net/tcp_options.hpp"

namespace flowloom {
namespace {

constexpr std::size_t kFrames = 32;  // one burst

enum class Shape : std::uint8_t { Ipv4, Vlan, Ipv6, Vxlan };

void put16(std::uint8_t* p, std::uint32_t v) {
  p[0] = static_cast<std::uint8_t>(v >> 8);
  p[1] = static_cast<std::uint8_t>(v);
}

struct Ipv4Fields {
  std::uint8_t protocol;
  std::uint32_t address;
};

// The IPv4 header of a datagram that is `total` bytes long.
void write_ipv4(std::uint8_t* p, std::uint32_t total, const Ipv4Fields& header) {
  p[0] = 0x45;
  put16(p + 2, total);
  put16(p + 6, 0x4000);
  p[8] = 64;
  p[9] = header.protocol;
  p[12] = 10;
  p[16] = 10;
  p[19] = static_cast<std::uint8_t>(header.address);
  const std::uint16_t sum = checksum_fold(checksum_sum_of_20(p));
  const auto field = static_cast<std::uint16_t>(~sum);
  std::memcpy(p + 10, &field, sizeof field);
}

// VXLAN up to where the inner IP header begins.
std::size_t write_vxlan(std::uint8_t* frame, std::size_t bytes) {
  constexpr std::uint8_t kUdp = 17;
  std::uint8_t* udp = frame + 14 + 20;
  write_ipv4(frame + 14, static_cast<std::uint32_t>(bytes - 14), {kUdp, 9});
  put16(udp + 2, 4789);
  put16(udp + 4, static_cast<std::uint32_t>(bytes - 14 - 20));
  udp[8] = 8;
  put16(udp + 16 + 12, 0x0800);
  return 14 + 20 + 16 + 14;
}

// An Ethernet frame of `bytes` with a TCP segment that fills it.
void write_frame(std::uint8_t* frame, std::size_t bytes, Shape shape, std::uint32_t index) {
  std::memset(frame, 0, bytes);
  std::size_t ip = 14;
  put16(frame + 12, shape == Shape::Ipv6 ? 0x86dd : 0x0800);
  if (shape == Shape::Vlan) {
    put16(frame + 12, 0x8100);
    put16(frame + 14, 42);
    put16(frame + 16, 0x0800);
    ip = 18;
  }
  if (shape == Shape::Vxlan) ip = write_vxlan(frame, bytes);
  const auto total = static_cast<std::uint32_t>(bytes - ip);
  std::uint8_t* p = frame + ip;
  std::size_t header_bytes = 20;
  if (shape == Shape::Ipv6) {
    header_bytes = 40;
    p[0] = 0x60;
    put16(p + 4, total - 40);
    p[6] = 6;
    p[23] = 1;
    p[39] = static_cast<std::uint8_t>(index);
  } else {
    write_ipv4(p, total, {6, index});
  }
  put16(p + header_bytes, 1024 + index);
  put16(p + header_bytes + 2, 80);
  p[header_bytes + 12] = 0x50;
  p[header_bytes + 13] = 0x10;
}

struct Burst32 {
  Burst32(std::size_t bytes, Shape shape) : storage(kFrames * bytes), packets(kFrames) {
    for (std::size_t i = 0; i < kFrames; ++i) {
      std::uint8_t* frame = storage.data() + i * bytes;
      write_frame(frame, bytes, shape, static_cast<std::uint32_t>(i));
      packets[i].frame = frame;
      packets[i].captured = packets[i].wire_length = static_cast<std::uint32_t>(bytes);
      packets[i].link = LinkType::Ethernet;
    }
  }

  std::vector<std::uint8_t> storage;
  std::vector<Packet> packets;
};

using DecodeFunction = void (*)(Packet&, const DecodeOptions&);

void run_decode(benchmark::State& state, DecodeFunction function, Shape shape) {
  Burst32 burst(static_cast<std::size_t>(state.range(0)), shape);
  const DecodeOptions options;
  for (auto _ : state) {
    for (Packet& packet : burst.packets) function(packet, options);
    benchmark::ClobberMemory();
  }
  if (burst.packets[0].verdict != Verdict::Tcp) state.SkipWithError("not decoded");
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kFrames));
}

void bm_decode(benchmark::State& state) {
  run_decode(state, decode, Shape::Ipv4);
}
void bm_decode_ipv6(benchmark::State& state) {
  run_decode(state, decode, Shape::Ipv6);
}
void bm_decode_vlan(benchmark::State& state) {
  run_decode(state, decode, Shape::Vlan);
}
void bm_decode_vxlan(benchmark::State& state) {
  run_decode(state, decode, Shape::Vxlan);
}
void bm_decode_by_layers(benchmark::State& state) {
  run_decode(state, decode_by_layers, Shape::Ipv4);
}
BENCHMARK(bm_decode)->Arg(60)->Arg(1514);
BENCHMARK(bm_decode_ipv6)->Arg(80);
BENCHMARK(bm_decode_vlan)->Arg(64);
BENCHMARK(bm_decode_vxlan)->Arg(110);
BENCHMARK(bm_decode_by_layers)->Arg(60);

void run_hash(benchmark::State& state, Shape shape) {
  Burst32 burst(80, shape);
  for (Packet& packet : burst.packets) decode(packet, {});
  const HashSeed seed;
  for (auto _ : state) {
    for (Packet& packet : burst.packets) hash_flow(packet, seed);
    benchmark::ClobberMemory();
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kFrames));
}

void bm_hash_flow_ipv4(benchmark::State& state) {
  run_hash(state, Shape::Ipv4);
}
void bm_hash_flow_ipv6(benchmark::State& state) {
  run_hash(state, Shape::Ipv6);
}
BENCHMARK(bm_hash_flow_ipv4);
BENCHMARK(bm_hash_flow_ipv6);

void bm_flow_key(benchmark::State& state) {
  Burst32 burst(60, Shape::Ipv4);
  for (Packet& packet : burst.packets) {
    decode(packet, {});
    hash_flow(packet, {});
  }
  for (auto _ : state) {
    for (const Packet& packet : burst.packets) {
      FlowKey key = flow_key_of(packet);
      benchmark::DoNotOptimize(key);
    }
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kFrames));
}
BENCHMARK(bm_flow_key);

void bm_checksum_sum(benchmark::State& state) {
  const std::vector<std::uint8_t> bytes(static_cast<std::size_t>(state.range(0)), 0x5a);
  for (auto _ : state) {
    ByteView view(bytes);
    benchmark::DoNotOptimize(view);
    benchmark::DoNotOptimize(checksum_sum(view));
  }
  state.SetBytesProcessed(state.iterations() * state.range(0));
}
BENCHMARK(bm_checksum_sum)->Arg(20)->Arg(40)->Arg(100)->Arg(1460)->Arg(9000);

void bm_check_tcp_checksum(benchmark::State& state) {
  Burst32 burst(static_cast<std::size_t>(state.range(0)), Shape::Ipv4);
  for (Packet& packet : burst.packets) decode(packet, {});
  for (auto _ : state) {
    for (const Packet& packet : burst.packets) benchmark::DoNotOptimize(check_tcp_checksum(packet));
  }
  state.SetItemsProcessed(state.iterations() * static_cast<std::int64_t>(kFrames));
}
BENCHMARK(bm_check_tcp_checksum)->Arg(60)->Arg(1514);

void bm_tcp_options(benchmark::State& state) {
  const std::vector<std::uint8_t> timestamps = {1, 1, 8, 10, 0, 0, 0, 1, 0, 0, 0, 2};
  const std::vector<std::uint8_t> of_a_syn = {2, 4, 5, 180, 4, 2, 8, 10, 0, 0,
                                              0, 1, 0, 0,   0, 0, 1, 3,  3, 7};
  const std::vector<std::uint8_t>& bytes = state.range(0) == 12 ? timestamps : of_a_syn;
  for (auto _ : state) {
    ByteView view(bytes);
    benchmark::DoNotOptimize(view);
    TcpOptions options = parse_tcp_options(view);
    benchmark::DoNotOptimize(options);
  }
}
BENCHMARK(bm_tcp_options)->Arg(12)->Arg(20);

}  // namespace
}  // namespace flowloom

BENCHMARK_MAIN();
