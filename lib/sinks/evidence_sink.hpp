// What segments said that contradicted each other: both versions of the bytes, one JSON object a
// line in evidence.jsonl (--overlap-evidence). Of a connection at most kEvidenceBytesMax bytes
// arrive here; what is missing is told by number. Prints hexadecimal only.
#pragma once

#include "sinks/chain_reader.hpp"
#include "sinks/connection_map.hpp"
#include "sinks/record_writer.hpp"
#include "sinks/sink.hpp"

#include <fmt/format.h>

namespace flowloom {

class EvidenceSink final : public Sink {
 public:
  explicit EvidenceSink(RecordWriter output) : output_(std::move(output)) {}

  void consume(StreamEvent& event) override;
  void flush() override { output_.flush(); }
  void rotate() override { output_.rotate(); }
  void finish() override { output_.flush(); }
  [[nodiscard]] WriterStatus status() const override { return output_.status(); }

 private:
  using Counts = std::array<std::uint64_t, 2>;  // by KeySide
  void write_entry(StreamEvent& event, const ConflictEntry& entry, ConflictReader& reader);
  void write_rest(StreamEvent& event, const Counts& written);
  void end_line();

  RecordWriter output_;
  ConnectionMap<Counts> written_;  ///< conflicts of connections that go on
  fmt::memory_buffer text_;        ///< the line in work
};

}  // namespace flowloom
