// What a fragment costs: datagrams of 1500-byte and of 8-byte fragments that complete, and the two
// floods of FragmentSmack, one source and many, that never do and hold all memory there is.
#include <benchmark/benchmark.h>

#include <cstdint>
#include <vector>

#include "ip/defragmenter.hpp"
#include "net/decode.hpp"

namespace flowloom {
namespace {

constexpr std::size_t kHeaderBytes = 20;
constexpr std::uint32_t kMoreFragments = 0x2000;

void put16(std::uint8_t* p, std::uint32_t v) {
  p[0] = static_cast<std::uint8_t>(v >> 8);
  p[1] = static_cast<std::uint8_t>(v);
}

/// A decoded fragment whose fields can be rewritten: the defragmenter trusts the decoder's word.
class IpFragment {
 public:
  IpFragment(std::size_t data_bytes, std::uint32_t field)
      : frame_(kHeaderBytes + data_bytes, 0x5a) {
    std::uint8_t* ip = frame_.data();
    ip[0] = 0x45;
    put16(ip + 2, static_cast<std::uint32_t>(frame_.size()));
    put16(ip + 6, field);
    ip[9] = 6;
    put16(ip + 10, 0);  // left to the NIC, as far as the decoder is concerned
    packet_.frame = ip;
    packet_.captured = packet_.wire_length = static_cast<std::uint32_t>(frame_.size());
    packet_.link = LinkType::Raw;
    decode(packet_, {});
  }

  const Packet& with_id(std::uint32_t id) {
    put16(frame_.data() + 4, id);
    frame_[9] = static_cast<std::uint8_t>(id >> 16);
    return packet_;
  }
  void set_source(std::uint32_t host) {
    put16(frame_.data() + 12, host >> 16);
    put16(frame_.data() + 14, host);
  }

 private:
  std::vector<std::uint8_t> frame_;
  Packet packet_{};
};

// Datagrams of `count` fragments, in order, each completed and released.
void bm_complete(benchmark::State& state) {
  const auto bytes = static_cast<std::uint32_t>(state.range(0));
  const auto count = static_cast<std::uint32_t>(state.range(1));
  std::vector<IpFragment> fragments;
  for (std::uint32_t i = 0; i < count; ++i) {
    fragments.emplace_back(bytes, i * bytes / 8 | (i + 1 < count ? kMoreFragments : 0));
  }
  Defragmenter defragmenter{{}};
  std::uint32_t id = 0;
  for (auto _ : state) {
    ++id;
    for (IpFragment& fragment : fragments) {
      const Defragmenter::Result result = defragmenter.add(fragment.with_id(id & 0xffff));
      if (const auto* whole = std::get_if<CompleteDatagram>(&result)) {
        benchmark::DoNotOptimize(whole->bytes.data());
        defragmenter.release(whole->handle);
      }
    }
  }
  if (defragmenter.open_datagrams() != 0) state.SkipWithError("not reassembled");
  state.SetItemsProcessed(state.iterations() * count);
  state.SetBytesProcessed(state.iterations() * count * bytes);
}
BENCHMARK(bm_complete)
    ->Args({1480, 2})
    ->Args({1480, 6})
    ->Args({1480, 44})
    ->Args({8, 4})
    ->Args({8, 1000});

enum class Sources : std::uint8_t { One, Many };

void run_flood(benchmark::State& state, Sources sources) {
  IpFragment fragment(static_cast<std::size_t>(state.range(0)), kMoreFragments | 8);
  Defragmenter defragmenter{{}};
  std::uint32_t id = 0;
  const auto add = [&] {
    if (sources == Sources::Many) fragment.set_source(id);
    benchmark::DoNotOptimize(defragmenter.add(fragment.with_id(id++)));
  };
  constexpr std::uint32_t kFull = 200'000;
  while (id < kFull) add();
  for (auto _ : state) add();
  if (defragmenter.counters().evicted == 0) state.SkipWithError("there is memory left");
  state.SetItemsProcessed(state.iterations());
}

void bm_flood_from_one_source(benchmark::State& state) {
  run_flood(state, Sources::One);
}
void bm_flood_from_many_sources(benchmark::State& state) {
  run_flood(state, Sources::Many);
}
BENCHMARK(bm_flood_from_one_source)->Arg(8)->Arg(1480);
BENCHMARK(bm_flood_from_many_sources)->Arg(8);

// One datagram that never completes, its fragments repeated and overlapping: what a decision by
// policy costs.
void bm_overlaps(benchmark::State& state) {
  DefragmentSettings settings;
  settings.ipv4_overlap = static_cast<FragmentOverlap>(state.range(0));
  Defragmenter defragmenter(settings);
  std::vector<IpFragment> fragments;
  for (std::uint32_t i = 0; i < 64; ++i)
    fragments.emplace_back(1480, kMoreFragments | (i * 37 + 8));
  for (auto _ : state) {
    for (IpFragment& fragment : fragments) {
      benchmark::DoNotOptimize(defragmenter.add(fragment.with_id(1)));
    }
  }
  state.SetItemsProcessed(state.iterations() * 64);
}
BENCHMARK(bm_overlaps)
    ->Arg(static_cast<int>(FragmentOverlap::Bsd))
    ->Arg(static_cast<int>(FragmentOverlap::First))
    ->Arg(static_cast<int>(FragmentOverlap::Windows));

}  // namespace
}  // namespace flowloom

BENCHMARK_MAIN();
