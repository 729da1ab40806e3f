#include "export/exporter.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "base/backoff.hpp"
#include "base/check.hpp"

namespace flowloom {

namespace {

/// A direction that has gathered this much is posted: longer streams flow, shorter ones wait for
/// their connection's end.
constexpr std::uint64_t kProgressBytes = 64 * 1024;
/// So many gaps are posted as well: a connection may have gaps and hardly any bytes.
constexpr std::uint64_t kProgressGaps = 512;
/// Gaps of a block that is taken for them.
constexpr std::size_t kGapsPerBlock = 4;

std::uint64_t capacity_of(const BlockChain& chain) {
  std::uint64_t sum = 0;
  for (const ExportBlock* block = chain.first; block != nullptr; block = block->next) {
    sum += block->capacity;
  }
  return sum;
}

/// The share of export memory that the copies of one conflict may take.
constexpr std::uint64_t kEvidenceShare = 8;

template <class Plain>
ByteView as_bytes(const Plain& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

std::uint64_t room_of(const BlockChain& chain) {
  return chain.last == nullptr ? 0 : chain.last->capacity - chain.last->used;
}

/// Fills the chain's blocks from `block` on; returns the one to go on with.
ExportBlock* fill(ExportBlock* block, ByteView bytes) {
  while (!bytes.empty()) {
    if (block->used == block->capacity) block = block->next;
    const std::size_t size = std::min<std::size_t>(bytes.size(), block->capacity - block->used);
    std::memcpy(block->data() + block->used, bytes.data(), size);
    block->used += static_cast<std::uint32_t>(size);
    bytes = bytes.subspan(size);
  }
  return block;
}

void leave_empty(StreamMessage& message) {
  for (unsigned i = 0; i < 2; ++i) {
    message.data[i] = message.gaps[i] = BlockChain{};
    message.data_offset[i] = 0;
  }
  message.conflicts = message.packets = BlockChain{};
}

}  // namespace

Exporter::Exporter(const ExporterConfig& config)
    : config_(config),
      memory_(config.memory),
      slots_(config.max_flows),
      message_memory_(config.messages * sizeof(StreamMessage)),
      to_writer_(config.messages),
      from_writer_(config.messages) {
  auto* messages = reinterpret_cast<StreamMessage*>(message_memory_.data());
  for (std::uint32_t i = config.messages; i-- > 0;) {
    StreamMessage* message = new (&messages[i]) StreamMessage;
    message->data[0].first = reinterpret_cast<ExportBlock*>(free_messages_);
    free_messages_ = message;
  }
}

Exporter::~Exporter() = default;

Interest Exporter::on_open(const EventKey&, const ConnectionView&, ConsumerSlot&) {
  return config_.bytes_wanted ? Interest::Bytes : Interest::Events;
}

// ConsumerSlot holds the index of the connection's Slot plus one; 0 = nothing gathered.
Exporter::Slot& Exporter::slot_of(const ConnectionView& view, ConsumerSlot& slot) {
  if (slot == 0) {
    slot = slots_.take() + 1;
    FLOWLOOM_CHECK(slot != 0); // one per connection at most
    slots_[slot - 1].handle = view.handle();
  }
  if (!slots_[slot - 1].gathering) link_newest(slot);
  return slots_[slot - 1];
}

void Exporter::link_newest(std::uint32_t slot) {
  Slot& s = slots_[slot - 1];
  s.gathering = true;
  s.older = newest_;
  s.newer = 0;
  if (newest_ != 0) slots_[newest_ - 1].newer = slot;
  newest_ = slot;
  if (oldest_ == 0) oldest_ = slot;
}

void Exporter::unlink(std::uint32_t slot) {
  Slot& s = slots_[slot - 1];
  if (!s.gathering) return;
  s.gathering = false;
  (s.older != 0 ? slots_[s.older - 1].newer : oldest_) = s.newer;
  (s.newer != 0 ? slots_[s.newer - 1].older : newest_) = s.older;
}

// Where the next byte or gap of a direction stands, if it is the first since the last message.
void Exporter::begin_at(Slot& slot, unsigned i, StreamOffset offset) {
  if (slot.data[i].bytes == 0 && slot.gaps[i].bytes == 0) slot.data_offset[i] = offset;
}

void Exporter::on_data(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                       Direction d, StreamOffset offset, ByteView bytes) {
  Slot& s = slot_of(view, slot);
  append(key, view, slot, index_of(d), offset, bytes);
  if (s.data[index_of(d)].bytes >= kProgressBytes) post_progress(key, view, slot);
  after_growth(key, view);
}

void Exporter::after_growth(const EventKey& key, const ConnectionView& view) {
  if (!memory_.pressed()) return;
  was_pressed_ = true;
  if (!reclaim() && mostly_gathered()) post_progress(key, view, oldest_);
}

void Exporter::on_gap(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                      Direction d, const Gap& gap) {
  Slot& s = slot_of(view, slot);
  BlockChain& chain = s.gaps[index_of(d)];
  // A gap never straddles two blocks, so that readers can take whole ones.
  if (chain.last == nullptr || chain.last->capacity - chain.last->used < sizeof gap) {
    ExportBlock* block = wait_for_block(key, view, slot, sizeof gap * kGapsPerBlock);
    (chain.last != nullptr ? chain.last->next : chain.first) = block;
    chain.last = block;
    gathered_ += block->capacity;
  }
  begin_at(s, index_of(d), gap.offset);
  s.next_offset[index_of(d)] = gap.offset + gap.length;
  ExportBlock* block = chain.last;
  std::memcpy(block->data() + block->used, as_bytes(gap).data(), sizeof gap);
  block->used += sizeof gap;
  chain.bytes += sizeof gap;
  ++s.gaps_since_packet[index_of(d)];
  if (chain.bytes >= kProgressGaps * sizeof gap) post_progress(key, view, slot);
}

// An entry is whole in one message: its room is there before a byte of it is written.
void Exporter::make_room(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                         BlockChain& chain, std::size_t size) {
  if (room_of(chain) >= size) return;
  const BlockChain room = wait_for_room(key, view, slot, size);
  (chain.last != nullptr ? chain.last->next : chain.first) = room.first;
  chain.last = room.first;
}

void Exporter::on_packet(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                         const PacketNote& note) {
  Slot& s = slot_of(view, slot);
  std::size_t copied = config_.packets == PacketsWanted::Frames ? note.frame.size() : 0;
  std::uint8_t marks = note.marks;
  if (copied > memory_.capacity() / kEvidenceShare) {
    copied = memory_.capacity() / kEvidenceShare;
    marks |= packet_marks::kCut;
  }
  const PacketEntry entry{.stamp = note.stamp,
                          .number = note.number,
                          .wire_length = note.wire_length,
                          .payload_length = note.payload_length,
                          .ahead = note.ahead,
                          .copied = static_cast<std::uint32_t>(copied),
                          .gaps = {s.gaps_since_packet[0], s.gaps_since_packet[1]},
                          .link = note.link,
                          .sender = note.sender,
                          .marks = marks};
  s.gaps_since_packet[0] = s.gaps_since_packet[1] = 0;
  make_room(key, view, slot, s.packets, sizeof entry + copied);
  ExportBlock* block = fill(s.packets.last, as_bytes(entry));
  block = fill(block, note.frame.first(copied));
  while (block->next != nullptr) block = block->next;
  s.packets.last = block;
  s.packets.bytes += sizeof entry + copied;
  if (s.packets.bytes >= kProgressBytes) post_progress(key, view, slot);
  after_growth(key, view);
}

/// Bytes of a conflict that may be kept now.
std::size_t Exporter::evidence_room(std::uint32_t slot) const {
  if (config_.evidence == KeepEvidence::No) return 0;
  const std::uint32_t used = slot == 0 ? 0 : slots_[slot - 1].evidence_bytes;
  return std::min<std::size_t>(kEvidenceBytesMax - used, memory_.capacity() / kEvidenceShare);
}

void Exporter::on_conflict(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                           const Conflict& conflict, const ConflictCopies& copies) {
  const std::size_t copied = std::min(copies.held.size(), evidence_room(slot) / 2);
  const auto sender = static_cast<std::size_t>(conflict.sender);
  if (copied == 0 && slot != 0 && slots_[slot - 1].listed[sender] >= kListedConflictsMax) return;
  Slot& s = slot_of(view, slot);
  ++s.listed[sender];
  s.evidence_bytes += static_cast<std::uint32_t>(2 * copied);
  const ConflictEntry entry{conflict, static_cast<std::uint32_t>(copied)};
  const std::size_t size = sizeof entry + 2 * copied;
  make_room(key, view, slot, s.conflicts, size);
  ExportBlock* block = fill(s.conflicts.last, as_bytes(entry));
  block = fill(block, copies.held.first(copied));
  block = fill(block, copies.arrived.first(copied));
  while (block->next != nullptr) block = block->next;
  s.conflicts.last = block;
  s.conflicts.bytes += size;
}

void Exporter::append(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                      unsigned i, StreamOffset offset, ByteView bytes) {
  Slot& s = slots_[slot - 1];
  BlockChain& chain = s.data[i];
  while (!bytes.empty()) {
    if (chain.last == nullptr || chain.last->used == chain.last->capacity) {
      // Grow with the stream: the next block as large as what is there already.
      ExportBlock* block =
          wait_for_block(key, view, slot, std::max<std::size_t>(bytes.size(), chain.bytes));
      (chain.last != nullptr ? chain.last->next : chain.first) = block;
      chain.last = block;
      gathered_ += block->capacity;
    }
    begin_at(s, i, offset);
    ExportBlock* block = chain.last;
    const std::size_t size = std::min<std::size_t>(bytes.size(), block->capacity - block->used);
    std::memcpy(block->data() + block->used, bytes.data(), size);
    block->used += static_cast<std::uint32_t>(size);
    chain.bytes += size;
    offset += static_cast<StreamOffset>(size);
    s.next_offset[i] = offset;
    bytes = bytes.subspan(size);
  }
}

// Memory is short because connections gather, not because the writer is behind. Only then posting
// early helps: it makes several messages of a connection that would have been one.
bool Exporter::mostly_gathered() const {
  return gathered_ > 0 && (gathered_ > memory_.capacity() / 2 || gathered_ == memory_.in_use());
}

// Offline nothing may be lost: what is gathered is posted, oldest first, until the writer has
// given memory back. The caller's own connection comes last, since its bytes are still coming; it
// may be posted all the same, so callers look at its chains afterwards, not before.
ExportBlock* Exporter::wait_for_block(const EventKey& key, const ConnectionView& view,
                                      std::uint32_t slot, std::size_t wanted) {
  if (ExportBlock* block = memory_.take(wanted)) return block;
  was_pressed_ = true;
  Backoff backoff;
  for (;;) {
    if (reclaim()) {
      if (ExportBlock* block = memory_.take(wanted)) {
        if (!slots_[slot - 1].gathering) link_newest(slot);
        return block;
      }
    }
    const std::uint32_t next = oldest_ == slot ? slots_[slot - 1].newer : oldest_;
    if (!mostly_gathered()) {
      ++waits_;
      backoff.wait();
    } else {
      post_progress(key, view, next != 0 ? next : slot);
    }
  }
}

// Blocks that hold `wanted` bytes together, and count as gathered. Preconditions: `wanted` is at
// most a small share of the memory, or little more than an entry.
BlockChain Exporter::wait_for_room(const EventKey& key, const ConnectionView& view,
                                   std::uint32_t slot, std::size_t wanted) {
  BlockChain chain;
  for (std::size_t room = 0; room < wanted;) {
    ExportBlock* block = wait_for_block(key, view, slot, wanted - room);
    (chain.last != nullptr ? chain.last->next : chain.first) = block;
    chain.last = block;
    gathered_ += block->capacity;
    room += block->capacity;
  }
  return chain;
}

StreamMessage* Exporter::take_message() {
  Backoff backoff;
  while (free_messages_ == nullptr) {
    if (reclaim() && free_messages_ != nullptr) break;
    ++waits_;
    backoff.wait();
  }
  StreamMessage* message = free_messages_;
  free_messages_ = reinterpret_cast<StreamMessage*>(message->data[0].first);
  message->data[0] = BlockChain{};
  return message;
}

void Exporter::move_to_message(Slot& slot, StreamMessage& message) {
  for (unsigned i = 0; i < 2; ++i) {
    gathered_ -= capacity_of(slot.data[i]) + capacity_of(slot.gaps[i]);
    message.data[i] = slot.data[i];
    message.gaps[i] = slot.gaps[i];
    message.data_offset[i] = slot.data[i].bytes + slot.gaps[i].bytes > 0 ? slot.data_offset[i]
                                                                         : slot.next_offset[i];
    slot.data[i] = BlockChain{};
    slot.gaps[i] = BlockChain{};
  }
  gathered_ -= capacity_of(slot.conflicts) + capacity_of(slot.packets);
  message.conflicts = slot.conflicts;
  message.packets = slot.packets;
  slot.conflicts = slot.packets = BlockChain{};
  message.first = !slot.posted;
  message.worker = config_.worker;
}

void Exporter::post_progress(const EventKey& key, const ConnectionView& view,
                             std::uint32_t slot) {
  StreamMessage* message = take_message();
  Slot& s = slots_[slot - 1];
  message->key = key;
  message->kind = StreamMessage::Kind::Progress;
  view.describe_other(s.handle, message->record);
  move_to_message(s, *message);
  s.posted = true;
  unlink(slot);
  post(message);
}

void Exporter::on_probe(const EventKey& key, const ConnectionView& view, const Probe& probe) {
  StreamMessage* message = take_message();
  message->key = key;
  message->kind = StreamMessage::Kind::Probe;
  message->worker = config_.worker;
  message->first = true;
  message->probe = probe;
  view.describe(message->record);
  leave_empty(*message);
  post(message);
}

void Exporter::on_close(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot) {
  StreamMessage* message = take_message();
  message->key = key;
  message->kind = StreamMessage::Kind::Close;
  message->worker = config_.worker;
  message->first = true;
  view.describe(message->record);
  if (slot != 0) {
    move_to_message(slots_[slot - 1], *message);
    unlink(slot);
    slots_.give_back(slot - 1);
    slot = 0;
  } else {
    leave_empty(*message);
  }
  post(message);
}

void Exporter::post(StreamMessage* message) {
  void* item = message;
  // As many messages as ring entries: there is always room.
  FLOWLOOM_CHECK(to_writer_.push(&item, 1) == 1);
}

bool Exporter::reclaim() {
  void* items[64];
  bool any = false;
  for (std::uint32_t n = 0; (n = from_writer_.pop(items, 64)) > 0;) {
    any = true;
    for (std::uint32_t i = 0; i < n; ++i) {
      auto* message = static_cast<StreamMessage*>(items[i]);
      for (unsigned d = 0; d < 2; ++d) {
        memory_.give_back(message->data[d]);
        memory_.give_back(message->gaps[d]);
      }
      memory_.give_back(message->conflicts);
      memory_.give_back(message->packets);
      message->data[0].first = reinterpret_cast<ExportBlock*>(free_messages_);
      free_messages_ = message;
    }
  }
  return any;
}

void Exporter::on_watermark(const EventKey& watermark) {
  reclaim();
  watermark_.publish(watermark.clock, watermark.number);
}

void Exporter::finish() { finished_.store(true, std::memory_order_release); }

std::uint32_t Exporter::receive(StreamMessage** messages, std::uint32_t count) {
  return to_writer_.pop(reinterpret_cast<void**>(messages), count);
}

void Exporter::return_message(StreamMessage* message) {
  void* item = message;
  FLOWLOOM_CHECK(from_writer_.push(&item, 1) == 1);
}

}  // namespace flowloom
