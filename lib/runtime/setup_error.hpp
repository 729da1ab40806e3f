// The one exception of set-up: what the environment refused, as a sentence for the user.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>

namespace flowloom {

/// Thrown by EAL, port and thread set-up only; never after the first packet.
class RuntimeSetupError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// What the command line asks for cannot be, on any machine: an unknown EAL option, no port.
class RuntimeUsageError : public RuntimeSetupError {
 public:
  using RuntimeSetupError::RuntimeSetupError;
};

}  // namespace flowloom
