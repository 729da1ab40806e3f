#include "export/exporter.hpp"

#include <algorithm>
#include <cstring>

#include "base/backoff.hpp"
#include "base/check.hpp"
#include "base/copy.hpp"
#include "base/prefetch.hpp"

namespace flowloom {

namespace {

/// A direction that has gathered this much is posted: longer streams flow, shorter ones wait for
/// their connection's end.
constexpr std::uint64_t kProgressBytes = 64 * 1024;
/// So many gaps are posted as well: a connection may have gaps and hardly any bytes.
constexpr std::uint64_t kProgressGaps = 512;
/// Gaps of a block that is taken for them.
constexpr std::size_t kGapsPerBlock = 4;

/// The share of export memory that the copies of one conflict may take.
constexpr std::uint64_t kEvidenceShare = 8;

template <class Plain>
ByteView as_bytes(const Plain& value) {
  return {reinterpret_cast<const std::uint8_t*>(&value), sizeof value};
}

std::uint64_t room_of(const BlockChain& chain) {
  return chain.last == nullptr ? 0 : chain.last->capacity - chain.last->used;
}

/// A gap never straddles two blocks, so that readers can take whole ones.
bool has_room_for_gap(const BlockChain& chain) { return room_of(chain) >= sizeof(Gap); }

void add_block(BlockChain& chain, ExportBlock* block) {
  (chain.last != nullptr ? chain.last->next : chain.first) = block;
  chain.last = block;
  chain.room += block->capacity;
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

}  // namespace

// Where nobody waits, a connection that was posted is promised its last message: what a writer has
// begun with must be brought to its end. And a cut that nothing follows needs a small block.
Exporter::Exporter(const ExporterConfig& config)
    : config_(config),
      when_full_(config.when_full),
      messages_max_(config.messages +
                    (config.when_full == WhenFull::Shed ? config.max_flows : 0)),
      memory_(config.memory,
              config.when_full == WhenFull::Shed ? std::uint64_t{2} * messages_max_ : 0),
      slots_(config.max_flows),
      tickets_(config.early_bytes == EarlyBytes::No ? 0 : config.max_flows),
      message_memory_(messages_max_ * sizeof(StreamMessage)),
      to_writer_(messages_max_),
      from_writer_(messages_max_) {}

Exporter::~Exporter() = default;

Interest Exporter::on_open(const EventKey&, const ConnectionView&, ConsumerSlot&) {
  return config_.bytes_wanted ? Interest::Bytes : Interest::Events;
}

// ConsumerSlot holds the index of the connection's Slot plus one; 0 = nothing gathered. After a
// Bytes message it holds the ticket, and what a conflict needs is in a new Slot.
Exporter::Slot& Exporter::slot_of(const ConnectionView& view, ConsumerSlot& slot) {
  if (find_slot(slot) == nullptr) {
    const std::uint32_t ticket = ticket_of(slot);
    slot = slots_.take() + 1;
    FLOWLOOM_CHECK(slot != 0); // one per connection at most
    slots_[slot - 1].handle = view.handle();
    slots_[slot - 1].ticket = ticket;
  }
  if (!slots_[slot - 1].gathering) link_newest(slot);
  return slots_[slot - 1];
}

Exporter::Slot* Exporter::find_slot(ConsumerSlot slot) {
  return slot == 0 || (slot & kTicketBit) != 0 ? nullptr : &slots_[slot - 1];
}

std::uint32_t Exporter::ticket_of(ConsumerSlot slot) const {
  if ((slot & kTicketBit) != 0) return slot & ~kTicketBit;
  return slot == 0 ? 0 : slots_[slot - 1].ticket;
}

// Zeroed on first use.
Exporter::OddPart& Exporter::odd_of(Slot& slot) {
  if (!slot.is_odd) slot.odd = OddPart{};
  slot.is_odd = true;
  return slot.odd;
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
  if (slot.data[i].bytes == 0 && !slot.has_gaps(i)) slot.data_offset[i] = offset;
}

// What copy_past_caches() does not write whole, a line at either end, must come from memory.
void Exporter::on_expected_bytes(std::span<const ExpectedBytes> expected) {
  for (const ExpectedBytes& e : expected) {
    if (const Slot* s = find_slot(e.slot)) prefetch_line<PrefetchFor::Write>(s);
  }
  for (const ExpectedBytes& e : expected) {
    const Slot* const s = find_slot(e.slot);
    if (s == nullptr) continue;
    const BlockChain& chain = s->data[index_of(e.direction)];
    const std::uint32_t left = chain.room - chain.bytes;
    if (left == 0) continue;
    const std::uint32_t room = ExportMemory::block_bytes(s->last_class[index_of(e.direction)]);
    const std::uint8_t* const end = chain.last->data() + room;
    prefetch_line<PrefetchFor::Write>(end - left);
    if (e.count < left) prefetch_line<PrefetchFor::Write>(end - left + e.count);
  }
}

void Exporter::on_data(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                       Direction d, StreamOffset offset, ByteView bytes) {
  Slot& s = slot_of(view, slot);
  FLOWLOOM_CHECK(s.ticket == 0); // nothing follows on_end
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
  const unsigned i = index_of(d);
  if (!settle_cut(key, view, slot, i) || !put_gap(key, view, slot, i, gap)) {
    // What is missing anyhow becomes part of the cut.
    extend_cut(s, i, gap.offset, gap.length);
    --s.odd.more_gaps[i];
    unlink_if_empty(slot);
    return;
  }
  if (s.odd.gaps[i].bytes >= kProgressGaps * sizeof gap) post_progress(key, view, slot);
}

bool Exporter::put_gap(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                       unsigned i, const Gap& gap) {
  Slot& s = slots_[slot - 1];
  if (!has_room_for_gap(odd_of(s).gaps[i])) {
    ExportBlock* block = wait_for_block(key, view, slot, sizeof gap * kGapsPerBlock);
    if (block == nullptr) return false;
    add_block(s.odd.gaps[i], block);
    gathered_ += block->capacity;
  }
  append_gap(s, i, gap);
  return true;
}

// Preconditions: there is room.
void Exporter::append_gap(Slot& slot, unsigned i, const Gap& gap) {
  begin_at(slot, i, gap.offset);
  slot.odd.gap_lengths[i] += gap.length;
  ExportBlock* block = slot.odd.gaps[i].last;
  std::memcpy(block->data() + block->used, as_bytes(gap).data(), sizeof gap);
  block->used += sizeof gap;
  slot.odd.gaps[i].bytes += sizeof gap;
  ++slot.odd.gaps_since_packet[i];
}

// Bytes or a gap of the stream that are not passed on.
void Exporter::extend_cut(Slot& slot, unsigned i, StreamOffset offset, std::int64_t length) {
  OddPart& odd = odd_of(slot);
  if (!odd.is_cutting(i)) odd.cut_begin[i] = offset;
  odd.cut_end[i] = offset + length;
}

// Before anything may follow a cut in its direction; false where there is no memory to say so.
bool Exporter::settle_cut(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                          unsigned i) {
  Slot& s = slots_[slot - 1];
  if (!s.is_cutting(i)) return true;
  OddPart& odd = s.odd;
  const StreamOffset begin = odd.cut_begin[i];
  const Gap cut{begin, odd.cut_end[i] - begin, GapCause::Cut};
  if (!put_gap(key, view, slot, i, cut)) return false;
  odd.cut_begin[i] = odd.cut_end[i];
  ++odd.more_gaps[i];
  return true;
}

// The same at the connection's end, for which memory is kept.
void Exporter::settle_cut_for_good(Slot& slot, unsigned i) {
  if (!slot.is_cutting(i)) return;
  OddPart& odd = slot.odd;
  if (!has_room_for_gap(odd.gaps[i])) {
    ExportBlock* block = memory_.take_reserved();
    FLOWLOOM_CHECK(block != nullptr); // two for each message there is
    add_block(odd.gaps[i], block);
    gathered_ += block->capacity;
  }
  append_gap(slot, i, Gap{odd.cut_begin[i], odd.cut_end[i] - odd.cut_begin[i], GapCause::Cut});
  odd.cut_begin[i] = odd.cut_end[i];
  ++odd.more_gaps[i];
}

// The tracker has delivered what was shed.
void Exporter::describe_cuts(const Slot& slot, ConnectionRecord& record) {
  if (!slot.is_odd) return;
  for (unsigned i = 0; i < 2; ++i) {
    SideRecord& side = record.sides[i];
    side.stream_bytes -= slot.odd.shed_bytes[i];
    side.gap_bytes += slot.odd.shed_bytes[i];
    const std::int64_t open_cut = slot.is_cutting(i) ? 1 : 0;
    side.gap_count += static_cast<std::uint64_t>(slot.odd.more_gaps[i] + open_cut);
  }
}

// An entry is whole in one message: its room is there before a byte of it is written.
bool Exporter::make_room(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                         BlockChain& chain, std::size_t size) {
  if (room_of(chain) >= size) return true;
  const BlockChain room = wait_for_room(key, view, slot, size);
  if (room.first == nullptr) return false;
  add_block(chain, room.first);
  chain.room += room.room - room.first->capacity;
  return true;
}

void Exporter::on_packet(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                         const PacketNote& note) {
  OddPart& s = odd_of(slot_of(view, slot));
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
  if (!make_room(key, view, slot, s.packets, sizeof entry + copied)) {
    ++shed_.packets;
    unlink_if_empty(slot);
    return;
  }
  s.gaps_since_packet[0] = s.gaps_since_packet[1] = 0;
  ExportBlock* block = fill(s.packets.last, as_bytes(entry));
  block = fill(block, note.frame.first(copied));
  while (block->next != nullptr) block = block->next;
  s.packets.last = block;
  s.packets.bytes += static_cast<std::uint32_t>(sizeof entry + copied);
  if (s.packets.bytes >= kProgressBytes) post_progress(key, view, slot);
  after_growth(key, view);
}

/// Bytes of a conflict that may be kept now.
std::size_t Exporter::evidence_room(std::uint32_t slot) const {
  if (config_.evidence == KeepEvidence::No) return 0;
  const bool none = slot == 0 || (slot & kTicketBit) != 0 || !slots_[slot - 1].is_odd;
  const std::uint32_t used = none ? 0 : slots_[slot - 1].odd.evidence_bytes;
  return std::min<std::size_t>(kEvidenceBytesMax - used, memory_.capacity() / kEvidenceShare);
}

void Exporter::on_conflict(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                           const Conflict& conflict, const ConflictCopies& copies) {
  const std::size_t copied = std::min(copies.held.size(), evidence_room(slot) / 2);
  const auto sender = static_cast<std::size_t>(conflict.sender);
  const Slot* known = find_slot(slot);
  if (copied == 0 && known != nullptr && known->is_odd &&
      known->odd.listed[sender] >= kListedConflictsMax) {
    return;
  }
  OddPart& s = odd_of(slot_of(view, slot));
  const ConflictEntry entry{conflict, static_cast<std::uint32_t>(copied)};
  const std::size_t size = sizeof entry + 2 * copied;
  if (!make_room(key, view, slot, s.conflicts, size)) {
    unlink_if_empty(slot); // the record counts it all the same
    return;
  }
  ++s.listed[sender];
  s.evidence_bytes += static_cast<std::uint32_t>(2 * copied);
  ExportBlock* block = fill(s.conflicts.last, as_bytes(entry));
  block = fill(block, copies.held.first(copied));
  block = fill(block, copies.arrived.first(copied));
  while (block->next != nullptr) block = block->next;
  s.conflicts.last = block;
  s.conflicts.bytes += static_cast<std::uint32_t>(size);
}

inline void Exporter::copy(std::uint8_t* to, const std::uint8_t* from, std::size_t bytes) const {
  if (gathers_much()) [[unlikely]] return copy_past_caches(to, from, bytes);
  std::memcpy(to, from, bytes);
}

// All blocks of a chain of bytes are full but the last one, so what is free follows from the sums:
// the block's header, a line of its own, is written when it is done with.
void Exporter::append(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                      unsigned i, StreamOffset offset, ByteView bytes) {
  Slot& s = slots_[slot - 1];
  BlockChain& chain = s.data[i];
  while (!bytes.empty()) {
    if (!make_data_room(key, view, slot, i, bytes.size()) || !settle_cut(key, view, slot, i)) {
      extend_cut(s, i, offset, static_cast<std::int64_t>(bytes.size()));
      s.odd.shed_bytes[i] += bytes.size();
      shed_.bytes += bytes.size();
      unlink_if_empty(slot);
      return;
    }
    const std::uint32_t left = chain.room - chain.bytes;
    if (left == 0) continue; // it was posted meanwhile
    begin_at(s, i, offset);
    const auto size = static_cast<std::uint32_t>(std::min<std::size_t>(bytes.size(), left));
    const std::uint32_t used = ExportMemory::block_bytes(s.last_class[i]) - left;
    copy(chain.last->data() + used, bytes.data(), size);
    chain.bytes += size;
    offset += static_cast<StreamOffset>(size);
    bytes = bytes.subspan(size);
  }
}

// Memory is short because connections gather, not because the writer is behind. Only then posting
// early helps: it makes several messages of a connection that would have been one.
bool Exporter::mostly_gathered() const {
  return gathered_ > 0 && (gathered_ > memory_.capacity() / 2 || gathered_ == memory_.in_use());
}

// Grows with the stream: the next block as large as what is there already.
bool Exporter::make_data_room(const EventKey& key, const ConnectionView& view, std::uint32_t slot,
                              unsigned i, std::size_t wanted) {
  BlockChain& chain = slots_[slot - 1].data[i];
  if (chain.room > chain.bytes) return true;
  ExportBlock* block =
      wait_for_block(key, view, slot, std::max<std::size_t>(wanted, chain.bytes));
  if (block == nullptr) return false;
  if (chain.last != nullptr) chain.last->used = chain.last->capacity;
  add_block(chain, block);
  slots_[slot - 1].last_class[i] = static_cast<std::uint8_t>(block->size_class);
  gathered_ += block->capacity;
  return true;
}

// Offline nothing may be lost: what is gathered is posted, oldest first, until the writer has
// given memory back. The caller's own connection comes last, since its bytes are still coming; it
// may be posted all the same, so callers look at its chains afterwards, not before. Live, nobody
// waits: nullptr.
ExportBlock* Exporter::wait_for_block(const EventKey& key, const ConnectionView& view,
                                      std::uint32_t slot, std::size_t wanted) {
  if (ExportBlock* block = memory_.take(wanted)) return block;
  was_pressed_ = true;
  Backoff backoff(Backoff::For::Batches);
  for (;;) {
    if (reclaim()) {
      if (ExportBlock* block = memory_.take(wanted)) {
        if (!slots_[slot - 1].gathering) link_newest(slot);
        return block;
      }
    }
    const std::uint32_t next = oldest_ == slot ? slots_[slot - 1].newer : oldest_;
    if (mostly_gathered()) {
      post_progress(key, view, next != 0 ? next : slot);
    } else if (when_full_ == WhenFull::Wait) {
      ++waits_;
      backoff.wait();
    }
    if (when_full_ == WhenFull::Shed) return nullptr;
  }
}

// Blocks that hold `wanted` bytes together, and count as gathered. Preconditions: `wanted` is at
// most a small share of the memory, or little more than an entry.
BlockChain Exporter::wait_for_room(const EventKey& key, const ConnectionView& view,
                                   std::uint32_t slot, std::size_t wanted) {
  BlockChain chain;
  for (std::size_t room = 0; room < wanted;) {
    ExportBlock* block = wait_for_block(key, view, slot, wanted - room);
    if (block == nullptr) {
      gathered_ -= chain.room;
      memory_.give_back(chain);
      return chain;
    }
    add_block(chain, block);
    gathered_ += block->capacity;
    room += block->capacity;
  }
  return chain;
}

// The writer has never heard of it, and will not.
void Exporter::shed_connection(ConsumerSlot& slot) {
  was_pressed_ = true;
  ++shed_.records;
  if (find_slot(slot) == nullptr) return;
  shed_.bytes += slots_[slot - 1].data[0].bytes + slots_[slot - 1].data[1].bytes;
  forget(slot);
}

// What the writer has heard of, and bytes that were counted as shed, need a record.
Farewell Exporter::on_eviction(const ConnectionView&, ConsumerSlot& slot) {
  if (config_.farewell == Farewell::Record) return Farewell::Record;
  if (slot == 0) return Farewell::Summary;
  if (ticket_of(slot) != 0) return Farewell::Record;
  const Slot& s = slots_[slot - 1];
  if (s.posted || (s.is_odd && s.odd.shed_bytes[0] + s.odd.shed_bytes[1] > 0)) {
    return Farewell::Record;
  }
  forget(slot);
  return Farewell::Summary;
}

void Exporter::forget(ConsumerSlot& slot) {
  Slot& s = slots_[slot - 1];
  const auto give_back = [this](BlockChain& chain) {
    gathered_ -= chain.room;
    memory_.give_back(chain);
  };
  for (BlockChain& chain : s.data) give_back(chain);
  if (s.is_odd) {
    for (BlockChain& chain : s.odd.gaps) give_back(chain);
    give_back(s.odd.conflicts);
    give_back(s.odd.packets);
  }
  unlink(slot);
  slots_.give_back(slot - 1);
  slot = 0;
}

void Exporter::unlink_if_empty(std::uint32_t slot) {
  if (slots_[slot - 1].is_empty()) unlink(slot);
}

void Exporter::on_watermark(const EventKey& watermark) {
  reclaim();
  watermark_.publish(watermark.clock, watermark.number);
}

std::size_t Exporter::reserved_bytes() const {
  return memory_.reserved_bytes() + slots_.bytes() + message_memory_.bytes() +
         2 * std::size_t{messages_max_} * sizeof(void*);
}

void Exporter::finish() { finished_.store(true, std::memory_order_release); }

}  // namespace flowloom
