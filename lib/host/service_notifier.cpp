// See service_notifier.hpp; the protocol is sd_notify(3).
#include "host/service_notifier.hpp"

#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#include <charconv>
#include <cstddef>
#include <cstdlib>
#include <cstring>

namespace flowloom {
namespace {

std::string_view variable(const char* name) {
  const char* const value = std::getenv(name);
  return value == nullptr ? std::string_view{} : std::string_view(value);
}

/// A whole number; 0 where it is none.
std::uint64_t number(std::string_view text) {
  std::uint64_t value = 0;
  const char* const end = text.data() + text.size();
  const auto read = std::from_chars(text.data(), end, value);
  return read.ec == std::errc{} && read.ptr == end ? value : 0;
}

/// A path, or with '@' a name of the abstract kind.
int connect_to(std::string_view name) {
  sockaddr_un address{};
  if (name.size() < 2 || name.size() >= sizeof address.sun_path ||
      (name.front() != '/' && name.front() != '@')) {
    return -1;
  }
  address.sun_family = AF_UNIX;
  std::memcpy(address.sun_path, name.data(), name.size());
  if (name.front() == '@') address.sun_path[0] = '\0';
  const int fd = ::socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  const auto size = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + name.size());
  if (fd >= 0 && ::connect(fd, reinterpret_cast<const sockaddr*>(&address), size) == 0) return fd;
  if (fd >= 0) ::close(fd);
  return -1;
}

}  // namespace

ServiceNotifier::ServiceNotifier() : socket_(connect_to(variable("NOTIFY_SOCKET"))) {
  const std::string_view pid = variable("WATCHDOG_PID");
  if (!is_wanted() || (!pid.empty() && number(pid) != static_cast<std::uint64_t>(::getpid()))) {
    return;
  }
  watchdog_ = std::chrono::microseconds{number(variable("WATCHDOG_USEC"))};
}

ServiceNotifier::~ServiceNotifier() {
  if (socket_ >= 0) ::close(socket_);
}

/// Without waiting: a service manager that does not listen must not stop the service.
void ServiceNotifier::send(std::string_view message) const {
  if (socket_ >= 0) (void)::send(socket_, message.data(), message.size(), MSG_NOSIGNAL);
}

}  // namespace flowloom
