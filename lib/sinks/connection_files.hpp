// One file per connection, for writers of packets: it grows as UID.SUFFIX.part and gets its name,
// ADDR.PORT-ADDR.PORT-UID.SUFFIX with the originator first, when the connection ends. (Until then
// it may turn out that the other side is the originator.) A bounded number is open. What stands in
// a file is whole: after a failed write the file is cut back and keeps .part. Places beyond the
// 10,000th are spread over folders as those of the streams writer are.
#pragma once

#include "sinks/descriptor.hpp"
#include "sinks/sink.hpp"
#include "sinks/spread_folders.hpp"

#include <list>
#include <string>

namespace flowloom {

class ConnectionFiles {
 public:
  struct Settings {
    std::string writer;                ///< its name in stats.json
    std::string suffix;                ///< ".pcapng"
    std::size_t open_files_max = 100;  ///< see open_files_allowed
    std::uint64_t flat_files_max = kFlatFilesMax;
  };

 private:
  struct File;
  struct Open {
    Descriptor descriptor;
    File* owner;
  };
  using OpenFiles = std::list<Open>;

  /// The file of a connection that sends several messages.
  struct File {
    enum class State : std::uint8_t { None, Part, Failed };
    State state = State::None;
    std::uint64_t size = 0;
    OpenFiles::iterator open;
    bool is_open = false;
  };

 public:
  using Handle = File;

  /// Preconditions: `folder` is an open, empty directory.
  ConnectionFiles(Descriptor folder, const Settings& settings);

  /// The file of a connection that is complete. `data` is not empty.
  void write_whole(StreamEvent& event, ByteView data);
  /// Adds to the file of a connection that goes on, and to its last bytes at the close. The handle
  /// stays where it is until complete().
  void append(StreamEvent& event, Handle& file, ByteView data);
  /// The connection ended: the file gets its name.
  void complete(StreamEvent& event, Handle& file);
  /// Closes all files.
  void finish();
  [[nodiscard]] const WriterStatus& status() const { return status_; }

 private:
  StreamPath place(StreamEvent& event);
  StreamPath part_of(StreamEvent& event) const;
  [[nodiscard]] bool make_folder_of(const StreamPath& path) const;
  Descriptor open(StreamPath& path, int flags);
  int rename_part(StreamEvent& event, StreamPath& to) const;
  int acquire(StreamEvent& event, File& file);
  bool close_oldest();
  void close_file(OpenFiles::iterator file);
  void note_error(int error);

  Descriptor folder_;
  Settings settings_;
  OpenFiles open_;  ///< most recently used first
  std::uint64_t placed_ = 0;
  WriterStatus status_;
};

}  // namespace flowloom
