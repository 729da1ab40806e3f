// See record_writer.hpp.
#include "sinks/record_writer.hpp"

#include "sinks/text.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

namespace flowloom {

RecordWriter::RecordWriter(std::string name, Descriptor file)
    : owned_(std::move(file)), fd_(owned_.get()) {
  status_.name = std::move(name);
  buffer_.reserve(kBufferBytes);
}

RecordWriter::RecordWriter(std::string name, Descriptor file, RecordFile place,
                           std::uint64_t rotate_bytes)
    : RecordWriter(std::move(name), std::move(file)) {
  place_ = std::move(place);
  rotate_bytes_ = rotate_bytes;
}

RecordWriter::RecordWriter(std::string name, int borrowed_fd) : fd_(borrowed_fd) {
  status_.name = std::move(name);
  buffer_.reserve(kBufferBytes);
}

void RecordWriter::append(std::string_view text) {
  if (broken_) {
    status_.dropped_bytes += text.size();
    return;
  }
  while (text.size() > kBufferBytes - buffer_.size()) {
    const std::size_t fits = kBufferBytes - buffer_.size();
    buffer_.insert(buffer_.end(), text.begin(), text.begin() + static_cast<std::ptrdiff_t>(fits));
    text.remove_prefix(fits);
    write_out();
    if (broken_) {
      status_.dropped_bytes += text.size();
      return;
    }
  }
  buffer_.insert(buffer_.end(), text.begin(), text.end());
}

void RecordWriter::end_record() {
  if (broken_) {
    broken_ = false;
    ++status_.dropped;
    return;
  }
  ends_.push_back(buffer_.size());
  if (rotate_bytes_ != 0 && file_bytes_ + buffer_.size() >= rotate_bytes_) rotate();
}

void RecordWriter::flush() {
  write_out();
}

void RecordWriter::rotate() {
  write_out();
  if (!place_ || begun_bytes_ != 0) return;
  RecordFile::Next next = place_->begin_next(fd_);
  if (!next.file.valid()) {
    // The file in work goes on, and nothing is lost; the next try is a whole file later.
    if (next.error != 0) status_.rotation_error = describe_errno(next.error);
    file_bytes_ = 0;
    return;
  }
  std::swap(owned_, next.file);
  fd_ = owned_.get();
  file_bytes_ = next.bytes;
  ++status_.rotations;
  const int error = next.file.close();
  if (error != 0 && status_.first_error.empty()) status_.first_error = describe_errno(error);
}

void RecordWriter::write_out() {
  if (buffer_.empty() && ends_.empty()) return;
  WriteResult result{0, EPIPE};
  if (!closed_) result = write_fully(fd_, buffer_.data(), buffer_.size());
  if (result.error != 0) {
    recover(result);
  } else {
    status_.records += ends_.size();
    status_.bytes += buffer_.size();
    file_bytes_ += buffer_.size();
    begun_bytes_ = ends_.empty() ? begun_bytes_ + buffer_.size() : buffer_.size() - ends_.back();
  }
  buffer_.clear();
  ends_.clear();
}

/// Keeps what is whole, gives up the rest of the buffer.
void RecordWriter::recover(const WriteResult& result) {
  if (status_.first_error.empty()) status_.first_error = describe_errno(result.error);
  if (result.error == EPIPE || result.error == EBADF || result.error == kStoodStill) {
    closed_ = true;
  }
  const auto lost = std::upper_bound(ends_.begin(), ends_.end(), result.written);
  const auto kept = static_cast<std::uint64_t>(lost - ends_.begin());
  const std::uint64_t whole = kept > 0 ? *(lost - 1) : 0;
  const std::uint64_t begun = kept > 0 ? 0 : begun_bytes_;
  const bool unfinished =
      ends_.empty() ? buffer_.size() + begun_bytes_ > 0 : buffer_.size() > ends_.back();
  cut_back(begun + result.written - whole);
  status_.records += kept;
  status_.dropped += ends_.size() - kept;
  status_.bytes += whole;
  status_.bytes -= begun;  // counted when they were written
  status_.dropped_bytes += begun + buffer_.size() - whole;
  begun_bytes_ = 0;
  broken_ = unfinished;
}

/// Removes the last bytes of a regular file if they are the ones just written; a pipe keeps them.
void RecordWriter::cut_back(std::uint64_t bytes) {
  struct stat info {};
  if (bytes == 0 || ::fstat(fd_, &info) != 0 || !S_ISREG(info.st_mode)) return;
  const off_t position = ::lseek(fd_, 0, SEEK_CUR);
  if (position != info.st_size || position < static_cast<off_t>(bytes)) return;
  const off_t end = position - static_cast<off_t>(bytes);
  if (::ftruncate(fd_, end) == 0) ::lseek(fd_, end, SEEK_SET);
}

}  // namespace flowloom
