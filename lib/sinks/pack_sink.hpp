// --write pack: the delivered bytes of all connections one after the other in a few large files,
// and an index of what belongs to whom: creating a file per direction costs ten times and more what
// reassembling a short connection does. docs/pack.md describes the format.
//
// Bytes are written before the index that names them, both in blocks with a checksum, so what a
// killed run leaves is a pack that ends early. Each message is an entry, and the reader joins them;
// only of a Bytes message the place of its bytes is kept, for the entry of the close.
#pragma once

#include "sinks/connection_map.hpp"
#include "sinks/pack_entry.hpp"
#include "sinks/pack_file.hpp"
#include "sinks/sink.hpp"
#include "sinks/ticket_map.hpp"

#include <chrono>
#include <deque>

namespace flowloom {

/// Whether the packets come as they happen. Then what is buffered goes out once a second where
/// nothing else waits, and how blocks are cut depends on time; otherwise they are whole.
enum class Pace : std::uint8_t { Stored, Live };

struct PackSettings {
  PackCompression compression;
  Pace pace = Pace::Stored;
};

class PackSink final : public Sink {
 public:
  /// Preconditions: `folder` is an open, empty directory.
  PackSink(Descriptor folder, const PackSettings& settings);

  [[nodiscard]] SinkNeeds needs() const override {
    return {.bytes = true, .early_bytes = EarlyBytes::Bare};
  }
  void consume(StreamEvent& event) override;
  void consume_bytes(StreamEvent& event) override;
  void flush() override;
  void rotate() override { write_out(); }  // one whole: its parts need each other
  void finish() override;
  [[nodiscard]] WriterStatus status() const override { return status_; }

 private:
  /// An entry whose bytes, or whose index block, are not written yet.
  struct Pending {
    std::size_t encoded;      ///< bytes in encoder_
    PackExtent data;          ///< of both directions together
    std::uint64_t connection;
    bool closes;
  };

  PackData append_all(const StreamMessage& message);
  PackExtent append(const BlockChain& chain);
  void write_out();
  void write_data();
  [[nodiscard]] int write_data_block();
  void write_index();
  void note_lost(std::uint64_t begin, std::uint64_t end);
  [[nodiscard]] bool is_lost(const PackExtent& data) const;
  void forget_lost();
  void count(const Pending& entry);
  void drop(const Pending& entry);
  void note_error(int error);

  Descriptor folder_;
  Pace pace_;
  std::chrono::steady_clock::time_point flushed_;
  PackCompressor compressor_;
  PackFile index_;
  PackFile data_;
  std::uint64_t data_files_ = 0;
  std::vector<std::uint8_t> block_;   ///< data that is not written yet
  std::uint64_t block_at_ = 0;        ///< where its first byte stands
  std::vector<PackExtent> lost_;      ///< that could not be written; adjacent ones are joined
  std::uint64_t unindexed_ = 0;       ///< data written since the last index block
  PackEncoder encoder_;
  std::deque<Pending> pending_;
  std::uint64_t entries_ = 0;         ///< in the index
  TicketMap<PackData> early_;
  ConnectionMap<bool> damaged_;       ///< connections that lost an entry and go on
  WriterStatus status_;
};

}  // namespace flowloom
