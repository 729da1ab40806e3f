// What a sink keeps between the Bytes message of a connection and its Close: by worker and ticket,
// which workers use again, so it grows with connections that linger and is never searched.
#pragma once

#include "export/stream_message.hpp"

#include <vector>

namespace flowloom {

template <class Value>
class TicketMap {
 public:
  /// Preconditions: the message has a ticket; they begin at 1.
  Value& at(const StreamMessage& message) {
    if (values_.size() <= message.worker) values_.resize(message.worker + std::size_t{1});
    std::vector<Value>& values = values_[message.worker];
    if (values.size() < message.ticket) values.resize(message.ticket);
    return values[message.ticket - 1];
  }

 private:
  std::vector<std::vector<Value>> values_;
};

}  // namespace flowloom
