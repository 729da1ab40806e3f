// Appends records (a line, a JSON object, a connection with its content) to a file, pipe or
// terminal through one bounded buffer. After a failed write the file is cut back to its last
// whole record, what was lost is counted, and the run goes on: space may come back. A file of the
// output folder is begun anew when it is asked to, or by itself (--rotate).
#pragma once

#include "export/ledger_snapshot.hpp"
#include "sinks/descriptor.hpp"
#include "sinks/record_file.hpp"

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace flowloom {

class RecordWriter {
 public:
  static constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

  /// Writes to a file of its own.
  RecordWriter(std::string name, Descriptor file);
  /// The same to one that can be begun anew: every `rotate_bytes` (0: only by rotate()).
  RecordWriter(std::string name, Descriptor file, RecordFile place, std::uint64_t rotate_bytes);
  /// Writes to a descriptor that stays open, such as standard output.
  RecordWriter(std::string name, int borrowed_fd);

  /// Adds to the record that is being written; it may be longer than the buffer.
  void append(std::string_view text);
  void append(char c) { append(std::string_view(&c, 1)); }
  void end_record();
  void flush();
  /// Writes what is buffered and begins the next file, where there is one to begin.
  /// Preconditions: between two records.
  void rotate();
  [[nodiscard]] const WriterStatus& status() const { return status_; }

 private:
  void write_out();
  void recover(const WriteResult& result);
  void cut_back(std::uint64_t bytes);

  Descriptor owned_;
  int fd_;
  std::optional<RecordFile> place_;  ///< none: it is no file of the output folder
  std::uint64_t rotate_bytes_ = 0;
  std::uint64_t file_bytes_ = 0;     ///< written to the file in work
  WriterStatus status_;
  std::vector<char> buffer_;
  std::vector<std::size_t> ends_;  ///< in buffer_: one past the last byte of each whole record
  std::uint64_t begun_bytes_ = 0;  ///< of the first record in buffer_ that are already in the file
  bool broken_ = false;            ///< the current record was lost in part: the rest is, too
  bool closed_ = false;            ///< nobody reads any more (EPIPE, EBADF, kStoodStill)
};

}  // namespace flowloom
