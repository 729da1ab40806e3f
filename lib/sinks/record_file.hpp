// A file of records under its name in the output folder, and how it is begun anew while records
// are written: no record is lost or written twice, and every file ends with a whole one.
//
//   nobody touched it          flows.jsonl becomes flows-000001.jsonl, a new one is begun
//   somebody moved it away     a new one is begun (logrotate)
//   somebody put another one   that one is continued (logrotate with `create`)
#pragma once

#include "base/time.hpp"
#include "sinks/descriptor.hpp"

#include <string>
#include <string_view>

namespace flowloom {

/// When files of records are begun anew by themselves; 0: never.
struct RotateSettings {
  std::uint64_t bytes = 0;  ///< a file ends with the record that makes it so long
  Duration interval{};      ///< and at whole multiples of this since 1970
};

/// Reads "100M", "1h" or "100M,1h": sizes end in K, M, G or T, times in s, m, h or d. One clear
/// sentence where the text is neither.
std::string parse_rotation(std::string_view text, RotateSettings& settings);

/// "flows-000001.jsonl" of "flows.jsonl".
std::string rotated_name(std::string_view name, std::uint32_t number);
/// Whether `file` is such a name of `name`.
bool is_rotated_name(std::string_view file, std::string_view name);

class RecordFile {
 public:
  /// `folder` outlives it. Creates nothing.
  RecordFile(int folder, std::string name) : folder_(folder), name_(std::move(name)) {}

  /// A new file, or an emptied one; an invalid descriptor with errno set where that fails.
  [[nodiscard]] Descriptor create() const;

  /// What comes after the file that is being written: another one, or none and the reason; none
  /// without a reason where the file has no record yet.
  struct Next {
    Descriptor file;
    std::uint64_t bytes = 0;  ///< that it holds already
    int error = 0;
  };
  Next begin_next(int current);

 private:
  [[nodiscard]] int move_aside();

  int folder_;
  std::string name_;
  std::uint32_t rotated_ = 0;  ///< number of the last file that was moved aside
};

}  // namespace flowloom
