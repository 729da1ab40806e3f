// Appends records (a line, a JSON object, a connection with its content) to a file, pipe or
// terminal through one bounded buffer. After a failed write the file is cut back to its last
// whole record, what was lost is counted, and the run goes on: space may come back.
#pragma once

#include "export/ledger_snapshot.hpp"
#include "sinks/descriptor.hpp"

#include <string>
#include <string_view>
#include <vector>

namespace flowloom {

class RecordWriter {
 public:
  static constexpr std::size_t kBufferBytes = std::size_t{256} << 10;

  /// Writes to a file of its own.
  RecordWriter(std::string name, Descriptor file);
  /// Writes to a descriptor that stays open, such as standard output.
  RecordWriter(std::string name, int borrowed_fd);

  /// Adds to the record that is being written; it may be longer than the buffer.
  void append(std::string_view text);
  void append(char c) { append(std::string_view(&c, 1)); }
  void end_record();
  void flush();
  [[nodiscard]] const WriterStatus& status() const { return status_; }

 private:
  void write_out();
  void recover(const WriteResult& result);
  void cut_back(std::uint64_t bytes);

  Descriptor owned_;
  int fd_;
  WriterStatus status_;
  std::vector<char> buffer_;
  std::vector<std::size_t> ends_;  ///< in buffer_: one past the last byte of each whole record
  std::uint64_t begun_bytes_ = 0;  ///< of the first record in buffer_ that are already in the file
  bool broken_ = false;            ///< the current record was lost in part: the rest is, too
  bool closed_ = false;            ///< nobody reads any more (EPIPE, EBADF)
};

}  // namespace flowloom
