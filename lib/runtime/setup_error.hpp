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

}  // namespace flowloom
