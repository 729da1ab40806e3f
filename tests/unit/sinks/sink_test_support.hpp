// What the tests of the sinks share: feeding messages, and a tiny file system that runs full.
#pragma once

#include "sinks/descriptor.hpp"
#include "sinks/sink.hpp"
#include "sinks/writer_pipeline.hpp"
#include "support/message_builder.hpp"
#include "support/temp_folder.hpp"

#include <fcntl.h>
#include <sys/resource.h>

#include <array>
#include <csignal>
#include <span>
#include <string>
#include <vector>

namespace flowloom::test {

inline constexpr auto kOrig = Direction::OriginatorToResponder;
inline constexpr auto kResp = Direction::ResponderToOriginator;

/// Remembers what came back, in order.
class RecordingOwner final : public MessageOwner {
 public:
  void give_back(std::span<StreamMessage* const> messages) override {
    returned.insert(returned.end(), messages.begin(), messages.end());
  }
  std::vector<StreamMessage*> returned;
};

/// Hands one message to one sink; returns the event's files.
inline std::array<std::string, 2> feed(Sink& sink, MessageBuilder& builder) {
  static IdMaker ids;
  StreamEvent event(builder.message(), ids);
  if (builder.message().kind == StreamMessage::Kind::Bytes) {
    sink.consume_bytes(event);
  } else {
    sink.consume(event);
  }
  return {std::string(event.files[0].view()), std::string(event.files[1].view())};
}

inline Descriptor open_folder(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
}

inline Descriptor create_file(const std::string& path) {
  return Descriptor(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0666));
}

/// Limits the size of every file that the process writes (RLIMIT_FSIZE): a full disk that needs
/// no privileges. The error is EFBIG where a full disk says ENOSPC; the code is the same.
class FileSizeLimit {
 public:
  explicit FileSizeLimit(rlim_t bytes) {
    ::signal(SIGXFSZ, SIG_IGN);
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~FileSizeLimit() { lift(); }
  void lift() { ::setrlimit(RLIMIT_FSIZE, &before_); }

 private:
  rlimit before_{};
};

}  // namespace flowloom::test
