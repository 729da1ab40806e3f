// The exporter's messages: how they are taken, filled and posted, and what comes home.
#include "export/exporter.hpp"

#include <new>
#include <utility>

#include "base/backoff.hpp"
#include "base/check.hpp"
#include "base/copy.hpp"

namespace flowloom {

namespace {

void leave_empty(StreamMessage& message) {
  for (unsigned i = 0; i < 2; ++i) {
    message.data[i] = message.gaps[i] = BlockChain{};
    message.data_offset[i] = 0;
  }
  message.conflicts = message.packets = BlockChain{};
}

}  // namespace

// Where nobody waits, bytes are shed before records, and no promise is broken.
std::uint32_t Exporter::messages_for(Purpose purpose) const {
  if (when_full_ == WhenFull::Wait) return config_.messages;
  switch (purpose) {
    case Purpose::Progress: return config_.messages / 2;
    case Purpose::Whole: return config_.messages;
    case Purpose::Promised: return messages_max_;
  }
  return 0;
}

// Waits in one go until half of it is done, so that threads seldom change.
void Exporter::let_writer_catch_up() {
  if (when_full_ == WhenFull::Shed || !more_on_the_way_than(kOnTheWayMax)) return;
  reclaim();
  if (!more_on_the_way_than(kOnTheWayMax)) return;
  ++waits_;
  Backoff backoff(Backoff::For::Batches);
  while (more_on_the_way_than(kOnTheWayMax / 2)) {
    if (!reclaim()) backoff.wait();
  }
}

// Its first lines are filled in; the rest may be that of an earlier one. Live, nobody waits:
// nullptr.
StreamMessage* Exporter::take_message(Purpose purpose, StreamMessage::Kind kind,
                                      const EventKey& key) {
  let_writer_catch_up();
  Backoff backoff(Backoff::For::Batches);
  while (messages_out_ >= messages_for(purpose)) {
    if (reclaim()) continue;
    if (when_full_ == WhenFull::Shed) return nullptr;
    ++waits_;
    backoff.wait();
  }
  ++messages_out_;
  StreamMessage* message = free_messages_;
  if (message == nullptr) {
    FLOWLOOM_CHECK(fresh_messages_ < messages_max_);
    message =
        new (message_memory_.data() + fresh_messages_++ * sizeof(StreamMessage)) StreamMessage;
  } else {
    free_messages_ = reinterpret_cast<StreamMessage*>(message->data[0].first);
    message->data[0] = BlockChain{};
    message->ticket = 0;
  }
  message->key = key;
  message->kind = kind;
  message->worker = config_.worker;
  message->first = true;
  return message;
}

void Exporter::move_to_message(Slot& slot, StreamMessage& message) {
  leave_empty(message);
  const auto move = [this](BlockChain& from, BlockChain& to) {
    gathered_ -= from.room;
    to = from;
    from = BlockChain{};
  };
  for (unsigned i = 0; i < 2; ++i) {
    BlockChain& data = slot.data[i];
    const std::uint32_t bytes = data.bytes;
    if (data.last != nullptr) data.last->used = data.last->capacity - (data.room - bytes);
    const bool only_cut = bytes == 0 && !slot.has_gaps(i) && slot.is_cutting(i);
    message.data_offset[i] = only_cut ? slot.odd.cut_begin[i] : slot.data_offset[i];
    slot.data_offset[i] += bytes;
    move(data, message.data[i]);
    if (!slot.is_odd) continue;
    slot.data_offset[i] += std::exchange(slot.odd.gap_lengths[i], 0);
    move(slot.odd.gaps[i], message.gaps[i]);
  }
  if (slot.is_odd) {
    move(slot.odd.conflicts, message.conflicts);
    move(slot.odd.packets, message.packets);
  }
  message.first = !slot.posted;
}

void Exporter::post_progress(const EventKey& key, const ConnectionView& view,
                             std::uint32_t slot) {
  StreamMessage* message = take_message(Purpose::Progress, StreamMessage::Kind::Progress, key);
  if (message == nullptr) return;
  Slot& s = slots_[slot - 1];
  view.describe_other(s.handle, message->record);
  describe_cuts(s, message->record);
  move_to_message(s, *message);
  s.posted = true;
  unlink(slot);
  post(message);
}

void Exporter::on_end(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot,
                      Direction d) {
  constexpr unsigned kBoth = 3;
  Slot* const s = config_.early_bytes == EarlyBytes::No ? nullptr : find_slot(slot);
  if (s == nullptr) return;
  s->ended = (s->ended | 1U << index_of(d)) & kBoth;
  if (s->ended == kBoth && may_go_early(*s)) post_bytes(key, view, slot);
}

// What has a story to tell beside its bytes waits for the end.
bool Exporter::may_go_early(const Slot& slot) {
  return !slot.posted && !slot.is_odd && slot.ticket == 0 && !slot.is_empty();
}

void Exporter::post_bytes(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot) {
  StreamMessage* message = take_message(Purpose::Progress, StreamMessage::Kind::Bytes, key);
  if (message == nullptr) return;
  const std::uint32_t ticket = tickets_.take() + 1;
  FLOWLOOM_CHECK(ticket != 0); // one per connection at most
  message->ticket = ticket;
  if (config_.early_bytes == EarlyBytes::Named) view.describe(message->record);
  move_to_message(slots_[slot - 1], *message);
  unlink(slot);
  slots_.give_back(slot - 1);
  slot = kTicketBit | ticket;
  post(message);
}

void Exporter::on_probe(const EventKey& key, const ConnectionView& view, const Probe& probe) {
  StreamMessage* message = take_message(Purpose::Whole, StreamMessage::Kind::Probe, key);
  if (message == nullptr) {
    ++shed_.probes;
    return;
  }
  message->probe = probe;
  view.describe(message->record);
  leave_empty(*message);
  post(message);
}

void Exporter::on_close(const EventKey& key, const ConnectionView& view, ConsumerSlot& slot) {
  const std::uint32_t ticket = ticket_of(slot);
  Slot* const gathered = find_slot(slot);
  const bool promised = ticket != 0 || (gathered != nullptr && gathered->posted);
  StreamMessage* message = take_message(promised ? Purpose::Promised : Purpose::Whole,
                                        StreamMessage::Kind::Close, key);
  if (message == nullptr) {
    shed_connection(slot);
    return;
  }
  message->ticket = ticket;
  if (ticket != 0) tickets_.give_back(ticket - 1);
  view.describe(message->record);
  if (gathered != nullptr) {
    Slot& s = *gathered;
    for (unsigned i = 0; i < 2; ++i) settle_cut_for_good(s, i);
    describe_cuts(s, message->record);
    move_to_message(s, *message);
    unlink(slot);
    slots_.give_back(slot - 1);
  } else {
    leave_empty(*message);
  }
  slot = 0;
  post(message);
}

// Live it may have to wait: the next one has it with its own.
void Exporter::on_summary(const EventKey& key, const EvictionSummary& summary) {
  unsent_ += summary;
  if (unsent_.count() == 0) return;
  StreamMessage* message = take_message(Purpose::Whole, StreamMessage::Kind::Summary, key);
  if (message == nullptr) return;
  message->summary = unsent_;
  message->record = ConnectionRecord{};
  leave_empty(*message);
  post(message);
  unsent_ = EvictionSummary{};
}

void Exporter::post(StreamMessage* message) {
  publish_copies();
  void* item = message;
  // As many messages as ring entries: there is always room.
  FLOWLOOM_CHECK(to_writer_.push(&item, 1) == 1);
}

bool Exporter::reclaim() {
  void* items[64];
  bool any = false;
  for (std::uint32_t n = 0; (n = from_writer_.pop(items, 64)) > 0;) {
    any = true;
    messages_out_ -= n;
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

std::uint32_t Exporter::receive(StreamMessage** messages, std::uint32_t count) {
  return to_writer_.pop(reinterpret_cast<void**>(messages), count);
}

void Exporter::return_message(StreamMessage* message) {
  void* item = message;
  FLOWLOOM_CHECK(from_writer_.push(&item, 1) == 1);
}

}  // namespace flowloom
