// SHA-256 of both directions of every connection, on several threads where that pays.
//
// The work of a batch is cut into items of about 64 KiB that depend on nothing but themselves: a
// run of whole connections, or all messages of one longer connection. A oneTBB pipeline hands
// out the items in order, hashes them in parallel and takes them back in order. With one thread,
// or too little work, everything runs straight on the caller's thread and TBB is not started.
// This header includes none of TBB's.
#pragma once

#include "export/stream_message.hpp"
#include "sinks/connection_map.hpp"
#include "sinks/digest.hpp"

#include <functional>
#include <memory>
#include <span>
#include <vector>

namespace flowloom {

struct HeavySettings {
  /// Threads for heavy work, the writer core's own included; 1: none but that.
  unsigned threads = 1;
  std::uint64_t item_bytes = std::uint64_t{64} << 10;
};

class Sha256Stage {
 public:
  /// A run of messages with the digests of those that close a connection.
  struct Prepared {
    std::span<StreamMessage* const> messages;
    std::span<const std::array<Sha256Text, 2>> digests;
  };
  using Deliver = std::function<void(Prepared)>;  // once per item, not per packet

  explicit Sha256Stage(const HeavySettings& settings);
  ~Sha256Stage();
  Sha256Stage(const Sha256Stage&) = delete;
  Sha256Stage& operator=(const Sha256Stage&) = delete;

  /// Calls `deliver` for all messages in order, in runs, on one thread at a time but not always
  /// the caller's; the messages of a run may be gone when it returns. Returns after the last.
  void run(std::span<StreamMessage* const> batch, const Deliver& deliver);

 private:
  /// One per direction.
  using Hashers = std::array<Digest, 2>;
  static Hashers make_hashers() {
    return {Digest(DigestAlgorithm::Sha256), Digest(DigestAlgorithm::Sha256)};
  }
  static constexpr std::size_t kNone = SIZE_MAX;

  /// Messages that are hashed by one thread, one after the other: a list through next_.
  struct Item {
    std::size_t first = kNone;
    std::size_t last = kNone;
    std::uint64_t bytes = 0;
    Hashers* hashers = nullptr;  ///< of a longer connection; nullptr: whole connections
  };
  /// A connection of several messages.
  struct LongHash {
    Hashers hashers = make_hashers();
    std::uint64_t batch = 0;  ///< the last batch with a message of the connection
    std::size_t item = kNone;
  };
  struct Arena;

  void plan(std::span<StreamMessage* const> batch);
  std::size_t item_of(const StreamMessage& message, std::size_t& open_item);
  void prepare(const Item& item, std::span<StreamMessage* const> batch, Hashers& scratch);
  void hash_message(const StreamMessage& message, Hashers& hashers, std::size_t position);
  void run_straight(std::span<StreamMessage* const> batch, const Deliver& deliver);
  void run_parallel(std::span<StreamMessage* const> batch, const Deliver& deliver);
  void deliver_up_to(std::size_t item, std::span<StreamMessage* const> batch,
                     const Deliver& deliver, std::size_t& delivered);

  HeavySettings settings_;
  std::vector<Item> items_;
  std::vector<std::size_t> next_;                   ///< by position in the batch
  std::vector<std::array<Sha256Text, 2>> digests_;  ///< by position in the batch
  std::vector<std::uint64_t> closed_;               ///< longer connections that the batch closes
  ConnectionMap<LongHash> long_;
  Hashers scratch_ = make_hashers();
  std::uint64_t batch_number_ = 0;
  std::unique_ptr<Arena> arena_;  ///< made with the first batch that is worth it
};

}  // namespace flowloom
