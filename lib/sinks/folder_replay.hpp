// Hands the connections of a folder with flows.jsonl, whatever that was rotated to, and streams/
// to a writer of lines, as a pack's replay does. Of a record only what lines and `--print` show is
// read back; who wants the record itself gets its line as it is.
#pragma once

#include "sinks/descriptor.hpp"
#include "sinks/flow_filter.hpp"
#include "sinks/sink.hpp"

#include <functional>
#include <string>
#include <string_view>
#include <vector>

namespace flowloom {

class FolderReplay {
 public:
  /// error() is one clear sentence where there are no records that can be opened.
  explicit FolderReplay(const std::string& folder);
  [[nodiscard]] const std::string& error() const { return error_; }
  [[nodiscard]] int fd() const { return folder_.get(); }

  /// Calls `visit` with every record that the filter wants, in the order of the files.
  void run(const FlowFilter& filter,
           const std::function<void(StreamEvent& event, std::string_view line)>& visit);
  /// Lines that are no records of a connection.
  [[nodiscard]] std::uint64_t unreadable() const { return unreadable_; }

 private:
  struct Connection;
  bool next_line(std::string_view& line);
  bool open_next();
  std::size_t read_more();
  static bool parse(std::string_view line, Connection& connection);

  Descriptor folder_;
  std::vector<std::string> names_;  ///< files that were not opened yet, the last one first
  Descriptor flows_;
  std::string error_;
  std::vector<char> buffer_;
  std::size_t begin_ = 0;  ///< of the next line in buffer_
  std::size_t end_ = 0;
  std::uint64_t unreadable_ = 0;
  IdMaker ids_;
};

}  // namespace flowloom
