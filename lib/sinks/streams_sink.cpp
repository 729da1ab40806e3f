// See streams_sink.hpp.
#include "sinks/streams_sink.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <limits>

namespace flowloom {
namespace {

constexpr std::array kBoth = {Direction::OriginatorToResponder, Direction::ResponderToOriginator};
constexpr std::string_view kPartSuffix = ".part";
constexpr mode_t kFileMode = 0666;  // the user's umask decides
constexpr mode_t kFolderMode = 0777;
constexpr int kCreate = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC;
constexpr int kReopen = O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
constexpr std::size_t kPiecesMax = 64;  // of one pwritev; IOV_MAX is 1024

/// Writes the next `limit` bytes of the chain at `size`, which moves on.
WriteResult write_run(int fd, ChainReader& chain, std::uint64_t limit, std::uint64_t& size) {
  WriteResult total;
  while (limit > 0 && !chain.at_end()) {
    std::array<iovec, kPiecesMax> pieces;
    std::size_t count = 0;
    while (count < kPiecesMax && limit > 0 && !chain.at_end()) {
      const ByteView piece = chain.take(limit);
      pieces[count++] = {const_cast<std::uint8_t*>(piece.data()), piece.size()};
      limit -= piece.size();
    }
    const WriteResult result = pwritev_fully(fd, {pieces.data(), count}, static_cast<off_t>(size));
    size += result.written;
    total.written += result.written;
    if (result.error != 0) return {total.written, result.error};
  }
  return total;
}

/// Offsets come from a hostile capture: negative or beyond what a file may hold is cut.
std::uint64_t file_offset(std::uint64_t offset) {
  return std::min<std::uint64_t>(offset, std::numeric_limits<off_t>::max());
}

std::uint64_t non_negative(std::int64_t value) {
  return static_cast<std::uint64_t>(std::max<std::int64_t>(value, 0));
}

}  // namespace

StreamsSink::StreamsSink(Descriptor streams_folder, const StreamsSettings& settings)
    : folder_(std::move(streams_folder)), settings_(settings) {
  status_.name = "streams";
  settings_.open_files_max = open_files_allowed(settings.open_files_max);
}

void StreamsSink::consume(StreamEvent& event) {
  const StreamMessage& message = event.message();
  if (message.ticket != 0) {
    const std::array<Place, 2> written = early_.at(message);
    for (const Direction d : kBoth) settle(event, d, written[index_of(d)]);
    if (!message.first) long_.erase(event.record().first_packet); // of messages without bytes
    return;
  }
  if (event.whole()) {
    for (const Direction d : kBoth) {
      if (message.data[index_of(d)].bytes == 0) continue;
      StreamPath path = path_of(event, d, place_of(placed_++));
      if (write_whole(event, d, path)) name_file(event, d, path);
    }
    return;
  }
  LongConnection& connection = long_.at(event.record().first_packet);
  for (const Direction d : kBoth) append(event, d, connection.streams[index_of(d)]);
  if (!event.closes()) return;
  for (const Direction d : kBoth) complete(event, d, connection.streams[index_of(d)]);
  long_.erase(event.record().first_packet);
}

/// Files that wait for their connections' ends will be counted before these.
void StreamsSink::consume_bytes(StreamEvent& event) {
  std::array<Place, 2>& written = early_.at(event.message());
  for (const Direction d : kBoth) {
    Place& place = written[index_of(d)];
    place = Place::None;
    if (event.message().data[index_of(d)].bytes == 0) continue;
    place = place_of(placed_ + pending_++);
    StreamPath path = path_of(event, d, place);
    if (!write_whole(event, d, path)) place = Place::Lost;
  }
}

/// The connection ended: a file that was written before may have to move.
void StreamsSink::settle(StreamEvent& event, Direction direction, Place written) {
  if (written == Place::None) return;
  --pending_;
  const Place place = place_of(placed_++);
  if (written == Place::Lost) return;
  StreamPath path = path_of(event, direction, place);
  if (written != place) {
    StreamPath from = path_of(event, direction, written);
    if (const int error = rename(from.c_str(), path); error != 0) {
      note_error(error);
      path = from;
    } else if (written == Place::Folder) {
      leave_folder_of(from);
    }
  }
  name_file(event, direction, path);
}

void StreamsSink::finish() {
  while (close_oldest()) continue;
}

/// Creates the file of a stream that is there as a whole.
bool StreamsSink::write_whole(StreamEvent& event, Direction direction, StreamPath& path) {
  const BlockChain& data = event.message().data[index_of(direction)];
  Descriptor file = create(path);
  if (!file.valid()) {
    note_error(errno);
    ++status_.dropped;
    status_.dropped_bytes += data.bytes;
    return false;
  }
  std::uint64_t size = 0;
  WriteResult result = write_data(file.get(), event.message(), direction, size);
  if (result.error == 0) {
    result.error = stretch(file.get(), event.record().side(direction), size).error;
  }
  if (const int error = file.close(); result.error == 0) result.error = error;
  if (result.error != 0) {
    note_error(result.error);
    abandon_whole(folder_.get(), path.c_str(), event, direction, result.written);
    return false;
  }
  status_.bytes += result.written;
  ++status_.records;
  return true;
}

/// What there is of a stream stays readable as .part; an empty file says nothing and goes.
void StreamsSink::abandon_whole(int folder, const char* path, StreamEvent& event,
                                Direction direction, std::uint64_t written) {
  ++status_.dropped;
  status_.dropped_bytes += event.message().data[index_of(direction)].bytes - written;
  status_.bytes += written;
  if (written == 0) {
    ::unlinkat(folder, path, 0);
    return;
  }
  FileName part = format_stream_name(event.record(), direction, event.uid());
  part.push(kPartSuffix);
  ::renameat(folder, path, folder, part.c_str());
}

/// Where a stream's file belongs, relative to streams/.
StreamPath StreamsSink::path_of(StreamEvent& event, Direction direction, Place place) {
  StreamPath path;
  if (place == Place::Folder) path.push(spread_folder(event.record().start).view());
  path.push(format_stream_name(event.record(), direction, event.uid()).view());
  return path;
}

void StreamsSink::name_file(StreamEvent& event, Direction direction, const StreamPath& path) {
  event.files[index_of(direction)].push("streams/");
  event.files[index_of(direction)].push(path.view());
}

/// A new file; the folder is made when it turns out to be missing. On failure errno says why.
Descriptor StreamsSink::create(StreamPath& path) {
  for (;;) {
    Descriptor file(::openat(folder_.get(), path.c_str(), kCreate, kFileMode));
    if (file.valid()) return file;
    const int error = errno;
    if (error == EINTR) continue;
    if ((error == EMFILE || error == ENFILE) && close_oldest()) continue;
    if (error == ENOENT && make_folder_of(path)) continue;
    errno = error;
    return Descriptor();
  }
}

/// Makes the folder that a path below streams/ names; false if that is not what was missing.
bool StreamsSink::make_folder_of(const StreamPath& path) const {
  const auto slash = path.view().find('/');
  if (slash == std::string_view::npos) return false;
  const std::string folder(path.view().substr(0, slash));
  return ::mkdirat(folder_.get(), folder.c_str(), kFolderMode) == 0;
}

/// Removes the folder that a path below streams/ names if nothing else is in it.
void StreamsSink::leave_folder_of(const StreamPath& path) const {
  const std::string folder(path.view().substr(0, path.view().find('/')));
  ::unlinkat(folder_.get(), folder.c_str(), AT_REMOVEDIR);
}

/// Writes the message's bytes of one direction into a file of `size` bytes.
WriteResult StreamsSink::write_data(int fd, const StreamMessage& message, Direction direction,
                                    std::uint64_t& size) {
  const unsigned index = index_of(direction);
  ChainReader data(message.data[index]);
  if (settings_.gap_fill == GapFill::None) return write_run(fd, data, UINT64_MAX, size);
  WriteResult total;
  std::uint64_t position = non_negative(message.data_offset[index]);
  GapReader gaps(message.gaps[index]);
  for (Gap gap; !data.at_end() && gaps.next(gap);) {
    const std::uint64_t begin = non_negative(gap.offset);
    if (begin > position) {
      size = file_offset(position);
      const WriteResult result = write_run(fd, data, begin - position, size);
      total.written += result.written;
      if (result.error != 0) return {total.written, result.error};
    }
    // Neither can overflow: both summands are below 2^63.
    position = std::max(position, begin + non_negative(gap.length));
  }
  if (data.at_end()) return total;
  size = file_offset(position);
  const WriteResult result = write_run(fd, data, UINT64_MAX, size);
  return {total.written + result.written, result.error};
}

/// Makes a finished file as long as its stream, where the stream ends in a gap.
WriteResult StreamsSink::stretch(int fd, const SideRecord& side, std::uint64_t& size) const {
  if (settings_.gap_fill == GapFill::None) return {};
  const std::uint64_t length = file_offset(side.stream_bytes + side.gap_bytes);
  if (length <= size) return {};
  if (::ftruncate(fd, static_cast<off_t>(length)) != 0) return {0, errno};
  size = length;
  return {};
}

void StreamsSink::append(StreamEvent& event, Direction direction, LongStream& stream) {
  const BlockChain& data = event.message().data[index_of(direction)];
  if (data.bytes == 0) return;
  if (stream.state == LongStream::State::Failed) {
    status_.dropped_bytes += data.bytes;
    return;
  }
  const int fd = acquire(event, direction, stream);
  WriteResult result{0, errno};
  if (fd >= 0) result = write_data(fd, event.message(), direction, stream.size);
  status_.bytes += result.written;
  if (fd >= 0 && result.error == 0) return;
  note_error(result.error);
  status_.dropped_bytes += data.bytes - result.written;
  close_part(stream);
  if (stream.state == LongStream::State::Part && stream.size == 0) {
    FileName part = format_stream_name(event.record(), direction, event.uid());
    part.push(kPartSuffix);
    ::unlinkat(folder_.get(), part.c_str(), 0);
  }
  stream.state = LongStream::State::Failed;
}

/// The connection ended: the part gets its name.
void StreamsSink::complete(StreamEvent& event, Direction direction, LongStream& stream) {
  if (stream.state == LongStream::State::Empty) return;
  StreamPath path = path_of(event, direction, place_of(placed_++));
  if (stream.state == LongStream::State::Failed) {
    ++status_.dropped;
    return;
  }
  if (settings_.gap_fill == GapFill::Zero) {
    const int fd = acquire(event, direction, stream);
    const int error =
        fd < 0 ? errno : stretch(fd, event.record().side(direction), stream.size).error;
    if (error != 0) {
      note_error(error);
      ++status_.dropped;
      close_part(stream);
      return;
    }
  }
  close_part(stream);
  const int error = stream.state == LongStream::State::Part ? rename_part(event, direction, path)
                                                            : EIO;  // noted when it was closed
  if (error != 0) {
    note_error(error);
    ++status_.dropped;
    return;
  }
  ++status_.records;
  name_file(event, direction, path);
}

/// Gives a finished part its name; an errno value where that fails.
int StreamsSink::rename_part(StreamEvent& event, Direction direction, StreamPath& path) const {
  FileName part = format_stream_name(event.record(), direction, event.uid());
  part.push(kPartSuffix);
  return rename(part.c_str(), path);
}

/// The folder is made when it turns out to be missing; an errno value on failure.
int StreamsSink::rename(const char* from, StreamPath& to) const {
  const auto once = [&] {
    return ::renameat(folder_.get(), from, folder_.get(), to.c_str()) == 0 ? 0 : errno;
  };
  const int error = once();
  return error == ENOENT && make_folder_of(to) ? once() : error;
}

/// The stream's descriptor, opened if need be; -1 with errno set.
int StreamsSink::acquire(StreamEvent& event, Direction direction, LongStream& stream) {
  if (stream.is_open) {
    open_.splice(open_.begin(), open_, stream.open);
    return stream.open->file.get();
  }
  if (open_.size() >= settings_.open_files_max) close_oldest();
  const bool exists = stream.state == LongStream::State::Part;
  Descriptor file = open_part(event, direction, exists ? kReopen : kCreate);
  if (!file.valid()) return -1;
  stream.state = LongStream::State::Part;
  open_.push_front({std::move(file), &stream});
  stream.open = open_.begin();
  stream.is_open = true;
  return stream.open->file.get();
}

Descriptor StreamsSink::open_part(StreamEvent& event, Direction direction, int flags) {
  FileName name = format_stream_name(event.record(), direction, event.uid());
  name.push(kPartSuffix);
  for (;;) {
    Descriptor file(::openat(folder_.get(), name.c_str(), flags, kFileMode));
    if (file.valid()) return file;
    const int error = errno;
    if (error == EINTR) continue;
    if ((error == EMFILE || error == ENFILE) && close_oldest()) continue;
    errno = error;
    return file;
  }
}

/// Frees a descriptor; false where none of ours is open.
bool StreamsSink::close_oldest() {
  if (open_.empty()) return false;
  close_file(std::prev(open_.end()));
  return true;
}

void StreamsSink::close_part(LongStream& stream) {
  if (stream.is_open) close_file(stream.open);
}

void StreamsSink::close_file(OpenFiles::iterator file) {
  if (const int error = file->file.close(); error != 0) {
    note_error(error);
    file->owner->state = LongStream::State::Failed;
  }
  file->owner->is_open = false;
  open_.erase(file);
}

void StreamsSink::note_error(int error) {
  if (status_.first_error.empty()) status_.first_error = describe_errno(error);
}

}  // namespace flowloom
