// What EAL is started with, for every kind of user and machine.
#include "runtime/eal_arguments.hpp"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <gtest/gtest.h>

namespace flowloom {
namespace {

constexpr std::uint64_t kMegabyte = 1u << 20;
constexpr EalNeeds kNeeds{100 * kMegabyte};

struct Case {
  const char* name;
  std::vector<std::string> user;
  std::uint64_t free_hugepage_megabytes;
  const char* expected;  // without the program, joined by blanks
};

const std::vector<Case> kCases = {
    {"nothing said, no hugepages: any PCI device, no privilege for memory",
     {},
     0,
     "--log-level=error --no-huge -m 164 --no-shconf --no-telemetry"},
    {"nothing said, hugepages", {}, 1024, "--log-level=error --in-memory --no-telemetry"},
    {"too few hugepages are none",
     {},
     128,
     "--log-level=error --no-huge -m 164 --no-shconf --no-telemetry"},
    {"a vdev alone spares the machine's NICs",
     {"--vdev", "net_null0"},
     0,
     "--log-level=error --no-huge -m 164 --no-shconf --no-pci --iova-mode=va --no-telemetry "
     "--vdev net_null0"},
    {"a vdev beside an allowed NIC keeps PCI",
     {"--vdev=net_null0", "-a0000:01:00.0"},
     1024,
     "--log-level=error --in-memory --no-telemetry --vdev=net_null0 -a0000:01:00.0"},
    {"a vdev beside a blocked NIC keeps PCI",
     {"--vdev=net_null0", "--block", "1:0.0"},
     1024,
     "--log-level=error --in-memory --no-telemetry --vdev=net_null0 --block 1:0.0"},
    {"the user's sizes stay",
     {"-m", "64", "--no-pci"},
     0,
     "--log-level=error --no-huge --no-shconf --iova-mode=va --no-telemetry -m 64 --no-pci"},
    {"the user's --no-huge is completed",
     {"--no-huge", "--no-pci"},
     1024,
     "--log-level=error -m 164 --no-shconf --iova-mode=va --no-telemetry --no-huge --no-pci"},
    {"a file prefix means shared memory in files",
     {"--file-prefix", "x"},
     1024,
     "--log-level=error --no-telemetry --file-prefix x"},
    {"a secondary process shares the configuration",
     {"--no-huge", "--proc-type=secondary"},
     0,
     "--log-level=error -m 164 --no-telemetry --no-huge --proc-type=secondary"},
    {"what is given is not given again",
     {"--log-level=debug", "--telemetry", "--in-memory", "--iova-mode=pa", "--no-pci"},
     1024,
     "--log-level=debug --telemetry --in-memory --iova-mode=pa --no-pci"},
};

class EalArgumentsTest : public ::testing::TestWithParam<Case> {};

TEST_P(EalArgumentsTest, AreCompleted) {
  const Case& row = GetParam();
  const std::vector<std::string> all = complete_eal_arguments(
      "flowloom", row.user, kNeeds, {row.free_hugepage_megabytes * kMegabyte});
  ASSERT_FALSE(all.empty());
  EXPECT_EQ(all.front(), "flowloom");
  EXPECT_EQ(fmt::format("{}", fmt::join(all.begin() + 1, all.end(), " ")), row.expected)
      << row.name;
}

INSTANTIATE_TEST_SUITE_P(Table, EalArgumentsTest, ::testing::ValuesIn(kCases));

TEST(HasOption, KnowsAttachedValues) {
  EXPECT_TRUE(has_option({"--vdev=x"}, "--vdev"));
  EXPECT_TRUE(has_option({"-l", "--vdev", "x"}, "--vdev"));
  EXPECT_TRUE(has_option({"-m64"}, "-m"));
  EXPECT_FALSE(has_option({"--main-lcore", "0"}, "-m"));
  EXPECT_FALSE(has_option({"--vdevs"}, "--vdev"));
  EXPECT_FALSE(has_option({}, "-m"));
}

}  // namespace
}  // namespace flowloom
