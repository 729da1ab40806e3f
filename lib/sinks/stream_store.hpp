// Where whole streams can be read again that were longer than one message: the files of the streams
// writer, or a pack.
#pragma once

#include "sinks/sink.hpp"

#include <functional>

namespace flowloom {

class StreamStore {
 public:
  virtual ~StreamStore() = default;
  /// Told of the next bytes; false: no more are wanted.
  using Visit = std::function<bool(ByteView)>;
  /// Calls `visit` for the delivered bytes of a direction of a connection that ends, from the
  /// first on. False where they cannot be had; nothing was visited then, or not all.
  virtual bool read(StreamEvent& event, Direction direction, const Visit& visit) = 0;
};

/// Reads the files that StreamEvent::files names.
class FileStore final : public StreamStore {
 public:
  /// `out_folder` stays open.
  explicit FileStore(int out_folder) : out_folder_(out_folder) {}
  bool read(StreamEvent& event, Direction direction, const Visit& visit) override;

 private:
  int out_folder_;
};

}  // namespace flowloom
