// See folder_replay.hpp.
#include "sinks/folder_replay.hpp"

#include "sinks/record_file.hpp"
#include "sinks/text.hpp"

#include <fcntl.h>
#include <fmt/format.h>
#include <rapidjson/document.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <filesystem>
#include <functional>
#include <new>

namespace flowloom {
namespace {

using Json = rapidjson::Value;

constexpr std::size_t kReadBytes = std::size_t{1} << 20;
/// A record with the longest lists there are has some megabytes; what is longer is none.
constexpr std::size_t kLineBytesMax = std::size_t{64} << 20;
constexpr const char* kFlows = "flows.jsonl";
/// How a line begins that is of no one connection.
constexpr std::string_view kOtherRecord = R"({"record":)";

std::string_view text_of(const Json& object, const char* name) {
  const auto at = object.FindMember(name);
  if (at == object.MemberEnd() || !at->value.IsString()) return {};
  return {at->value.GetString(), at->value.GetStringLength()};
}

std::uint64_t number_of(const Json& object, const char* name) {
  const auto at = object.FindMember(name);
  return at != object.MemberEnd() && at->value.IsUint64() ? at->value.GetUint64() : 0;
}

std::int64_t signed_of(const Json& object, const char* name) {
  const auto at = object.FindMember(name);
  return at != object.MemberEnd() && at->value.IsInt64() ? at->value.GetInt64() : 0;
}

template <class Enum, std::size_t N>
bool read_name(const std::array<std::string_view, N>& names, std::string_view name, Enum& value) {
  const auto at = std::find(names.begin(), names.end(), name);
  if (at == names.end()) return false;
  value = static_cast<Enum>(at - names.begin());
  return true;
}

/// Calls `visit` for the objects of a list; a key that is absent is an empty one.
template <class Visit>
bool each_object(const Json& object, const char* name, Visit&& visit) {
  const auto at = object.FindMember(name);
  if (at == object.MemberEnd()) return true;
  if (!at->value.IsArray()) return false;
  for (const Json& one : at->value.GetArray()) {
    if (!one.IsObject() || !visit(one)) return false;
  }
  return true;
}

}  // namespace

struct FolderReplay::Connection {
  StreamMessage message;
  std::string uid;
  std::array<std::string, 2> files;
  GapLists gaps;

  bool read_side(const Json& record, const char* name, unsigned d) {
    const auto at = record.FindMember(name);
    if (at == record.MemberEnd() || !at->value.IsObject()) return false;
    const Json& json = at->value;
    SideRecord& side = message.record.sides[d];
    const auto address = parse_address(std::string(text_of(json, "addr")));
    if (!address) return false;
    message.record.ipv6 = text_of(json, "addr").find(':') != std::string_view::npos;
    side.endpoint = {*address, static_cast<std::uint16_t>(number_of(json, "port"))};
    side.payload_bytes = number_of(json, "payload_bytes");
    side.stream_bytes = number_of(json, "stream_bytes");
    side.gap_bytes = number_of(json, "gap_bytes");
    files[d] = text_of(json, "file");
    gaps[d].clear();
    const bool good = each_object(json, "gaps", [&](const Json& gap) {
      Gap one{signed_of(gap, "offset"), signed_of(gap, "length"), GapCause::Unknown};
      gaps[d].push_back(one);
      return read_name(kGapCauseNames, text_of(gap, "cause"), gaps[d].back().cause);
    });
    side.gap_count = gaps[d].size() + number_of(json, "gaps_unlisted");
    return good;
  }
};

FolderReplay::FolderReplay(const std::string& folder) {
  folder_ = Descriptor(::open(folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  if (!folder_.valid()) {
    error_ = fmt::format("cannot open the folder {}: {}", folder, describe_errno(errno));
    return;
  }
  std::error_code ignored;  // then there are no others
  for (const auto& entry : std::filesystem::directory_iterator(folder, ignored)) {
    std::string name = entry.path().filename();
    if (is_rotated_name(name, kFlows)) names_.push_back(std::move(name));
  }
  std::sort(names_.begin(), names_.end(), std::greater<>());
  const bool rotated = !names_.empty();
  names_.insert(names_.begin(), kFlows);
  if (!open_next() && !rotated) {
    error_ = fmt::format("{} holds neither a pack nor {}: {}", folder, kFlows,
                         describe_errno(errno));
  }
}

/// The next file that can be opened; one may have been moved away by now.
bool FolderReplay::open_next() {
  while (!names_.empty()) {
    flows_ = Descriptor(::openat(folder_.get(), names_.back().c_str(), O_RDONLY | O_CLOEXEC));
    names_.pop_back();
    if (flows_.valid()) return true;
  }
  return false;
}

/// Appends to buffer_; 0 at the end of the last file.
std::size_t FolderReplay::read_more() {
  for (;;) {
    const ssize_t count = ::read(flows_.get(), buffer_.data() + end_, kReadBytes);
    if (count > 0) return static_cast<std::size_t>(count);
    if (count < 0 && errno == EINTR) continue;
    if (!open_next()) return 0;
  }
}

/// The next line without its end, or what there is of a last one.
bool FolderReplay::next_line(std::string_view& line) {
  for (std::size_t searched = begin_;;) {
    const auto* from = buffer_.data() + searched;
    const auto* feed =
        end_ > searched ? static_cast<const char*>(std::memchr(from, '\n', end_ - searched))
                        : nullptr;
    if (feed != nullptr) {
      line = {buffer_.data() + begin_, static_cast<std::size_t>(feed - buffer_.data()) - begin_};
      begin_ += line.size() + 1;
      return true;
    }
    std::copy(buffer_.begin() + static_cast<std::ptrdiff_t>(begin_),
              buffer_.begin() + static_cast<std::ptrdiff_t>(end_), buffer_.begin());
    end_ -= begin_;
    begin_ = 0;
    searched = end_;
    if (end_ > kLineBytesMax) return false;
    buffer_.resize(end_ + kReadBytes);
    const std::size_t count = read_more();
    if (count == 0) {
      line = {buffer_.data(), end_};
      begin_ = end_;
      return !line.empty();
    }
    end_ += count;
  }
}

bool FolderReplay::parse(std::string_view line, Connection& connection) {
  rapidjson::Document json;
  // Iterative: a hostile line must not nest us off the stack.
  json.Parse<rapidjson::kParseIterativeFlag>(line.data(), line.size());
  if (json.HasParseError() || !json.IsObject()) return false;
  ConnectionRecord& record = connection.message.record;
  record = ConnectionRecord{};
  connection.uid = text_of(json, "uid");
  // Of the handshake the record keeps its letters: the answer, and what acknowledged it.
  const std::string_view history = text_of(json, "history");
  record.established = history.find('h') != std::string_view::npos &&
                       history.find_first_of("AF") != std::string_view::npos;
  return read_name(kCloseReasonNames, text_of(json, "close"), record.close) &&
         read_name(kConnStateNames, text_of(json, "state"), record.state) &&
         connection.read_side(json, "orig", 0) && connection.read_side(json, "resp", 1);
}

void FolderReplay::run(const FlowFilter& filter,
                       const std::function<void(StreamEvent&, std::string_view)>& visit) {
  Connection connection;
  for (std::string_view line; next_line(line);) {
    if (line.starts_with(kOtherRecord)) continue;
    if (!parse(line, connection)) {
      ++unreadable_;
      continue;
    }
    if (!filter.matches(connection.message.record, connection.uid)) continue;
    connection.message.first = false;  // its bytes are in its files
    StreamEvent event(connection.message, ids_);
    event.earlier_gaps = &connection.gaps;
    for (unsigned d = 0; d < 2; ++d) {
      // A longer name than ours is no file of ours, nor is one that leaves the folder.
      const std::string& file = connection.files[d];
      if (file.size() + 1 < StreamPath::kCapacity && file.starts_with("streams/") &&
          file.find("..") == std::string::npos) {
        event.files[d].push(file);
      }
    }
    visit(event, line);
  }
}

}  // namespace flowloom
