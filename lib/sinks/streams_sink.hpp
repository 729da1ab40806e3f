// One file per direction of every connection that delivered bytes, named by its end points and
// uid. A stream that arrives whole in one message is created under its final name in one write;
// a longer one grows as NAME.part and gets its name when the connection ends, so a name without
// .part is a complete stream. A stream that could not be written whole keeps .part for ever.
//
// The first kFlatFilesMax files lie in streams/, later ones in streams/XX/, which goes by the
// moment at which their connections began (spread_folders.hpp). Files are counted when connections
// end, in the run's total order, so the place of a file does not depend on workers or bursts. What
// comes whole before its connection ends is written at once where it will belong if connections end
// in the order in which their streams do, as nearly all do; a file for which that turns out wrong
// is moved when they end.
//
// With GapFill::Zero a file is as long as the stream with its gaps, also those at its end;
// the zeros are holes in the file and cost no space.
#pragma once

#include "sinks/chain_reader.hpp"
#include "sinks/connection_map.hpp"
#include "sinks/descriptor.hpp"
#include "sinks/sink.hpp"
#include "sinks/spread_folders.hpp"
#include "sinks/ticket_map.hpp"

#include <list>
#include <span>

namespace flowloom {

/// What stands in a stream file where bytes are missing.
enum class GapFill : std::uint8_t { None, Zero };

inline constexpr std::size_t kOpenFilesDefault = 200;

struct StreamsSettings {
  GapFill gap_fill = GapFill::None;
  std::size_t open_files_max = kOpenFilesDefault;  ///< at most half of RLIMIT_NOFILE is used
  std::uint64_t flat_files_max = kFlatFilesMax;
};

class StreamsSink final : public Sink {
 public:
  /// Preconditions: `streams_folder` is an open, empty directory.
  StreamsSink(Descriptor streams_folder, const StreamsSettings& settings);

  [[nodiscard]] SinkNeeds needs() const override {
    return {.bytes = true, .early_bytes = EarlyBytes::Named};
  }
  void consume(StreamEvent& event) override;
  void consume_bytes(StreamEvent& event) override;
  void finish() override;
  [[nodiscard]] WriterStatus status() const override { return status_; }
  [[nodiscard]] std::size_t open_files() const { return open_.size(); }

 private:
  /// Where below streams/ a file lies.
  enum class Place : std::uint8_t { None, Flat, Folder, Lost };
  struct LongStream;
  struct OpenFile {
    Descriptor file;
    LongStream* owner;
  };
  using OpenFiles = std::list<OpenFile>;

  /// One direction of a connection that sends several messages.
  struct LongStream {
    enum class State : std::uint8_t { Empty, Part, Failed };
    State state = State::Empty;
    std::uint64_t size = 0;  ///< of the file: where the next byte goes without gap filling
    OpenFiles::iterator open;
    bool is_open = false;
  };
  struct LongConnection {
    std::array<LongStream, 2> streams;
  };

  [[nodiscard]] bool write_whole(StreamEvent& event, Direction direction, StreamPath& path);
  void abandon_whole(int folder_file, const char* path, StreamEvent& event, Direction direction,
                     std::uint64_t written);
  void settle(StreamEvent& event, Direction direction, Place written);
  void append(StreamEvent& event, Direction direction, LongStream& stream);
  void complete(StreamEvent& event, Direction direction, LongStream& stream);
  [[nodiscard]] Place place_of(std::uint64_t count) const {
    return count < settings_.flat_files_max ? Place::Flat : Place::Folder;
  }
  static StreamPath path_of(StreamEvent& event, Direction direction, Place place);
  static void name_file(StreamEvent& event, Direction direction, const StreamPath& path);
  WriteResult write_data(int fd, const StreamMessage& message, Direction direction,
                         std::uint64_t& size);
  WriteResult stretch(int fd, const SideRecord& side, std::uint64_t& size) const;
  Descriptor create(StreamPath& path);
  [[nodiscard]] bool make_folder_of(const StreamPath& path) const;
  void leave_folder_of(const StreamPath& path) const;
  int rename_part(StreamEvent& event, Direction direction, StreamPath& path) const;
  int rename(const char* from, StreamPath& to) const;
  int acquire(StreamEvent& event, Direction direction, LongStream& stream);
  Descriptor open_part(StreamEvent& event, Direction direction, int flags);
  bool close_oldest();
  void close_part(LongStream& stream);
  void close_file(OpenFiles::iterator file);
  void note_error(int error);

  Descriptor folder_;
  StreamsSettings settings_;
  WriterStatus status_;
  std::uint64_t placed_ = 0;   ///< files of connections that ended
  std::uint64_t pending_ = 0;  ///< files of those that are whole and have not ended
  TicketMap<std::array<Place, 2>> early_;
  OpenFiles open_;            ///< most recently used first
  ConnectionMap<LongConnection> long_;
};

}  // namespace flowloom
