// What the signals of the process ask for, as counts that any thread may look at.
//
//   SIGINT, SIGTERM   end the run in order; the second one ends it at once
//   SIGHUP            begin new output files; where there are none, end the run in order
//   SIGUSR1           print statistics
#pragma once

#include <cstdint>

namespace flowloom {

/// What SIGHUP means.
enum class OnHangup : std::uint8_t { Rotate, End };

/// Installs the handlers. Before other threads exist: some of them block all signals.
void handle_signals(OnHangup on_hangup);

/// Times that the run was asked to end.
unsigned interrupts();
/// Times that new files were asked for.
unsigned rotations_asked();
/// Times that statistics were asked for.
unsigned statistics_asked();

}  // namespace flowloom
