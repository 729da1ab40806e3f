// See confinement.hpp. Landlock has no library on Debian 12: three system calls, landlock(7).
#include "host/confinement.hpp"

#include <cap-ng.h>
#include <fcntl.h>
#include <grp.h>
#include <linux/landlock.h>
#include <pwd.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

namespace flowloom {
namespace {

/// Renames between folders are known from the second version on; without it they would all fail.
constexpr int kOldestVersion = 2;
constexpr int kVersionWithTruncate = 3;
constexpr std::uint64_t kTruncate = std::uint64_t{1} << 14;  // newer than Debian 12's headers

constexpr std::uint64_t kRead =
    LANDLOCK_ACCESS_FS_EXECUTE | LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR;
constexpr std::uint64_t kWrite =
    LANDLOCK_ACCESS_FS_WRITE_FILE | LANDLOCK_ACCESS_FS_REMOVE_DIR |
    LANDLOCK_ACCESS_FS_REMOVE_FILE | LANDLOCK_ACCESS_FS_MAKE_CHAR | LANDLOCK_ACCESS_FS_MAKE_DIR |
    LANDLOCK_ACCESS_FS_MAKE_REG | LANDLOCK_ACCESS_FS_MAKE_SOCK | LANDLOCK_ACCESS_FS_MAKE_FIFO |
    LANDLOCK_ACCESS_FS_MAKE_BLOCK | LANDLOCK_ACCESS_FS_MAKE_SYM | LANDLOCK_ACCESS_FS_REFER;

/// Libraries that are loaded when needed, the resolver, certificates, figures of the kernel.
constexpr const char* kSystem[] = {"/usr", "/lib", "/lib64", "/etc", "/proc", "/sys", "/dev"};

int landlock_version() {
  return static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, nullptr, 0, LANDLOCK_CREATE_RULESET_VERSION));
}

/// Allows `access` below a folder; one that is not there needs no rule.
void allow(int rules, const char* folder, std::uint64_t access) {
  landlock_path_beneath_attr rule{};
  rule.allowed_access = access;
  rule.parent_fd = ::open(folder, O_PATH | O_DIRECTORY | O_CLOEXEC);
  if (rule.parent_fd < 0) return;
  (void)::syscall(SYS_landlock_add_rule, rules, LANDLOCK_RULE_PATH_BENEATH, &rule, 0);
  ::close(rule.parent_fd);
}

}  // namespace

std::string find_user(const std::string& name, HostUser& user) {
  const passwd* const found = ::getpwnam(name.c_str());
  if (found == nullptr) return "there is no user '" + name + "'";
  user = {found->pw_uid, found->pw_gid};
  const bool is_already = ::geteuid() == user.uid && ::getuid() == user.uid;
  if (is_already || ::geteuid() == 0) return "";
  return "only root can become the user '" + name + "'";
}

Confinement::Confinement(const std::vector<std::string>& writable, Reading reading) {
  const int version = landlock_version();
  if (version < kOldestVersion) return;
  const std::uint64_t write = kWrite | (version >= kVersionWithTruncate ? kTruncate : 0);
  landlock_ruleset_attr handled{};
  handled.handled_access_fs = reading == Reading::Everything ? write : write | kRead;
  rules_ = static_cast<int>(
      ::syscall(SYS_landlock_create_ruleset, &handled, sizeof handled, 0));
  if (rules_ < 0) return;
  for (const std::string& folder : writable) {
    allow(rules_, folder.c_str(), handled.handled_access_fs);
  }
  if (reading == Reading::Everything) return;
  for (const char* folder : kSystem) allow(rules_, folder, kRead);
}

Confinement::~Confinement() {
  if (rules_ >= 0) ::close(rules_);
}

int Confinement::become(const HostUser& user) {
  if (::geteuid() != 0) return 0;  // find_user() made sure that it is that user already
  // The C library changes all threads, the ones of DPDK's environment, too.
  if (::setgroups(0, nullptr) != 0 || ::setresgid(user.gid, user.gid, user.gid) != 0 ||
      ::setresuid(user.uid, user.uid, user.uid) != 0) {
    return errno;
  }
  return 0;
}

int Confinement::confine_thread() const {
  capng_clear(CAPNG_SELECT_CAPS);
  if (capng_apply(CAPNG_SELECT_CAPS) != 0) return EPERM;
  if (::prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) return errno;
  if (rules_ >= 0 && ::syscall(SYS_landlock_restrict_self, rules_, 0) != 0) return errno;
  return 0;
}

}  // namespace flowloom
