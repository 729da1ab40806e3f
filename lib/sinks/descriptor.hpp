// A file descriptor that is closed with its owner, and writing to one until all is written.
#pragma once

#include <sys/types.h>
#include <sys/uio.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

namespace flowloom {

class Descriptor {
 public:
  Descriptor() = default;
  explicit Descriptor(int fd) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  /// Closes now; an errno value says that the file system lost something after all (NFS, quotas).
  int close();
  [[nodiscard]] int get() const { return fd_; }
  [[nodiscard]] bool valid() const { return fd_ >= 0; }

 private:
  int fd_ = -1;
};

/// How many files a writer may keep open that wants so many. The rest of the process opens captures
/// and other outputs: half of what it may open is the writers'.
std::size_t open_files_allowed(std::size_t wanted);

/// No errno value: the output took nothing for longer than write_patience.hpp allows.
inline constexpr int kStoodStill = -1;

/// How far a write came; `error` is an errno value or kStoodStill, 0 where everything was written.
struct WriteResult {
  std::uint64_t written = 0;
  int error = 0;
};

/// Writes everything at the descriptor's position, through signals, short writes and full pipes.
/// `patience` is this output's own; 0: what write_patience.hpp has for all.
WriteResult write_fully(int fd, const char* data, std::size_t size,
                        std::chrono::nanoseconds patience = {});

/// Whether it takes at least something without waiting.
[[nodiscard]] bool takes_now(int fd);

/// The same at `offset`. Preconditions: at most IOV_MAX pieces; they are changed.
WriteResult pwritev_fully(int fd, std::span<iovec> pieces, off_t offset);

}  // namespace flowloom
