// See record_file.hpp.
#include "sinks/record_file.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>

namespace flowloom {
namespace {

constexpr mode_t kFileMode = 0666;  // the user's umask decides
constexpr int kOpen = O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
constexpr std::size_t kDigits = 6;

bool same_file(const struct stat& a, const struct stat& b) {
  return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

struct Unit {
  char letter;
  std::uint64_t factor;
};
constexpr Unit kSizes[] = {{'K', std::uint64_t{1} << 10},
                           {'M', std::uint64_t{1} << 20},
                           {'G', std::uint64_t{1} << 30},
                           {'T', std::uint64_t{1} << 40}};
constexpr Unit kTimes[] = {{'s', 1}, {'m', 60}, {'h', 3600}, {'d', 86400}};

/// The factor of a unit; 0: it is none of these.
std::uint64_t factor_of(std::span<const Unit> units, char letter) {
  for (const Unit& unit : units) {
    if (unit.letter == letter) return unit.factor;
  }
  return 0;
}

/// One word of the list; false where it is neither a size nor a time.
bool parse_word(std::string_view word, RotateSettings& settings) {
  constexpr std::uint64_t kCountMax = 1'000'000;
  std::uint64_t count = 0;
  const char* const end = word.data() + word.size();
  const auto read = std::from_chars(word.data(), end, count);
  if (read.ec != std::errc{} || read.ptr + 1 != end || count == 0 || count > kCountMax) {
    return false;
  }
  if (const std::uint64_t size = factor_of(kSizes, *read.ptr); size != 0) {
    settings.bytes = count * size;
    return true;
  }
  const std::uint64_t time = factor_of(kTimes, *read.ptr);
  // A number of days with a factor of 86,400 still fits a duration of nanoseconds only so far.
  if (time == 0 || count > 86400 * 365 / time) return false;
  settings.interval = std::chrono::seconds{count * time};
  return true;
}

}  // namespace

std::string parse_rotation(std::string_view text, RotateSettings& settings) {
  settings = {};
  for (std::string_view rest = text; !rest.empty();) {
    const std::size_t comma = std::min(rest.find(','), rest.size());
    if (!parse_word(rest.substr(0, comma), settings)) {
      return fmt::format("--rotate {}: give a size such as 100M (K, M, G, T), a time such as 1h "
                         "(s, m, h, d), or both with a comma", text);
    }
    rest.remove_prefix(std::min(comma + 1, rest.size()));
  }
  return "";
}

std::string rotated_name(std::string_view name, std::uint32_t number) {
  const std::size_t dot = std::min(name.rfind('.'), name.size());
  return fmt::format("{}-{:0{}}{}", name.substr(0, dot), number, kDigits, name.substr(dot));
}

bool is_rotated_name(std::string_view file, std::string_view name) {
  const std::size_t dot = std::min(name.rfind('.'), name.size());
  if (file.size() < name.size() + 1 + kDigits || !file.starts_with(name.substr(0, dot)) ||
      !file.ends_with(name.substr(dot)) || file[dot] != '-') {
    return false;
  }
  const std::string_view digits = file.substr(dot + 1, file.size() - name.size() - 1);
  return std::all_of(digits.begin(), digits.end(), [](char c) { return c >= '0' && c <= '9'; });
}

Descriptor RecordFile::create() const {
  return Descriptor(::openat(folder_, name_.c_str(), kOpen | O_CREAT | O_TRUNC, kFileMode));
}

/// Gives the file the next free number; an errno value where that fails.
int RecordFile::move_aside() {
  for (;;) {
    const std::string aside = rotated_name(name_, rotated_ + 1);
    if (::renameat2(folder_, name_.c_str(), folder_, aside.c_str(), RENAME_NOREPLACE) == 0) break;
    const int error = errno;
    if (error == EINVAL || error == ENOSYS) {  // a file system without it: look first
      if (::faccessat(folder_, aside.c_str(), F_OK, AT_SYMLINK_NOFOLLOW) != 0) {
        if (::renameat(folder_, name_.c_str(), folder_, aside.c_str()) != 0) return errno;
        break;
      }
    } else if (error != EEXIST) {
      return error;
    }
    ++rotated_;
  }
  ++rotated_;
  return 0;
}

RecordFile::Next RecordFile::begin_next(int current) {
  Next next;
  struct stat mine {};
  struct stat there {};
  if (::fstat(current, &mine) != 0) {
    next.error = errno;
    return next;
  }
  const bool exists = ::fstatat(folder_, name_.c_str(), &there, AT_SYMLINK_NOFOLLOW) == 0;
  const bool untouched = exists && same_file(mine, there);
  if (untouched && mine.st_size == 0) return next;
  if (exists && !untouched) {
    next.file = Descriptor(::openat(folder_, name_.c_str(), kOpen));
    const off_t end = next.file.valid() ? ::lseek(next.file.get(), 0, SEEK_END) : -1;
    if (end < 0) return {Descriptor(), 0, errno};
    next.bytes = static_cast<std::uint64_t>(end);
    return next;
  }
  if (untouched) next.error = move_aside();
  if (next.error != 0) return next;
  next.file = Descriptor(::openat(folder_, name_.c_str(), kOpen | O_CREAT | O_EXCL, kFileMode));
  if (next.file.valid()) return next;
  next.error = errno;
  // The old one goes on under its name.
  if (untouched && ::renameat(folder_, rotated_name(name_, rotated_).c_str(), folder_,
                              name_.c_str()) == 0) {
    --rotated_;
  }
  return next;
}

}  // namespace flowloom
