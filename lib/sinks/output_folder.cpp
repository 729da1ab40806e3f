// See output_folder.hpp.
#include "sinks/output_folder.hpp"

#include "sinks/app_flow_sink.hpp"
#include "sinks/ids.hpp"
#include "sinks/pack_format.hpp"
#include "sinks/pcap_sink.hpp"
#include "sinks/record_file.hpp"
#include "sinks/text.hpp"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <memory>
#include <string_view>
#include <vector>

namespace flowloom {
namespace {

constexpr mode_t kFolderMode = 0777;  // the user's umask decides
constexpr int kOpenFolder = O_RDONLY | O_DIRECTORY | O_CLOEXEC;
constexpr std::string_view kRecordFiles[] = {"alerts.jsonl", "flows.jsonl", "evidence.jsonl",
                                             "stats.jsonl"};
constexpr std::string_view kOtherFiles[] = {"stats.json", "stats.json.part"};

struct CloseFolder {
  void operator()(DIR* folder) const { ::closedir(folder); }
};

/// Names in a folder, without "." and "..". Empty where it cannot be read.
std::vector<std::string> names_in(int fd) {
  std::vector<std::string> names;
  const int copy = ::openat(fd, ".", kOpenFolder);
  if (copy < 0) return names;
  const std::unique_ptr<DIR, CloseFolder> folder(::fdopendir(copy));
  if (folder == nullptr) {
    ::close(copy);
    return names;
  }
  while (const dirent* entry = ::readdir(folder.get())) {
    const std::string_view name(entry->d_name);
    if (name != "." && name != "..") names.emplace_back(name);
  }
  return names;
}

bool is_empty(int fd) {
  return names_in(fd).empty();
}

bool is_alphanumeric(char c) {
  return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z');
}

/// Whether a file is one of ours: "...-C" and 18 digits of a uid, perhaps ".part".
bool is_stream_name(std::string_view name) {
  if (name.ends_with(".part")) name.remove_suffix(5);
  if (name.size() < kUidLength + 1) return false;
  const std::string_view uid = name.substr(name.size() - kUidLength);
  return name[name.size() - kUidLength - 1] == '-' && uid.front() == 'C' &&
         std::all_of(uid.begin(), uid.end(), is_alphanumeric);
}

/// Whether a file is one that ConnectionFiles makes.
bool is_connection_file(std::string_view name, std::string_view suffix) {
  const bool part = name.ends_with(".part");
  if (part) name.remove_suffix(5);
  if (!name.ends_with(suffix)) return false;
  name.remove_suffix(suffix.size());
  return is_stream_name(part ? std::string("-").append(name) : std::string(name));
}

void remove_connection_files(int folder, const char* name, std::string_view suffix) {
  const Descriptor files(::openat(folder, name, kOpenFolder | O_NOFOLLOW));
  if (!files.valid()) return;
  const auto clear = [suffix](int fd) {
    for (const std::string& file : names_in(fd)) {
      if (is_connection_file(file, suffix)) ::unlinkat(fd, file.c_str(), 0);
    }
  };
  clear(files.get());
  for (const std::string& inner : names_in(files.get())) {
    if (inner.size() != 2) continue;
    const Descriptor spread(::openat(files.get(), inner.c_str(), kOpenFolder | O_NOFOLLOW));
    if (!spread.valid()) continue;
    clear(spread.get());
    ::unlinkat(files.get(), inner.c_str(), AT_REMOVEDIR);
  }
  ::unlinkat(folder, name, AT_REMOVEDIR);
}

void remove_streams(int folder) {
  for (const std::string& name : names_in(folder)) {
    if (is_stream_name(name)) ::unlinkat(folder, name.c_str(), 0);
  }
}

/// Whether a file is one of a pack: "index", or "data-" and a number.
bool is_pack_name(std::string_view name) {
  constexpr std::string_view kData = "data-";
  if (name == kPackIndexName) return true;
  return name.starts_with(kData) && name.size() > kData.size() &&
         std::all_of(name.begin() + kData.size(), name.end(),
                     [](char c) { return c >= '0' && c <= '9'; });
}

void remove_pack(int folder) {
  const Descriptor pack(::openat(folder, kPackFolder.data(), kOpenFolder | O_NOFOLLOW));
  if (!pack.valid()) return;
  for (const std::string& name : names_in(pack.get())) {
    if (is_pack_name(name)) ::unlinkat(pack.get(), name.c_str(), 0);
  }
  ::unlinkat(folder, kPackFolder.data(), AT_REMOVEDIR);
}

void remove_rotated(int folder) {
  for (const std::string& file : names_in(folder)) {
    const bool rotated =
        std::any_of(std::begin(kRecordFiles), std::end(kRecordFiles),
                    [&](std::string_view name) { return is_rotated_name(file, name); });
    if (rotated) ::unlinkat(folder, file.c_str(), 0);
  }
}

/// Removes what an earlier run wrote; anything else stays where it is.
void remove_own_output(int folder) {
  for (const std::string_view name : kRecordFiles) ::unlinkat(folder, name.data(), 0);
  for (const std::string_view name : kOtherFiles) ::unlinkat(folder, name.data(), 0);
  remove_rotated(folder);
  remove_pack(folder);
  remove_connection_files(folder, "pcap", kPcapSuffix);
  remove_connection_files(folder, "app-flow", kAppFlowSuffix);
  const Descriptor streams(::openat(folder, "streams", kOpenFolder | O_NOFOLLOW));
  if (!streams.valid()) return;
  remove_streams(streams.get());
  for (const std::string& name : names_in(streams.get())) {
    if (name.size() != 2) continue;
    const Descriptor spread(::openat(streams.get(), name.c_str(), kOpenFolder | O_NOFOLLOW));
    if (!spread.valid()) continue;
    remove_streams(spread.get());
    ::unlinkat(streams.get(), name.c_str(), AT_REMOVEDIR);
  }
}

}  // namespace

OutputFolder::OutputFolder(std::string path, ExistingFiles existing) : path_(std::move(path)) {
  std::error_code made;
  std::filesystem::create_directories(path_, made);
  folder_ = Descriptor(::open(path_.c_str(), kOpenFolder));
  if (!folder_.valid()) {
    const int error = errno;
    refuse(error == ENOTDIR || error == ENOENT
               ? fmt::format("cannot write to {}: {}", path_,
                             made ? made.message() : describe_errno(error))
               : fmt::format("cannot open the folder {}: {}", path_, describe_errno(error)));
  } else if (::faccessat(folder_.get(), ".", W_OK | X_OK, AT_EACCESS) != 0) {
    refuse(fmt::format("cannot write to {}: {}", path_, describe_errno(errno)));
  } else if (existing == ExistingFiles::Replace) {
    remove_own_output(folder_.get());
  } else if (!is_empty(folder_.get())) {
    is_taken_ = true;
    refuse(
        fmt::format("the folder {} is not empty; choose another one, or --force to replace "
                    "what an earlier run wrote there",
                    path_));
  }
}

void OutputFolder::refuse(std::string sentence) {
  error_ = std::move(sentence);
  folder_ = Descriptor();
}

int OutputFolder::give_to(uid_t user, gid_t group) const {
  constexpr std::string_view kFolders[] = {"streams", "pcap", "app-flow", "couchdb-spool"};
  if (::fchown(folder_.get(), user, group) != 0) return errno;
  const auto give = [&](int folder, std::string_view name) {
    const int done = ::fchownat(folder, name.data(), user, group, AT_SYMLINK_NOFOLLOW);
    return done == 0 || errno == ENOENT ? 0 : errno;
  };
  for (const std::string_view name : kRecordFiles) {
    if (const int error = give(folder_.get(), name); error != 0) return error;
  }
  for (const std::string_view name : kFolders) {
    if (const int error = give(folder_.get(), name); error != 0) return error;
  }
  if (const int error = give(folder_.get(), kPackFolder); error != 0) return error;
  const Descriptor pack(::openat(folder_.get(), kPackFolder.data(), kOpenFolder | O_NOFOLLOW));
  return pack.valid() ? give(pack.get(), kPackIndexName) : 0;
}

Descriptor OutputFolder::create_folder(const char* name) const {
  if (::mkdirat(folder_.get(), name, kFolderMode) != 0 && errno != EEXIST) return Descriptor();
  return Descriptor(::openat(folder_.get(), name, kOpenFolder | O_NOFOLLOW));
}

}  // namespace flowloom
