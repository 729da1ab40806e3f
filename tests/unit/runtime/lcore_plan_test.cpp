// Layouts of queues, workers and writer over lcores, a row each.
#include "runtime/lcore_plan.hpp"

#include <gtest/gtest.h>

namespace flowloom {
namespace {

std::vector<LcoreFacts> lcores(unsigned count) {
  std::vector<LcoreFacts> result;
  for (unsigned i = 0; i < count; ++i) result.push_back({i, 0});
  return result;
}

PortQueues port(std::uint16_t id, QueueSpread spread, std::uint16_t queues_max) {
  return {.port = id, .socket = 0, .queues_max = queues_max, .spread = spread};
}

struct Row {
  const char* name;
  unsigned lcores;
  unsigned workers;
  WriterCore writer;
  std::vector<PortQueues> ports;
  PlanShape shape;
  std::vector<LcorePlan::Poller> pollers;
  std::vector<unsigned> worker_lcores;
  unsigned writer_lcore;
  std::vector<std::uint16_t> queues;
};

const std::vector<Row> kRows = {
    {"one file, one worker: the main lcore writes",
     2,
     1,
     WriterCore::Own,
     {port(0, QueueSpread::Together, 1)},
     PlanShape::RunToCompletion,
     {{1, {{0, 0}}}},
     {1},
     0,
     {1}},
    {"everything on the only lcore",
     1,
     1,
     WriterCore::Own,
     {port(0, QueueSpread::Together, 1)},
     PlanShape::RunToCompletion,
     {{0, {{0, 0}}}},
     {0},
     0,
     {1}},
    {"files of two ports are merged by one poller",
     2,
     1,
     WriterCore::None,
     {port(0, QueueSpread::Together, 2), port(3, QueueSpread::Together, 1)},
     PlanShape::RunToCompletion,
     {{1, {{0, 0}, {0, 1}, {3, 0}}}},
     {1},
     0,
     {2, 1}},
    {"files with workers are steered",
     4,
     2,
     WriterCore::Own,
     {port(0, QueueSpread::Together, 2)},
     PlanShape::Steered,
     {{1, {{0, 0}, {0, 1}}}},
     {2, 3},
     0,
     {2}},
    {"too few lcores are shared",
     2,
     4,
     WriterCore::Own,
     {port(0, QueueSpread::Together, 1)},
     PlanShape::Steered,
     {{1, {{0, 0}}}},
     {0, 1, 0, 1},
     0,
     {1}},
    {"a NIC has a queue per worker",
     4,
     3,
     WriterCore::Own,
     {port(0, QueueSpread::Symmetric, 64)},
     PlanShape::RunToCompletion,
     {{1, {{0, 0}}}, {2, {{0, 1}}}, {3, {{0, 2}}}},
     {1, 2, 3},
     0,
     {3}},
    {"two fibres of a tap meet at the same worker",
     3,
     2,
     WriterCore::Own,
     {port(0, QueueSpread::Symmetric, 8), port(1, QueueSpread::Symmetric, 8)},
     PlanShape::RunToCompletion,
     {{1, {{0, 0}, {1, 0}}}, {2, {{0, 1}, {1, 1}}}},
     {1, 2},
     0,
     {2, 2}},
    {"a NIC with too few queues is steered",
     4,
     3,
     WriterCore::None,
     {port(0, QueueSpread::Symmetric, 2)},
     PlanShape::Steered,
     {{1, {{0, 0}}}},
     {2, 3, 0},
     0,
     {1}},
    {"a NIC beside a port without RSS is steered",
     4,
     2,
     WriterCore::Own,
     {port(0, QueueSpread::Symmetric, 8), port(1, QueueSpread::Together, 1)},
     PlanShape::Steered,
     {{1, {{0, 0}, {1, 0}}}},
     {2, 3},
     0,
     {1, 1}},
    {"vdevs of independent queues run one each",
     3,
     2,
     WriterCore::Own,
     {port(0, QueueSpread::Independent, 16)},
     PlanShape::RunToCompletion,
     {{1, {{0, 0}}}, {2, {{0, 1}}}},
     {1, 2},
     0,
     {2}},
    {"endless files are dealt out, none left",
     3,
     2,
     WriterCore::Own,
     {port(0, QueueSpread::EndlessFiles, 3)},
     PlanShape::RunToCompletion,
     {{1, {{0, 0}, {0, 2}}}, {2, {{0, 1}}}},
     {1, 2},
     0,
     {3}},
    {"workers without a queue do not exist",
     5,
     4,
     WriterCore::Own,
     {port(0, QueueSpread::EndlessFiles, 1)},
     PlanShape::RunToCompletion,
     {{1, {{0, 0}}}},
     {1},
     2,
     {1}},
    {"workers by default: all lcores but one",
     4,
     0,
     WriterCore::Own,
     {port(0, QueueSpread::Symmetric, 64)},
     PlanShape::RunToCompletion,
     {{1, {{0, 0}}}, {2, {{0, 1}}}, {3, {{0, 2}}}},
     {1, 2, 3},
     0,
     {3}},
};

class LcorePlanTest : public ::testing::TestWithParam<Row> {};

TEST_P(LcorePlanTest, IsAsTheTableSays) {
  const Row& row = GetParam();
  const LcorePlan plan = make_lcore_plan({lcores(row.lcores), row.ports, row.workers, row.writer});
  EXPECT_EQ(plan.shape, row.shape) << row.name;
  EXPECT_EQ(plan.pollers, row.pollers) << row.name;
  EXPECT_EQ(plan.workers, row.worker_lcores) << row.name;
  EXPECT_EQ(plan.queues, row.queues) << row.name;
  EXPECT_EQ(plan.control, 0u) << row.name;
  if (row.writer == WriterCore::Own) {
    EXPECT_EQ(plan.writer, row.writer_lcore) << row.name;
  }
  EXPECT_FALSE(describe(plan, row.writer).empty());
}

INSTANTIATE_TEST_SUITE_P(Table, LcorePlanTest, ::testing::ValuesIn(kRows));

TEST(LcorePlan, PrefersLcoresOnThePortsSocket) {
  const std::vector<LcoreFacts> two_sockets = {{0, 0}, {1, 0}, {2, 1}, {3, 1}};
  PortQueues nic = port(0, QueueSpread::Symmetric, 8);
  nic.socket = 1;
  const LcorePlan plan = make_lcore_plan({two_sockets, {nic}, 2, WriterCore::Own});
  EXPECT_EQ(plan.workers, (std::vector<unsigned>{2, 3}));
  EXPECT_EQ(plan.writer, 1u);
}

// Whatever the machine: each queue that is configured is polled once, and by a layout in which
// both directions of a connection meet.
TEST(LcorePlan, PollsEveryConfiguredQueueOnce) {
  const std::vector<QueueSpread> spreads = {QueueSpread::Together, QueueSpread::EndlessFiles,
                                            QueueSpread::Independent, QueueSpread::Symmetric};
  for (unsigned cores = 1; cores <= 5; ++cores) {
    for (unsigned workers = 0; workers <= 6; ++workers) {
      for (const QueueSpread first : spreads) {
        for (const QueueSpread second : spreads) {
          for (std::uint16_t max = 1; max <= 4; ++max) {
            const PlanRequest request{
                lcores(cores), {port(0, first, max), port(1, second, 4)}, workers, WriterCore::Own};
            const LcorePlan plan = make_lcore_plan(request);
            std::vector<int> seen(2 * 8);
            for (const auto& poller : plan.pollers) {
              EXPECT_FALSE(poller.queues.empty());
              for (const QueueRef& ref : poller.queues) ++seen[ref.port * 8u + ref.queue];
            }
            for (std::size_t p = 0; p < 2; ++p) {
              for (std::size_t q = 0; q < 8; ++q) {
                EXPECT_EQ(seen[p * 8 + q], q < plan.queues[p] ? 1 : 0);
              }
              EXPECT_LE(plan.queues[p], request.ports[p].queues_max);
              EXPECT_GE(plan.queues[p], 1);
            }
            if (plan.shape == PlanShape::Steered) {
              EXPECT_EQ(plan.pollers.size(), 1u);
            } else {
              EXPECT_EQ(plan.pollers.size(), plan.workers.size());
            }
          }
        }
      }
    }
  }
}

}  // namespace
}  // namespace flowloom
