// Gives up what a run does not need any more once everything is open: the user, capabilities, the
// right to gain any, and, by Landlock, the file system outside of the folders it writes to. What
// decodes hostile packets should own as little as possible.
//
// User and groups are of the process; the rest is of a thread and what it starts later, so threads
// that exist already (DPDK's lcores) have to be confined one by one.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

namespace flowloom {

/// Who the process becomes.
struct HostUser {
  uid_t uid = 0;
  gid_t gid = 0;
};

/// Looks a name up; one clear sentence where it is unknown, or where this process may not become
/// that user.
std::string find_user(const std::string& name, HostUser& user);

/// What may still be read: recordings come from anywhere, packets of an interface from nowhere.
enum class Reading : std::uint8_t { Everything, SystemAndOwn };

class Confinement {
 public:
  /// Opens what is needed to confine threads that may then write to nothing but these folders.
  Confinement(const std::vector<std::string>& writable, Reading reading);
  ~Confinement();
  Confinement(const Confinement&) = delete;
  Confinement& operator=(const Confinement&) = delete;

  /// Whether the kernel can keep threads to folders (Landlock).
  [[nodiscard]] bool keeps_to_folders() const { return rules_ >= 0; }

  /// The whole process becomes this user, without other groups. An errno value where that fails.
  static int become(const HostUser& user);

  /// The calling thread loses all capabilities and the right to gain any, and is kept to the
  /// folders. An errno value where that fails.
  [[nodiscard]] int confine_thread() const;

 private:
  int rules_ = -1;
};

}  // namespace flowloom
