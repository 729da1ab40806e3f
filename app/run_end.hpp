// The end of a run that was asked for, or of a live one that has captured all it was to, where an
// output takes nothing any more: it gets a bounded time, and what it has not taken then is lost and
// counted.
#pragma once

#include "host/nudges.hpp"
#include "sink_writer.hpp"
#include "sinks/write_patience.hpp"

namespace flowloom {

class RunEnd {
 public:
  /// On the control thread, which writes itself when the run is over. `writer` outlives this and
  /// may be nullptr.
  explicit RunEnd(SinkWriter* writer) : writer_(writer) {}

  /// Several times a second from when the end was asked for, or the input is over. Ends the
  /// process where the kernel does not let the writers go.
  void hasten();

 private:
  SinkWriter* writer_;
  Nudges nudges_;
  StuckWatch watch_;
};

}  // namespace flowloom
