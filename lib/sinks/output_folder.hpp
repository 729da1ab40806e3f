// The folder that a run writes into: made if missing, refused if it holds something, unless the
// user forces it; then what an earlier run left there goes, and nothing else.
#pragma once

#include "sinks/descriptor.hpp"

#include <string>

namespace flowloom {

enum class ExistingFiles : std::uint8_t { Refuse, Replace };

class OutputFolder {
 public:
  /// Makes or opens `path`. Where that fails, valid() is false and error() one clear sentence.
  OutputFolder(std::string path, ExistingFiles existing);

  [[nodiscard]] bool valid() const { return error_.empty(); }
  [[nodiscard]] const std::string& error() const { return error_; }
  /// Whether what is wrong is only that the folder holds something: the user's to decide.
  [[nodiscard]] bool is_taken() const { return is_taken_; }
  [[nodiscard]] const std::string& path() const { return path_; }
  [[nodiscard]] int fd() const { return folder_.get(); }

  /// Hands the folder, and what a run has just made in it, over to another user; an errno value
  /// where that fails.
  [[nodiscard]] int give_to(uid_t user, gid_t group) const;
  /// The folder `name` inside, made if missing; an invalid descriptor with errno set on failure.
  [[nodiscard]] Descriptor create_folder(const char* name) const;

 private:
  void refuse(std::string sentence);

  std::string path_;
  std::string error_;
  bool is_taken_ = false;
  Descriptor folder_;
};

}  // namespace flowloom
