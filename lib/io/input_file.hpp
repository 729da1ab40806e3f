// The bytes of one input as they lie on disk or come through a pipe. Knows neither formats nor
// compression. A regular file's descriptor may be closed between two reads, so that a thousand
// files with overlapping times need a handful of descriptors.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include <sys/types.h>

struct stat;

namespace flowloom {

class InputFile;

/// How many descriptors the inputs may hold at a time; the one used longest ago is closed first.
class DescriptorBudget {
 public:
  explicit DescriptorBudget(std::size_t limit) : limit_(limit) {}

  /// A quarter of what the process may open, within reason: the writers need theirs.
  static std::size_t default_limit();

 private:
  friend class InputFile;
  void add(InputFile* file);
  void remove(InputFile* file);
  bool close_oldest();  // false: none is open

  std::size_t limit_;
  std::uint64_t uses_ = 0;
  std::vector<InputFile*> open_;
};

enum class ReadState : std::uint8_t {
  Bytes,    ///< some were read
  Nothing,  ///< a pipe has none now
  End,
  Failed  ///< error() says why
};

struct ReadResult {
  ReadState state;
  std::size_t bytes = 0;
};

/// Whether a read of a pipe may take as long as its writer does.
enum class Waiting : std::uint8_t { Briefly, Forever };

class InputFile {
 public:
  /// `path` "-" is standard input. Nothing is opened yet.
  InputFile(std::string path, DescriptorBudget& budget);
  ~InputFile();
  InputFile(const InputFile&) = delete;
  InputFile& operator=(const InputFile&) = delete;

  /// False: error() says why not.
  bool open();
  ReadResult read(std::span<std::uint8_t> to, Waiting waiting);

  /// A regular file, named by a path: it can be read again from its beginning.
  [[nodiscard]] bool regular() const { return regular_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] std::uint64_t offset() const { return offset_; }
  [[nodiscard]] const std::string& error() const { return error_; }

 private:
  friend class DescriptorBudget;
  int open_descriptor();
  bool accept(const struct stat& status);
  void close_descriptor();
  [[nodiscard]] bool standard_input() const { return path_ == "-"; }

  std::string path_;
  DescriptorBudget& budget_;
  int descriptor_ = -1;
  bool regular_ = false;
  bool identified_ = false;  // device_ and inode_ are those of the first open
  dev_t device_ = 0;
  ino_t inode_ = 0;
  std::uint64_t offset_ = 0;
  std::uint64_t last_use_ = 0;
  std::string error_;
};

}  // namespace flowloom
