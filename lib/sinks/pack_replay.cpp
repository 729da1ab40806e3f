// See pack_replay.hpp.
#include "sinks/pack_replay.hpp"

#include "sinks/chain_reader.hpp"

#include <new>

namespace flowloom {
namespace {

/// The writer's messages hold little more than 64 KiB; a pack that claims more is not believed.
constexpr std::uint64_t kMessageBytesMax = std::uint64_t{64} << 20;

/// What is replayed lies in memory of the replay.
class NoOwner final : public MessageOwner {
 public:
  void give_back(std::span<StreamMessage* const>) override {}
};

}  // namespace

BlockChain PackReplay::Chain::finish() {
  BlockChain chain;
  chain.bytes = static_cast<std::uint32_t>(bytes_.size() - sizeof(ExportBlock));
  if (chain.bytes == 0) return chain;
  auto* block = new (bytes_.data()) ExportBlock;
  block->used = block->capacity = chain.bytes;
  chain.first = chain.last = block;
  return chain;
}

PackReplay::PackReplay(PackReader& reader, PackContent content, Wanted wanted)
    : reader_(reader), content_(content), wanted_(std::move(wanted)) {}

void PackReplay::run(WriterPipeline& pipeline) {
  if (wanted_) choose();
  reader_.rewind();
  for (PackEntry entry; reader_.next(entry);) {
    if (!is_chosen(entry.record.first_packet)) continue;
    take(entry, pipeline);
  }
  counts_.open = running_.size() - running_damaged_;
}

/// Whether a connection is wanted may only be known when it ends: the index is read twice.
void PackReplay::choose() {
  reader_.rewind();
  for (PackEntry entry; reader_.next(entry);) {
    const std::uint64_t connection = entry.record.first_packet;
    if (wanted_(entry.record, entry.uid)) {
      chosen_.at(connection) = true;
    } else {
      chosen_.erase(connection);
    }
  }
}

bool PackReplay::is_chosen(std::uint64_t connection) {
  return !wanted_ || chosen_.find(connection) != nullptr;
}

void PackReplay::take(const PackEntry& entry, WriterPipeline& pipeline) {
  if (entry.kind == PackEntry::Kind::Progress) {
    take_progress(entry, pipeline);
  } else {
    take_close(entry, pipeline);
  }
}

void PackReplay::take_progress(const PackEntry& entry, WriterPipeline& pipeline) {
  const std::uint64_t connection = entry.record.first_packet;
  const bool beginning_lost = !entry.first && running_.find(connection) == nullptr;
  Running& running = running_.at(connection);
  if (running.damaged) return;
  if (beginning_lost || !load_data(entry)) return mark_damaged(running);
  replay(entry, pipeline);
  for (unsigned d = 0; d < 2; ++d) {
    running.bytes[d] += entry.data[d].bytes;
    if (entry.data[d].bytes > 0) running.extents[d].push_back(entry.data[d]);
  }
}

void PackReplay::take_close(const PackEntry& entry, WriterPipeline& pipeline) {
  const std::uint64_t connection = entry.record.first_packet;
  Running* running = running_.find(connection);
  bool whole = entry.first == (running == nullptr) && (running == nullptr || !running->damaged);
  for (unsigned d = 0; whole && d < 2; ++d) {
    const std::uint64_t before = running != nullptr ? running->bytes[d] : 0;
    whole = before + entry.data[d].bytes == entry.record.sides[d].stream_bytes;
  }
  if (whole && load_data(entry)) {
    replay(entry, pipeline);
    ++counts_.connections;
  } else if (running == nullptr || !running->damaged) {
    ++counts_.damaged;
  }
  if (running == nullptr) return;
  running_damaged_ -= running->damaged ? 1 : 0;
  running_.erase(connection);
}

void PackReplay::mark_damaged(Running& running) {
  running.damaged = true;
  ++running_damaged_;
  ++counts_.damaged;
}

bool PackReplay::load_data(const PackEntry& entry) {
  for (unsigned d = 0; d < 2; ++d) {
    data_[d].clear();
    if (content_ == PackContent::Skip) continue;
    if (entry.data[d].bytes > kMessageBytesMax) return false;
    const bool read = reader_.read(entry.data[d], [&](ByteView piece) {
      data_[d].add(piece.data(), piece.size());
    });
    if (!read) return false;
  }
  return true;
}

/// Preconditions: load_data() was there before.
void PackReplay::replay(const PackEntry& entry, WriterPipeline& pipeline) {
  message_.kind = entry.kind == PackEntry::Kind::Close ? StreamMessage::Kind::Close
                                                       : StreamMessage::Kind::Progress;
  message_.first = entry.first;
  message_.record = entry.record;
  for (unsigned d = 0; d < 2; ++d) {
    message_.data[d] = data_[d].finish();
    message_.data_offset[d] = entry.data_offset[d];
    gaps_[d].clear();
    gaps_[d].add(entry.gaps[d].data(), entry.gaps[d].size() * sizeof(Gap));
    message_.gaps[d] = gaps_[d].finish();
  }
  conflicts_.clear();
  for (const Conflict& conflict : entry.conflicts) {
    const ConflictEntry one{conflict, 0};
    conflicts_.add(&one, sizeof one);
  }
  message_.conflicts = conflicts_.finish();
  NoOwner owner;
  StreamMessage* const messages[] = {&message_};
  pipeline.consume(messages, owner);
}

bool PackReplay::read_earlier(std::uint64_t connection, Direction direction,
                              const StreamStore::Visit& visit) {
  const Running* running = running_.find(connection);
  if (running == nullptr) return true;
  for (const PackExtent& extent : running->extents[index_of(direction)]) {
    if (!reader_.read(extent, visit)) return false;
  }
  return true;
}

bool PackStore::read(StreamEvent& event, Direction direction, const Visit& visit) {
  if (!replay_.read_earlier(event.record().first_packet, direction, visit)) return false;
  for_each_piece(event.message().data[index_of(direction)], visit);
  return true;
}

}  // namespace flowloom
