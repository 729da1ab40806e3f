// Hands the messages that a pack holds to writers, as the run that packed them did: what they write
// is what they would have written then. Connections that are not wanted are passed over; of one
// whose bytes are damaged or that was never closed the writers see what there is, but no end.
#pragma once

#include "sinks/connection_map.hpp"
#include "sinks/pack_reader.hpp"
#include "sinks/stream_store.hpp"
#include "sinks/writer_pipeline.hpp"

#include <functional>
#include <vector>

namespace flowloom {

/// Whether the writers look at the bytes; those of a list do not.
enum class PackContent : std::uint8_t { Skip, Load };

class PackReplay {
 public:
  /// Whether a connection is wanted: of its final record, or the last one that is known.
  using Wanted = std::function<bool(const ConnectionRecord&, std::string_view uid)>;

  struct Counts {
    std::uint64_t connections = 0;  ///< replayed to their end
    std::uint64_t damaged = 0;      ///< wanted, and not whole in the pack
    std::uint64_t open = 0;         ///< wanted, and never closed
  };

  /// `wanted` may be empty: all.
  PackReplay(PackReader& reader, PackContent content, Wanted wanted);
  void run(WriterPipeline& pipeline);
  [[nodiscard]] const Counts& counts() const { return counts_; }

  /// Calls `visit` for the bytes of a direction that entries before the current one hold: all but
  /// those of the message that a sink is being told of. False where a part cannot be read.
  bool read_earlier(std::uint64_t connection, Direction direction,
                    const StreamStore::Visit& visit);

 private:
  /// A connection that sends several messages.
  struct Running {
    std::array<std::vector<PackExtent>, 2> extents;  ///< of the entries so far
    std::array<std::uint64_t, 2> bytes{};            ///< in them
    bool damaged = false;
  };

  /// A chain of one block in memory of its own.
  class Chain {
   public:
    void clear() { bytes_.resize(sizeof(ExportBlock)); }
    void add(const void* bytes, std::size_t count) {
      const auto* from = static_cast<const std::uint8_t*>(bytes);
      bytes_.insert(bytes_.end(), from, from + count);
    }
    BlockChain finish();

   private:
    std::vector<std::uint8_t> bytes_;
  };

  void choose();
  [[nodiscard]] bool is_chosen(std::uint64_t connection);
  void take(const PackEntry& entry, WriterPipeline& pipeline);
  void take_progress(const PackEntry& entry, WriterPipeline& pipeline);
  void take_close(const PackEntry& entry, WriterPipeline& pipeline);
  void mark_damaged(Running& running);
  bool load_data(const PackEntry& entry);
  void replay(const PackEntry& entry, WriterPipeline& pipeline);

  PackReader& reader_;
  PackContent content_;
  Wanted wanted_;
  Counts counts_;
  ConnectionMap<bool> chosen_;
  ConnectionMap<Running> running_;
  std::uint64_t running_damaged_ = 0;
  StreamMessage message_;
  std::array<Chain, 2> data_;
  std::array<Chain, 2> gaps_;
  Chain conflicts_;
};

/// Reads the streams of a replay's connections again, for its own sinks.
class PackStore final : public StreamStore {
 public:
  explicit PackStore(PackReplay& replay) : replay_(replay) {}
  bool read(StreamEvent& event, Direction direction, const Visit& visit) override;

 private:
  PackReplay& replay_;
};

}  // namespace flowloom
