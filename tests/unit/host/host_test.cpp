// Signals as counts; the service manager's datagrams; a confined process, which is a child of the
// test that tries what it should not be able to do.
#include "host/confinement.hpp"
#include "host/nudges.hpp"
#include "host/service_notifier.hpp"
#include "host/signals.hpp"

#include <gtest/gtest.h>

#include <fcntl.h>
#include <pwd.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdlib>
#include <fstream>
#include <functional>
#include <string>
#include <thread>

#include "support/temp_folder.hpp"

namespace flowloom {
namespace {

using test::TempFolder;

/// Runs `body` in a child; what it returned, or minus the signal that ended it.
int in_child(const std::function<int()>& body) {
  const pid_t child = ::fork();
  if (child == 0) ::_exit(body());
  int status = 0;
  ::waitpid(child, &status, 0);
  return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

TEST(Signals, AreCounted) {
  EXPECT_EQ(0, in_child([] {
              handle_signals(OnHangup::Rotate);
              for (int i = 0; i < 3; ++i) ::raise(SIGHUP);
              ::raise(SIGUSR1);
              ::raise(SIGTERM);
              return rotations_asked() == 3 && statistics_asked() == 1 && interrupts() == 1 ? 0 : 1;
            }));
}

TEST(Signals, TheSecondInterruptEndsTheProcess) {
  EXPECT_EQ(130, in_child([] {
              handle_signals(OnHangup::Rotate);
              ::raise(SIGINT);
              ::raise(SIGTERM);
              return 0;
            }));
}

TEST(Signals, HangupEndsWhereThereIsNothingToBeginAnew) {
  EXPECT_EQ(0, in_child([] {
              ::signal(SIGHUP, SIG_DFL);  // the tests may run under nohup
              handle_signals(OnHangup::End);
              ::raise(SIGHUP);
              ::raise(SIGHUP);  // not as an impatient Ctrl-C
              return interrupts() == 2 && rotations_asked() == 0 ? 0 : 1;
            }));
}

TEST(Signals, HangupStaysIgnoredWhereItWas) {
  EXPECT_EQ(0, in_child([] {
              ::signal(SIGHUP, SIG_IGN);
              handle_signals(OnHangup::End);
              ::raise(SIGHUP);
              return interrupts() == 0 ? 0 : 1;
            }));
}

/// A service manager: a datagram socket under a path or an abstract name.
class Manager {
 public:
  explicit Manager(const std::string& name) {
    sockaddr_un address{};
    address.sun_family = AF_UNIX;
    name.copy(address.sun_path, sizeof address.sun_path - 1);
    if (name.front() == '@') address.sun_path[0] = '\0';
    const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
    EXPECT_EQ(0, ::bind(socket_, reinterpret_cast<sockaddr*>(&address), size)) << name;
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
  }
  ~Manager() {
    ::close(socket_);
    for (const char* variable : {"NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID"}) {
      ::unsetenv(variable);
    }
  }
  std::string heard() {
    char text[256] = {};
    const ssize_t count = ::recv(socket_, text, sizeof text, MSG_DONTWAIT);
    return count < 0 ? std::string("nothing") : std::string(text, static_cast<std::size_t>(count));
  }

 private:
  int socket_ = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
};

TEST(ServiceNotifier, SaysWhatTheProtocolWants) {
  const TempFolder folder;
  for (const std::string& name :
       {folder / "notify", "@flowloom-test-" + std::to_string(::getpid())}) {
    Manager manager(name);
    ::setenv("WATCHDOG_USEC", "30000000", 1);
    ::setenv("WATCHDOG_PID", std::to_string(::getpid()).c_str(), 1);
    ServiceNotifier notifier;
    ASSERT_TRUE(notifier.is_wanted()) << name;
    EXPECT_EQ(std::chrono::seconds{30}, notifier.watchdog());
    notifier.ready();
    EXPECT_EQ("READY=1", manager.heard());
    notifier.status("7 connections");
    EXPECT_EQ("STATUS=7 connections", manager.heard());
    notifier.alive();
    EXPECT_EQ("WATCHDOG=1", manager.heard());
    notifier.stopping();
    EXPECT_EQ("STOPPING=1", manager.heard());
    EXPECT_EQ("nothing", manager.heard());
  }
}

TEST(ServiceNotifier, NeverWaitsForAManagerThatDoesNotListen) {
  const TempFolder folder;
  Manager manager(folder / "notify");
  ServiceNotifier notifier;
  for (int i = 0; i < 100'000; ++i) notifier.alive();
  EXPECT_EQ("WATCHDOG=1", manager.heard());
}

TEST(ServiceNotifier, TheWatchdogOfAnotherProcessIsNotOurs) {
  const TempFolder folder;
  Manager manager(folder / "notify");
  ::setenv("WATCHDOG_USEC", "30000000", 1);
  ::setenv("WATCHDOG_PID", "1", 1);
  const ServiceNotifier notifier;
  EXPECT_TRUE(notifier.is_wanted());
  EXPECT_EQ(0, notifier.watchdog().count());
}

TEST(ServiceNotifier, SilentWithoutASocket) {
  const TempFolder folder;
  for (const std::string& name : {std::string(), folder / "nobody", std::string("relative"),
                                  std::string("@"), "/" + std::string(200, 'x')}) {
    ::setenv("NOTIFY_SOCKET", name.c_str(), 1);
    ServiceNotifier notifier;
    EXPECT_FALSE(notifier.is_wanted()) << name;
    notifier.ready();
  }
  ::unsetenv("NOTIFY_SOCKET");
  EXPECT_FALSE(ServiceNotifier().is_wanted());
}

/// A line of /proc/thread-self/status.
std::string status_of(const std::string& key) {
  std::ifstream lines("/proc/thread-self/status");
  for (std::string line; std::getline(lines, line);) {
    if (line.starts_with(key + ":")) return line.substr(line.find_last_of(" \t") + 1);
  }
  return "";
}

/// 0, or why the file cannot be opened.
int open_error(const std::string& path, int flags) {
  const int fd = ::open(path.c_str(), flags | O_CLOEXEC, 0600);
  if (fd < 0) return errno;
  ::close(fd);
  return 0;
}

/// As in_child(): the number of the first thing that is not as it should be.
int first_wrong(std::initializer_list<bool> all) {
  int number = 1;
  for (const bool holds : all) {
    if (!holds) return number;
    ++number;
  }
  return 0;
}

TEST(Confinement, ThreadsKeepToTheirFolders) {
  const TempFolder inside;
  const TempFolder outside;
  { std::ofstream(outside / "there") << "text"; }
  EXPECT_EQ(0, in_child([&] {
              const Confinement confinement({inside.path()}, Reading::Everything);
              if (confinement.confine_thread() != 0) return 100;
              const bool kept = confinement.keeps_to_folders();
              const int denied = kept ? EACCES : 0;
              ::mkdir((inside / "a").c_str(), 0700);
              ::mkdir((inside / "b").c_str(), 0700);
              return first_wrong({
                  open_error(inside / "new", O_WRONLY | O_CREAT) == 0,
                  open_error(inside / "a/file", O_WRONLY | O_CREAT) == 0,
                  ::rename((inside / "a/file").c_str(), (inside / "b/file").c_str()) == 0,
                  ::unlink((inside / "b/file").c_str()) == 0,
                  open_error(outside / "there", O_RDONLY) == 0,
                  open_error(outside / "there", O_WRONLY) == denied,
                  open_error(outside / "new", O_WRONLY | O_CREAT) == denied,
                  open_error(inside / "../escape", O_WRONLY | O_CREAT | O_EXCL) != 0 || !kept,
                  status_of("NoNewPrivs") == "1",
                  status_of("CapEff") == "0000000000000000",
                  status_of("CapPrm") == "0000000000000000",
              });
            }));
}

TEST(Confinement, ALiveRunDoesNotEvenReadElsewhere) {
  const TempFolder inside;
  const TempFolder outside;
  { std::ofstream(outside / "there") << "text"; }
  EXPECT_EQ(0, in_child([&] {
              const Confinement confinement({inside.path()}, Reading::SystemAndOwn);
              if (confinement.confine_thread() != 0) return 100;
              const int denied = confinement.keeps_to_folders() ? EACCES : 0;
              return first_wrong({
                  open_error(inside / "new", O_RDWR | O_CREAT) == 0,
                  open_error(outside / "there", O_RDONLY) == denied,
                  open_error("/etc/passwd", O_RDONLY) == 0,
                  open_error("/proc/self/status", O_RDONLY) == 0,
              });
            }));
}

// DPDK's lcores exist before, and inherit nothing.
TEST(Confinement, OfAThreadIsInheritedByWhatItStarts) {
  const TempFolder inside;
  const TempFolder outside;
  EXPECT_EQ(0, in_child([&] {
              const Confinement confinement({inside.path()}, Reading::Everything);
              const int denied = confinement.keeps_to_folders() ? EACCES : 0;
              int nested = -1;
              std::thread([&] {
                if (confinement.confine_thread() != 0) return;
                if (confinement.confine_thread() != 0) return;  // twice does no harm
                std::thread([&] {
                  nested = open_error(outside / "new", O_WRONLY | O_CREAT);
                }).join();
              }).join();
              return first_wrong({nested == denied, status_of("NoNewPrivs") == "0",
                                  open_error(outside / "mine", O_WRONLY | O_CREAT) == 0});
            }));
}

TEST(Confinement, UsersAreLookedUp) {
  HostUser user;
  EXPECT_NE("", find_user("no-such-user-of-this-machine", user));
  const passwd* me = ::getpwuid(::geteuid());
  ASSERT_NE(nullptr, me);
  EXPECT_EQ("", find_user(me->pw_name, user));
  EXPECT_EQ(::geteuid(), user.uid);
  EXPECT_EQ(::geteuid() == 0 ? "" : "only root can become the user 'nobody'",
            find_user("nobody", user));
}

TEST(Confinement, RootBecomesTheUserForGood) {
  const int expected = ::geteuid() == 0 ? 0 : 200;  // who is not root stays who he is
  EXPECT_EQ(expected, in_child([] {
              HostUser user;
              if (::geteuid() != 0) return Confinement::become(user) == 0 ? 200 : 201;
              if (!find_user("nobody", user).empty()) return 101;
              if (Confinement::become(user) != 0) return 102;
              return first_wrong({::getuid() == user.uid, ::getegid() == user.gid,
                                  ::getgroups(0, nullptr) == 0, ::setuid(0) != 0,
                                  status_of("CapEff") == "0000000000000000"});
            }));
}

/// Whether a read() of a pipe that stays empty returned, on a thread that is not the first one.
TEST(NudgesTest, ACallThatDoesNotReturnIsInterruptedFromElsewhere) {
  int ends[2];
  ASSERT_EQ(0, ::pipe(ends));
  std::atomic<Nudges*> nudges{nullptr};
  int interrupted = 0;
  std::thread waiting([&] {
    Nudges own;
    nudges.store(&own);
    char byte = 0;
    while (interrupted < 3 && ::read(ends[0], &byte, 1) < 0 && errno == EINTR) ++interrupted;
    nudges.store(nullptr);
  });
  while (nudges.load() == nullptr) std::this_thread::yield();
  nudges.load()->begin();
  waiting.join();
  EXPECT_EQ(3, interrupted) << "not once: it may have come before the call";
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST(NudgesTest, OtherThreadsAreLeftAlone) {
  Nudges own;
  own.begin();
  std::thread other([] {
    timespec left{};
    const timespec time{0, 350'000'000};
    EXPECT_EQ(0, ::nanosleep(&time, &left));
  });
  other.join();
}

}  // namespace
}  // namespace flowloom
