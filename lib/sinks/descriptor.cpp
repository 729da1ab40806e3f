// See descriptor.hpp.
#include "sinks/descriptor.hpp"

#include "sinks/write_patience.hpp"

#include <poll.h>
#include <sys/resource.h>

#include <algorithm>
#include <cerrno>

namespace flowloom {
namespace {

/// Whether the call is worth repeating after `error`; waits where the descriptor does not block.
bool try_again(int fd, int error) {
  if (error == EINTR) return true;
  if (error != EAGAIN) return false;
  pollfd wait{fd, POLLOUT, 0};
  return ::poll(&wait, 1, -1) >= 0 || errno == EINTR;
}

/// A write that takes nothing and names no reason would repeat for ever.
constexpr int kNothingWritten = EIO;

/// What a call means that wrote nothing; 0: try again.
int judge(int fd, ssize_t count, WritePatience& patience) {
  const int error = count < 0 ? errno : kNothingWritten;
  if (!try_again(fd, error)) return error;
  return patience.is_over() ? kStoodStill : 0;
}

}  // namespace

std::size_t open_files_allowed(std::size_t wanted) {
  constexpr std::size_t kLeast = 2;
  rlimit limit{};
  if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return std::max(wanted, kLeast);
  return std::max(std::min<std::size_t>(wanted, limit.rlim_cur / 2), kLeast);
}

int Descriptor::close() {
  const int fd = std::exchange(fd_, -1);
  note_writer_move();
  // After EINTR the descriptor is closed on Linux; closing again might hit somebody else's.
  return fd >= 0 && ::close(fd) != 0 && errno != EINTR ? errno : 0;
}

bool takes_now(int fd) {
  pollfd wait{fd, POLLOUT, 0};
  return ::poll(&wait, 1, 0) > 0;
}

WriteResult write_fully(int fd, const char* data, std::size_t size,
                        std::chrono::nanoseconds own_patience) {
  WriteResult result;
  WritePatience patience(own_patience);
  while (result.written < size) {
    const ssize_t count = ::write(fd, data + result.written, size - result.written);
    if (count > 0) {
      result.written += static_cast<std::uint64_t>(count);
      patience.moved();
      continue;
    }
    result.error = judge(fd, count, patience);
    if (result.error != 0) break;
  }
  return result;
}

WriteResult pwritev_fully(int fd, std::span<iovec> pieces, off_t offset) {
  WriteResult result;
  WritePatience patience;
  while (!pieces.empty()) {
    const ssize_t count = ::pwritev(fd, pieces.data(), static_cast<int>(pieces.size()),
                                    offset + static_cast<off_t>(result.written));
    if (count <= 0) {
      result.error = judge(fd, count, patience);
      if (result.error != 0) break;
      continue;
    }
    patience.moved();
    result.written += static_cast<std::uint64_t>(count);
    auto left = static_cast<std::size_t>(count);
    while (!pieces.empty() && left >= pieces.front().iov_len) {
      left -= pieces.front().iov_len;
      pieces = pieces.subspan(1);
    }
    if (left > 0) {
      pieces.front().iov_base = static_cast<char*>(pieces.front().iov_base) + left;
      pieces.front().iov_len -= left;
    }
  }
  return result;
}

}  // namespace flowloom
