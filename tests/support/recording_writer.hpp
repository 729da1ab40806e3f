// A writer for tests of the engine: remembers every message as text and by connection, in the order
// in which they come.
#pragma once

#include <chrono>
#include <functional>
#include <map>
#include <sstream>
#include <string>
#include <thread>
#include <vector>

#include <gtest/gtest.h>

#include "runtime/engine.hpp"
#include "support/recording_consumer.hpp"

namespace flowloom::test {

inline const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);

inline std::string bytes_of(const BlockChain& chain) {
  std::string bytes;
  for (const ExportBlock* block = chain.first; block != nullptr; block = block->next) {
    bytes.append(reinterpret_cast<const char*>(block->data()), block->used);
  }
  EXPECT_EQ(bytes.size(), chain.bytes);
  return bytes;
}

inline std::string text_of(const Endpoint& e) {
  return to_string(e.address) + " " + std::to_string(e.port);
}

/// What a connection came to, put together from its messages.
struct Received {
  std::string bytes[2];
  std::vector<Gap> gaps[2];
  int messages = 0;
  bool closed = false;
  ConnectionRecord record;
};

/// Remembers every message as text and by connection.
class RecordingWriter final : public MessageWriter {
 public:
  explicit RecordingWriter(std::chrono::milliseconds delay = std::chrono::milliseconds{0})
      : delay_(delay) {}

  void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) override {
    for (StreamMessage* message : messages) {
      std::this_thread::sleep_for(delay_);
      add(*message);
      inlet.done(message);
    }
  }
  void idle() override {}
  void finish() override { finished_ = true; }

  [[nodiscard]] const std::string& text() const { return text_; }
  [[nodiscard]] bool finished() const { return finished_; }
  [[nodiscard]] bool in_order() const { return in_order_; }
  /// What each connection came to, in the order of their ends: everything but packet numbers.
  [[nodiscard]] const std::vector<std::string>& outcomes() const { return outcomes_; }
  /// By the number of the first packet.
  [[nodiscard]] const std::map<std::uint64_t, Received>& connections() const {
    return connections_;
  }

 private:
  void add(const StreamMessage& message) {
    in_order_ = in_order_ && (text_.empty() || last_ <= message.key);
    last_ = message.key;
    Received& c = connections_[message.record.first_packet];
    EXPECT_EQ(message.first, c.messages == 0);
    EXPECT_FALSE(c.closed);
    ++c.messages;
    std::ostringstream out;
    out << (message.key.clock - kBase).count() << " " << message.key.number << "."
        << message.key.sub << (message.kind == StreamMessage::Kind::Close ? " close " : " more ")
        << text_of(message.record.sides[0].endpoint) << " "
        << text_of(message.record.sides[1].endpoint) << " " << to_text(message.record, kBase);
    for (unsigned d = 0; d < 2; ++d) {
      const std::string bytes = bytes_of(message.data[d]);
      const std::string gaps = bytes_of(message.gaps[d]);
      c.bytes[d] += bytes;
      for (std::size_t at = 0; at < gaps.size(); at += sizeof(Gap)) {
        c.gaps[d].push_back(load_native<Gap>(gaps.data() + at));
        out << " gap " << c.gaps[d].back().offset << "+" << c.gaps[d].back().length;
      }
      out << " [" << message.data_offset[d] << " " << bytes.size() << " "
          << std::hash<std::string>{}(bytes) << "]";
    }
    text_ += out.str() + "\n";
    if (message.kind != StreamMessage::Kind::Close) return;
    c.closed = true;
    c.record = message.record;
    outcomes_.push_back(outcome_of(c));
  }

  static std::string outcome_of(const Received& c) {
    ConnectionRecord record = c.record;
    record.first_packet = 0;
    std::ostringstream out;
    out << text_of(record.sides[0].endpoint) << " " << text_of(record.sides[1].endpoint) << " "
        << to_text(record, kBase);
    for (unsigned d = 0; d < 2; ++d) {
      for (const Gap& gap : c.gaps[d]) {
        out << " gap " << gap.offset << "+" << gap.length << " "
            << kGapCauseNames[static_cast<std::size_t>(gap.cause)];
      }
      out << " [" << c.bytes[d].size() << " " << std::hash<std::string>{}(c.bytes[d]) << "]";
    }
    return out.str();
  }

  const std::chrono::milliseconds delay_;
  std::string text_;
  std::vector<std::string> outcomes_;
  bool finished_ = false;
  bool in_order_ = true;
  EventKey last_;
  std::map<std::uint64_t, Received> connections_;
};

}  // namespace flowloom::test
