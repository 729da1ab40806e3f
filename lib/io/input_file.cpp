#include "io/input_file.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <system_error>
#include <utility>

namespace flowloom {

namespace {

constexpr std::size_t kDescriptorsMin = 4;
constexpr std::size_t kDescriptorsMax = 256;
constexpr std::size_t kShareOfDescriptors = 4;  // one in four is the inputs'

// How long receive() may stand on a silent pipe before the worker looks round (stop, for one).
constexpr int kPipeWaitMs = 100;
constexpr int kWaitForever = -1;

std::string error_text(int error) {
  return std::generic_category().message(error);
}

}  // namespace

std::size_t DescriptorBudget::default_limit() {
  rlimit limit{};
  if (getrlimit(RLIMIT_NOFILE, &limit) != 0) return kDescriptorsMin;
  const auto share = std::min<std::uint64_t>(limit.rlim_cur / kShareOfDescriptors, kDescriptorsMax);
  return std::max<std::size_t>(share, kDescriptorsMin);
}

void DescriptorBudget::add(InputFile* file) {
  if (open_.size() >= limit_) close_oldest();
  open_.push_back(file);
}

void DescriptorBudget::remove(InputFile* file) {
  std::erase(open_, file);
}

bool DescriptorBudget::close_oldest() {
  const auto oldest = std::min_element(
      open_.begin(), open_.end(),
      [](const InputFile* a, const InputFile* b) { return a->last_use_ < b->last_use_; });
  if (oldest == open_.end()) return false;
  (*oldest)->close_descriptor();
  return true;
}

InputFile::InputFile(std::string path, DescriptorBudget& budget)
    : path_(std::move(path)), budget_(budget) {}

InputFile::~InputFile() {
  close_descriptor();
}

void InputFile::close_descriptor() {
  if (descriptor_ < 0) return;
  if (regular_) budget_.remove(this);
  if (!standard_input()) ::close(descriptor_);
  descriptor_ = -1;
}

int InputFile::open_descriptor() {
  if (standard_input()) return STDIN_FILENO;
  for (;;) {
    const int descriptor = ::open(path_.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    if (descriptor >= 0) return descriptor;
    if (errno == EINTR) continue;
    const bool exhausted = errno == EMFILE || errno == ENFILE;
    if (!exhausted || !budget_.close_oldest()) return -1;
  }
}

bool InputFile::open() {
  descriptor_ = open_descriptor();
  if (descriptor_ < 0) {
    error_ = error_text(errno);
    return false;
  }
  struct stat status {};
  if (fstat(descriptor_, &status) != 0) {
    error_ = error_text(errno);
    close_descriptor();
    return false;
  }
  if (!accept(status)) {
    close_descriptor();
    return false;
  }
  if (regular_) {
    last_use_ = ++budget_.uses_;
    budget_.add(this);
    (void)posix_fadvise(descriptor_, 0, 0, POSIX_FADV_SEQUENTIAL);
  }
  return true;
}

bool InputFile::accept(const struct stat& status) {
  if (S_ISDIR(status.st_mode)) {
    error_ = "it is a folder";
    return false;
  }
  if (!identified_) {
    identified_ = true;
    device_ = status.st_dev;
    inode_ = status.st_ino;
  } else if (device_ != status.st_dev || inode_ != status.st_ino) {
    error_ = "another file took its place while it was read";
    return false;
  }
  regular_ = S_ISREG(status.st_mode) && !standard_input();
  return true;
}

ReadResult InputFile::read(std::span<std::uint8_t> to, Waiting waiting) {
  if (descriptor_ < 0 && !open()) return {ReadState::Failed};
  if (regular_) last_use_ = ++budget_.uses_;
  for (;;) {
    if (!regular_) {
      pollfd ready{descriptor_, POLLIN, 0};
      const int wait = waiting == Waiting::Forever ? kWaitForever : kPipeWaitMs;
      if (poll(&ready, 1, wait) <= 0) {
        if (waiting == Waiting::Forever) continue;
        return {ReadState::Nothing};
      }
    }
    const ssize_t got = regular_
                            ? pread(descriptor_, to.data(), to.size(), static_cast<off_t>(offset_))
                            : ::read(descriptor_, to.data(), to.size());
    if (got > 0) {
      offset_ += static_cast<std::size_t>(got);
      return {ReadState::Bytes, static_cast<std::size_t>(got)};
    }
    if (got == 0) return {ReadState::End};
    if (errno == EINTR || errno == EAGAIN) continue;
    error_ = error_text(errno);
    return {ReadState::Failed};
  }
}

}  // namespace flowloom
