// See couchdb_spool.hpp.
#include "sinks/couchdb_spool.hpp"

#include "sinks/text.hpp"
#include "sinks/write_patience.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <memory>

namespace flowloom {
namespace {

constexpr mode_t kFileMode = 0600;  // what is in transit is nobody else's
constexpr int kReplace = O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_CLOEXEC;
constexpr int kAppend = O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW | O_CLOEXEC;
constexpr std::string_view kPrefix = "batch-";
constexpr std::string_view kSuffix = ".jsonl";
constexpr std::string_view kPart = ".part";
constexpr const char* kRefused = "refused.jsonl";

std::string batch_name(std::uint64_t number) {
  return fmt::format("{}{:08}{}", kPrefix, number, kSuffix);
}

/// The number of a batch's file; false where it is none.
bool is_batch(std::string_view name, std::uint64_t& number) {
  if (!name.starts_with(kPrefix) || !name.ends_with(kSuffix)) return false;
  name.remove_prefix(kPrefix.size());
  name.remove_suffix(std::min(kSuffix.size(), name.size()));
  const auto read = std::from_chars(name.data(), name.data() + name.size(), number);
  return read.ec == std::errc{} && read.ptr == name.data() + name.size();
}

}  // namespace

CouchdbSpool::CouchdbSpool(Descriptor folder, Settings settings)
    : folder_(std::move(folder)), settings_(std::move(settings)), client_(settings_.url) {
  list_folder();
  pause_ = settings_.first_pause;
}

CouchdbSpool::~CouchdbSpool() {
  if (sender_.joinable()) finish();
}

void CouchdbSpool::start() {
  if (started_) return;
  started_ = true;
  sender_ = std::thread([this] { run(); });
}

void CouchdbSpool::list_folder() {
  const int copy = ::openat(folder_.get(), ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  if (copy < 0) return;
  const std::unique_ptr<DIR, int (*)(DIR*)> entries(::fdopendir(copy), ::closedir);
  if (entries == nullptr) {
    ::close(copy);
    return;
  }
  std::vector<std::uint64_t> numbers;
  while (const dirent* entry = ::readdir(entries.get())) {
    std::uint64_t number = 0;
    if (is_batch(entry->d_name, number)) numbers.push_back(number);
  }
  std::sort(numbers.begin(), numbers.end());
  for (const std::uint64_t number : numbers) batches_.push_back(batch_name(number));
  next_number_ = numbers.empty() ? 0 : numbers.back() + 1;
}

int CouchdbSpool::write(const std::string& name, std::string_view lines, int flags) {
  Descriptor file(::openat(folder_.get(), name.c_str(), flags, kFileMode));
  if (!file.valid()) return errno;
  int error = write_fully(file.get(), lines.data(), lines.size()).error;
  if (const int closed = file.close(); error == 0) error = closed;
  return error;
}

int CouchdbSpool::add(std::string_view lines) {
  start();
  std::unique_lock lock(mutex_);
  const std::string name = batch_name(next_number_++);
  lock.unlock();
  const std::string part = name + std::string(kPart);
  int error = write(part, lines, kReplace);
  if (error == 0 &&
      ::renameat(folder_.get(), part.c_str(), folder_.get(), name.c_str()) != 0) {
    error = errno;
  }
  if (error != 0) {
    ::unlinkat(folder_.get(), part.c_str(), 0);
    return error;
  }
  lock.lock();
  batches_.push_back(name);
  changed_.notify_all();
  return 0;
}

CouchdbSpool::Counts CouchdbSpool::finish() {
  start();
  {
    const std::lock_guard lock(mutex_);
    finishing_ = true;
    give_up_ = std::chrono::steady_clock::now() + settings_.patience;
    changed_.notify_all();
  }
  sender_.join();
  counts_.waiting = batches_.size();
  return counts_;
}

void CouchdbSpool::run() {
  for (;;) {
    std::unique_lock lock(mutex_);
    changed_.wait(lock, [this] { return finishing_ || !batches_.empty(); });
    if (batches_.empty()) return;
    const std::string name = batches_.front();
    lock.unlock();
    if (deliver(name)) {
      note_writer_move();
      pause_ = settings_.first_pause;
      lock.lock();
      batches_.pop_front();
    } else if (!pause()) {
      return;
    }
  }
}

/// Waits a little longer every time; false where it is over.
bool CouchdbSpool::pause() {
  std::unique_lock lock(mutex_);
  const auto is_over = [this] {
    return finishing_ && (hopeless_ || std::chrono::steady_clock::now() >= give_up_);
  };
  if (hopeless_) {
    // More batches may come, and all of them stay on disk.
    changed_.wait(lock, is_over);
    return false;
  }
  auto until = std::chrono::steady_clock::now() + pause_;
  if (finishing_) until = std::min(until, give_up_);
  changed_.wait_until(lock, until, is_over);
  pause_ = std::min(2 * pause_, settings_.longest_pause);
  return !is_over();
}

void CouchdbSpool::note(const std::string& why) {
  const std::lock_guard lock(mutex_);
  counts_.why = why;
}

std::string CouchdbSpool::read(const std::string& name) const {
  const Descriptor file(::openat(folder_.get(), name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
  struct stat info {};
  std::string text;
  if (!file.valid() || ::fstat(file.get(), &info) != 0) return text;
  text.resize(static_cast<std::size_t>(info.st_size));
  std::size_t done = 0;
  while (done < text.size()) {
    const ssize_t count = ::read(file.get(), text.data() + done, text.size() - done);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) break;
    done += static_cast<std::size_t>(count);
  }
  text.resize(done);
  return text;
}

/// Whether the batch is done with.
bool CouchdbSpool::deliver(const std::string& name) {
  using Outcome = CouchdbClient::Outcome;
  if (!database_known_) {
    const CouchdbClient::Reply made = client_.create_database();
    // Who may write need not be allowed to create: only what the documents meet decides then.
    database_known_ = made.outcome == Outcome::Stored || made.outcome == Outcome::Refused;
    if (!database_known_) {
      note(made.why);
      return false;
    }
  }
  const std::string lines = read(name);
  CouchdbClient::Reply reply;
  reply.outcome = Outcome::Stored;
  if (!lines.empty()) reply = client_.send(lines);
  if (!reply.why.empty()) note(reply.why);
  switch (reply.outcome) {
    case Outcome::Stored:
      break;
    case Outcome::TooLarge:
      split(name, lines);
      return true;
    case Outcome::Refused:
      hopeless_ = true;
      return false;
    case Outcome::Later:
      return false;
  }
  set_aside(lines, reply.refused);
  {
    const std::lock_guard lock(mutex_);
    counts_.stored += reply.stored;
  }
  ::unlinkat(folder_.get(), name.c_str(), 0);
  return true;
}

/// Two batches in the place of one that is too large; one document that is, is refused.
void CouchdbSpool::split(const std::string& name, std::string_view lines) {
  const std::size_t middle = lines.find('\n', lines.size() / 2);
  const std::size_t cut = middle + 1 < lines.size() ? middle + 1
                                                    : lines.rfind('\n', lines.size() - 2) + 1;
  const bool single = cut == 0 || cut >= lines.size();
  if (single) {
    set_aside(lines, {0});
  } else if (add(lines.substr(0, cut)) != 0 || add(lines.substr(cut)) != 0) {
    note("a batch that is too large for the server cannot be split on disk");
    return;  // what was added is delivered twice, which does no harm
  }
  ::unlinkat(folder_.get(), name.c_str(), 0);
}

void CouchdbSpool::set_aside(std::string_view lines, const std::vector<std::size_t>& refused) {
  std::size_t index = 0;
  std::size_t next = 0;
  while (!lines.empty() && next < refused.size()) {
    const std::size_t end = std::min(lines.find('\n'), lines.size() - 1) + 1;
    if (index++ == refused[next]) {
      ++next;
      if (write(kRefused, lines.substr(0, end), kAppend) != 0) note("refused.jsonl: no room");
    }
    lines.remove_prefix(end);
  }
  const std::lock_guard lock(mutex_);
  counts_.refused += refused.size();
}

}  // namespace flowloom
