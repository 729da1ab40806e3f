// Vdevs among EAL's arguments, and files that cannot be read taken out of them.
#include "runtime/vdev_spec.hpp"

#include <gtest/gtest.h>

#include "support/capture_file.hpp"

namespace flowloom {
namespace {

TEST(VdevSpecTest, ParsesNameAndRepeatedOptions) {
  const VdevSpec vdev = parse_vdev("net_pcap0,rx_pcap=a=b.pcap,,rx_pcap=c.pcap,infinite_rx=1,x");
  EXPECT_EQ(vdev.name, "net_pcap0");
  EXPECT_EQ(vdev.values("rx_pcap"), (std::vector<std::string>{"a=b.pcap", "c.pcap"}));
  EXPECT_TRUE(vdev.enabled("infinite_rx"));
  EXPECT_TRUE(vdev.enabled("x"));
  EXPECT_FALSE(vdev.enabled("y"));
  EXPECT_FALSE(parse_vdev("net_pcap0,infinite_rx=0").enabled("infinite_rx"));
  EXPECT_TRUE(vdev.is_pcap());
  EXPECT_TRUE(parse_vdev("eth_pcap0").is_pcap());
  EXPECT_FALSE(parse_vdev("").is_pcap());
}

TEST(VdevSpecTest, FindsBothSpellings) {
  const std::vector<VdevSpec> vdevs =
      find_vdevs({"-l", "0", "--vdev", "net_null0", "--vdev=net_ring0,x=1", "--vdev"});
  ASSERT_EQ(vdevs.size(), 2u);
  EXPECT_EQ(vdevs[0].name, "net_null0");
  EXPECT_EQ(vdevs[1].name, "net_ring0");
}

TEST(VdevSpecTest, TakesOutWhatCannotBeReadAndNamesIt) {
  const testing::TemporaryFolder folder;
  const std::string good = folder.file("good.pcap");
  testing::write_bytes(good, testing::pcap_bytes({}));
  const std::string bad = folder.file("none.pcap");
  const CheckedArguments checked = check_vdev_files(
      {"-l", "0", "--vdev=net_pcap0,rx_pcap=" + bad, "--vdev",
       "net_pcap1,rx_pcap=" + good + ",rx_pcap=" + bad, "--vdev", "net_null0,size=60", "-v"});
  EXPECT_EQ(checked.arguments,
            (std::vector<std::string>{"-l", "0", "--vdev", "net_pcap1,rx_pcap=" + good, "--vdev",
                                      "net_null0,size=60", "-v"}));
  ASSERT_EQ(checked.problems.size(), 2u);
  for (const InputProblem& problem : checked.problems) {
    EXPECT_EQ(problem.severity, ProblemSeverity::Unreadable);
    EXPECT_EQ(problem.message, bad + ": cannot be opened: No such file or directory");
  }
}

TEST(VdevSpecTest, SaysWhenNothingIsLeft) {
  const std::string bad = "--vdev=net_pcap0,rx_pcap=/nonexistent/a";
  EXPECT_TRUE(check_vdev_files({"-l", "0", bad}).nothing_left);
  EXPECT_FALSE(check_vdev_files({bad, "--vdev", "net_null0"}).nothing_left);
  EXPECT_FALSE(check_vdev_files({bad, "-a", "0000:01:00.0"}).nothing_left);
  EXPECT_FALSE(check_vdev_files({"-l", "0"}).nothing_left);
}

TEST(VdevSpecTest, LeavesVdevsWithoutCapturesAlone) {
  const std::vector<std::string> arguments = {"--vdev", "net_pcap0,rx_iface=lo", "--vdev",
                                              "net_ring0"};
  const CheckedArguments checked = check_vdev_files(arguments);
  EXPECT_EQ(checked.arguments, arguments);
  EXPECT_TRUE(checked.problems.empty());
}

}  // namespace
}  // namespace flowloom
