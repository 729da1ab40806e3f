// See connection_files.hpp.
#include "sinks/connection_files.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <cerrno>

namespace flowloom {
namespace {

constexpr mode_t kFileMode = 0666;  // the user's umask decides
constexpr mode_t kFolderMode = 0777;
constexpr int kCreate = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
constexpr int kReopen = O_WRONLY | O_NOFOLLOW | O_CLOEXEC;

WriteResult write_at(int fd, ByteView data, std::uint64_t offset) {
  iovec piece{const_cast<std::uint8_t*>(data.data()), data.size()};
  return pwritev_fully(fd, {&piece, 1}, static_cast<off_t>(offset));
}

}  // namespace

ConnectionFiles::ConnectionFiles(Descriptor folder, const Settings& settings)
    : folder_(std::move(folder)), settings_(settings) {
  status_.name = settings.writer;
  settings_.open_files_max = open_files_allowed(settings.open_files_max);
}

StreamPath ConnectionFiles::part_of(StreamEvent& event) const {
  StreamPath path;
  path.push(event.uid());
  path.push(settings_.suffix);
  path.push(".part");
  return path;
}

StreamPath ConnectionFiles::place(StreamEvent& event) {
  StreamPath path;
  if (placed_++ >= settings_.flat_files_max) {
    path.push(spread_folder(event.record().start).view());
  }
  path.push(format_stream_name(event.record(), Direction::OriginatorToResponder, event.uid())
                .view());
  path.push(settings_.suffix);
  return path;
}

bool ConnectionFiles::make_folder_of(const StreamPath& path) const {
  const auto slash = path.view().find('/');
  if (slash == std::string_view::npos) return false;
  const std::string folder(path.view().substr(0, slash));
  return ::mkdirat(folder_.get(), folder.c_str(), kFolderMode) == 0;
}

Descriptor ConnectionFiles::open(StreamPath& path, int flags) {
  for (bool made = false;;) {
    Descriptor file(::openat(folder_.get(), path.c_str(), flags, kFileMode));
    if (file.valid()) return file;
    const int error = errno;
    if (error == EINTR) continue;
    if ((error == EMFILE || error == ENFILE) && close_oldest()) continue;
    if (error == ENOENT && !made && make_folder_of(path)) {
      made = true;
      continue;
    }
    errno = error;
    return file;
  }
}

void ConnectionFiles::write_whole(StreamEvent& event, ByteView data) {
  if (data.empty()) return;
  StreamPath path = place(event);
  Descriptor file = open(path, kCreate);
  int error = file.valid() ? 0 : errno;
  if (error == 0) {
    error = write_at(file.get(), data, 0).error;
    if (const int closed = file.close(); error == 0) error = closed;
    // Half a file under the name of a whole one would be a lie, and is of no use.
    if (error != 0) ::unlinkat(folder_.get(), path.c_str(), 0);
  }
  if (error != 0) {
    note_error(error);
    ++status_.dropped;
    status_.dropped_bytes += data.size();
    return;
  }
  ++status_.records;
  status_.bytes += data.size();
}

int ConnectionFiles::acquire(StreamEvent& event, File& file) {
  if (file.is_open) {
    open_.splice(open_.begin(), open_, file.open);
    return file.open->descriptor.get();
  }
  if (open_.size() >= settings_.open_files_max) close_oldest();
  StreamPath path = part_of(event);
  Descriptor descriptor = open(path, file.state == File::State::Part ? kReopen : kCreate);
  if (!descriptor.valid()) return -1;
  file.state = File::State::Part;
  open_.push_front({std::move(descriptor), &file});
  file.open = open_.begin();
  file.is_open = true;
  return file.open->descriptor.get();
}

void ConnectionFiles::append(StreamEvent& event, File& file, ByteView data) {
  if (data.empty()) return;
  WriteResult result{0, EIO};
  if (file.state != File::State::Failed) {
    const int fd = acquire(event, file);
    result = fd < 0 ? WriteResult{0, errno} : write_at(fd, data, file.size);
    if (result.error == 0) {
      file.size += data.size();
      status_.bytes += data.size();
      return;
    }
    note_error(result.error);
    if (fd >= 0) (void)!::ftruncate(fd, static_cast<off_t>(file.size));
    if (file.is_open) close_file(file.open);
    file.state = File::State::Failed;
  }
  status_.dropped_bytes += data.size();
}

int ConnectionFiles::rename_part(StreamEvent& event, StreamPath& to) const {
  StreamPath part = part_of(event);
  const auto rename = [&] {
    return ::renameat(folder_.get(), part.c_str(), folder_.get(), to.c_str()) == 0 ? 0 : errno;
  };
  const int error = rename();
  return error == ENOENT && make_folder_of(to) ? rename() : error;
}

void ConnectionFiles::complete(StreamEvent& event, File& file) {
  if (file.state == File::State::None) return;
  StreamPath path = place(event);
  if (file.is_open) close_file(file.open);
  int error = EIO;  // noted when it failed
  if (file.state == File::State::Part) {
    error = rename_part(event, path);
    if (error != 0) note_error(error);
  }
  ++(error == 0 ? status_.records : status_.dropped);
}

void ConnectionFiles::finish() {
  while (close_oldest()) continue;
}

bool ConnectionFiles::close_oldest() {
  if (open_.empty()) return false;
  close_file(std::prev(open_.end()));
  return true;
}

void ConnectionFiles::close_file(OpenFiles::iterator file) {
  if (const int error = file->descriptor.close(); error != 0) {
    note_error(error);
    file->owner->state = File::State::Failed;
  }
  file->owner->is_open = false;
  open_.erase(file);
}

void ConnectionFiles::note_error(int error) {
  if (status_.first_error.empty()) status_.first_error = describe_errno(error);
}

}  // namespace flowloom
