// EAL's start, good and bad, each in a child process: DPDK starts once per process.
#include <algorithm>
#include <array>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <rte_lcore.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <functional>

#include "runtime/eal.hpp"
#include "runtime/ports.hpp"
#include "support/capture_file.hpp"

namespace flowloom {
namespace {

constexpr EalNeeds kNeeds{16u << 20};
constexpr uid_t kNobody = 65534;

struct Outcome {
  std::string said;     // what the body returned, or the error
  std::string printed;  // what reached standard output and standard error
  bool exited = false;  // not by a signal
};

std::string drain(int fd) {
  std::string text;
  char buffer[4096];
  for (ssize_t n = 0; (n = read(fd, buffer, sizeof buffer)) > 0;) {
    text.append(buffer, static_cast<std::size_t>(n));
  }
  close(fd);
  return text;
}

// Runs `body` in a child and brings back what it says.
Outcome in_child(const std::function<std::string()>& body) {
  int said[2];
  int printed[2];
  EXPECT_EQ(pipe(said), 0);
  EXPECT_EQ(pipe(printed), 0);
  const pid_t child = fork();
  if (child == 0) {
    dup2(printed[1], STDOUT_FILENO);
    dup2(printed[1], STDERR_FILENO);
    std::string text;
    try {
      text = body();
    } catch (const RuntimeSetupError& error) {
      text = std::string("error: ") + error.what();
    }
    const ssize_t written = write(said[1], text.data(), text.size());
    std::fflush(nullptr);
    _exit(written == static_cast<ssize_t>(text.size()) ? 0 : 1);
  }
  close(said[1]);
  close(printed[1]);
  Outcome outcome;
  outcome.said = drain(said[0]);
  outcome.printed = drain(printed[0]);
  int status = 0;
  waitpid(child, &status, 0);
  outcome.exited = WIFEXITED(status) && WEXITSTATUS(status) == 0;
  return outcome;
}

std::string start(const std::vector<std::string>& arguments) {
  const Eal eal("flowloom", arguments, kNeeds);
  return "started";
}

struct Refusal {
  std::vector<std::string> arguments;
  std::vector<const char*> sentence_has;
};

class EalRefusalTest : public ::testing::TestWithParam<Refusal> {};

TEST_P(EalRefusalTest, IsOneSentenceAndNothingElse) {
  const Outcome outcome = in_child([] { return start(GetParam().arguments); });
  EXPECT_TRUE(outcome.exited);
  EXPECT_EQ(outcome.said.find("error: "), 0u) << outcome.said;
  EXPECT_EQ(outcome.said.find('\n'), std::string::npos) << outcome.said;
  EXPECT_EQ(outcome.printed, "");
  for (const char* part : GetParam().sentence_has) {
    EXPECT_NE(outcome.said.find(part), std::string::npos) << outcome.said;
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, EalRefusalTest,
    ::testing::Values(Refusal{{"--no-huge", "--bogus"}, {"did not start", "--bogus"}},
                      Refusal{{"--no-huge", "-l", "90-127"}, {"did not start", "lcore 90"}},
                      Refusal{{"--no-huge", "--in-memory"}, {"did not start", "--legacy-mem"}},
                      Refusal{{"--no-huge", "--vdev", "net_pcap0,rx_pcap=/nonexistent/x"},
                              {"could not create", "`net_pcap0`", "No such file"}},
                      Refusal{{"--no-huge", "--vdev", "net_nosuchdriver0"}, {"net_nosuchdriver0"}},
                      Refusal{{"--no-huge", "--no-pci", "capture.pcap"},
                              {"`capture.pcap`", "after `--`"}}));

TEST(EalStartTest, StartsQuietlyWithDefaults) {
  const Outcome outcome = in_child([] { return start({"--vdev", "net_null0"}); });
  EXPECT_EQ(outcome.said, "started");
  EXPECT_EQ(outcome.printed, "");
}

TEST(EalStartTest, StartsForAnOrdinaryUserWithoutHugepages) {
  const Outcome outcome = in_child([] {
    unsetenv("XDG_RUNTIME_DIR");
    if (getuid() == 0 && setuid(kNobody) != 0) return std::string("setuid failed");
    return start({"--no-huge", "--vdev", "net_null0"});
  });
  EXPECT_EQ(outcome.said, "started");
  EXPECT_EQ(outcome.printed, "");
}

TEST(EalStartTest, TwoProcessesRunSideBySide) {
  const Outcome outer = in_child([] {
    const Eal eal("flowloom", {"--vdev", "net_null0"}, kNeeds);
    // A second process: this one cannot start EAL again, its sibling can.
    return std::string("started");
  });
  const Outcome second = in_child([] {
    const pid_t sibling = fork();
    if (sibling == 0) {
      try {
        start({"--vdev", "net_null0"});
        _exit(0);
      } catch (...) {
        _exit(1);
      }
    }
    const std::string here = start({"--vdev", "net_null0"});
    int status = 0;
    waitpid(sibling, &status, 0);
    return here + (status == 0 ? " twice" : " once");
  });
  EXPECT_EQ(outer.said, "started");
  EXPECT_EQ(second.said, "started twice");
}

TEST(EalStartTest, SecondStartInAProcessIsRefused) {
  const Outcome outcome = in_child([] {
    start({"--no-huge", "--no-pci"});
    return start({"--no-huge", "--no-pci"});
  });
  EXPECT_EQ(outcome.said.find("error: "), 0u) << outcome.said;
}

// Counts this process's threads that would take the signal.
int threads_taking(int signal) {
  int count = 0;
  for (const auto& task : std::filesystem::directory_iterator("/proc/self/task")) {
    std::ifstream status(task.path() / "status");
    for (std::string line; std::getline(status, line);) {
      if (!line.starts_with("SigBlk:")) continue;
      const auto blocked = std::stoull(line.substr(7), nullptr, 16);
      count += (blocked >> (signal - 1) & 1) == 0 ? 1 : 0;
    }
  }
  return count;
}

TEST(EalStartTest, LeavesSignalsAndCpusToTheCaller) {
  const Outcome outcome = in_child([]() -> std::string {
    cpu_set_t before;
    sched_getaffinity(0, sizeof before, &before);
    const auto handler_of = [](int signal) {
      struct sigaction action {};
      sigaction(signal, nullptr, &action);
      return action.sa_handler;
    };
    const std::array signals = {SIGINT, SIGTERM, SIGHUP, SIGUSR1};
    std::array<sighandler_t, signals.size()> handlers{}; // SIGHUP is ignored under nohup
    std::transform(signals.begin(), signals.end(), handlers.begin(), handler_of);
    const Eal eal("flowloom", {"--no-huge", "--no-pci"}, kNeeds);
    for (std::size_t i = 0; i < signals.size(); ++i) {
      if (threads_taking(signals[i]) != 1) return "EAL's threads take signals";
      if (handler_of(signals[i]) != handlers[i]) return "EAL handles signals";
    }
    eal.unbind_this_thread();
    cpu_set_t after;
    sched_getaffinity(0, sizeof after, &after);
    return CPU_EQUAL(&before, &after) ? "as before" : "bound";
  });
  EXPECT_EQ(outcome.said, "as before");
}

TEST(EalStartTest, TellsItsLcoresMainFirst) {
  const Outcome outcome = in_child([] {
    const Eal eal("flowloom", {"--no-huge", "--no-pci", "--lcores", "3@0,5@0", "--main-lcore", "5"},
                  kNeeds);
    std::string ids;
    for (const LcoreFacts& lcore : Eal::lcores()) ids += std::to_string(lcore.id) + " ";
    return ids;
  });
  EXPECT_EQ(outcome.said, "5 3 ");
}

TEST(EalStartTest, EstimatedMemoryIsEnoughWithoutHugepages) {
  const testing::TemporaryFolder folder;
  const std::string path = folder.file("a.pcap");
  std::vector<testing::Record> records;
  for (std::uint32_t i = 0; i < 5000; ++i) records.push_back({i, testing::pattern(9000, i)});
  testing::write_bytes(path, testing::pcap_bytes(records));
  for (const std::string& vdev : {"net_pcap0,rx_pcap=" + path + ",rx_pcap=" + path,
                                  "net_pcap0,rx_pcap=" + path + ",infinite_rx=1",
                                  std::string("net_null0"), std::string("net_ring0")}) {
    for (const unsigned workers : {1u, 4u}) {
      const Outcome outcome = in_child([&] {
        const std::vector<std::string> arguments = {"--no-huge", "--vdev", vdev};
        const PortSettings settings;
        const Eal eal("flowloom", arguments, estimate_eal_needs(arguments, workers, settings));
        std::vector<PortFacts> facts = discover_ports(find_vdevs(arguments));
        const LcorePlan plan =
            make_lcore_plan({Eal::lcores(), queues_of(facts), workers, WriterCore::Own});
        const Ports ports(std::move(facts), plan, settings);
        for (std::size_t i = 0; i < plan.pollers.size(); ++i) {
          EthdevSource source(ports.source_settings(i));
          Burst burst;
          source.receive(burst);
          source.release(burst);
        }
        return std::string("enough");
      });
      EXPECT_EQ(outcome.said, "enough") << vdev << " " << workers;
    }
  }
}

}  // namespace
}  // namespace flowloom
