// The heap of closing connections, against an ordered set.
#include "compat/nids/stream_timers.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <random>
#include <set>
#include <tuple>
#include <vector>

namespace flowloom::nids {
namespace {

constexpr std::uint32_t kSeed = 20260;

TEST(StreamTimers, AreDueInOrderOfDeadlineThenOfSetting) {
  std::mt19937 random(kSeed);
  std::vector<std::unique_ptr<Stream>> streams;
  for (int i = 0; i < 200; ++i) streams.push_back(std::make_unique<Stream>());
  std::set<std::tuple<std::int64_t, int, Stream*>> model;
  StreamTimers timers;
  for (int step = 0; step < 20'000; ++step) {
    Stream& stream = *streams[random() % streams.size()];
    const auto known = std::find_if(model.begin(), model.end(), [&](const auto& entry) {
      return std::get<2>(entry) == &stream;
    });
    if (random() % 3 == 0) {
      timers.clear(stream);
      if (known != model.end()) model.erase(known);
    } else {
      const auto deadline = static_cast<std::int64_t>(random() % 50);
      timers.set(stream, deadline);
      if (known == model.end()) model.insert({deadline, step, &stream});
    }
    ASSERT_EQ(timers.empty(), model.empty()) << "seed " << kSeed;
    if (model.empty()) continue;
    const auto& [deadline, order, first] = *model.begin();
    ASSERT_EQ(timers.due(deadline), first) << "seed " << kSeed << " step " << step;
    ASSERT_EQ(timers.due(deadline - 1), nullptr);
  }
}

}  // namespace
}  // namespace flowloom::nids
