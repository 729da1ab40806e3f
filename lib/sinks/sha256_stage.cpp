// See sha256_stage.hpp.
#include "sinks/sha256_stage.hpp"

#include "sinks/chain_reader.hpp"

#include <oneapi/tbb/enumerable_thread_specific.h>
#include <oneapi/tbb/global_control.h>
#include <oneapi/tbb/parallel_pipeline.h>
#include <oneapi/tbb/task_arena.h>

#include <algorithm>
#include <atomic>
#include <numeric>

namespace flowloom {

namespace {

/// What TBB's filters do in order is ordered by TBB, out of the thread sanitizer's sight: libtbb is
/// not built with it. So the order is said once more, at the price of six atomic operations for
/// each item of 64 KiB. Items that are in work at the same time stay unordered, as they are.
class Order {
 public:
  void take() const { (void)turn_.load(std::memory_order_acquire); }
  void pass_on() { turn_.fetch_add(1, std::memory_order_release); }

 private:
  std::atomic<std::uint64_t> turn_ = 0;
};

}  // namespace

/// Bounded: TBB would otherwise take every core, the workers' included. Its threads sleep
/// between batches.
struct Sha256Stage::Arena {
  explicit Arena(unsigned threads)
      : tokens(2 * std::size_t{threads}),
        limit(oneapi::tbb::global_control::max_allowed_parallelism, threads),
        arena(static_cast<int>(threads)),
        scratch([] { return make_hashers(); }) {}
  std::size_t tokens;  ///< items in flight: one in work and one waiting for each thread
  oneapi::tbb::global_control limit;
  oneapi::tbb::task_arena arena;
  /// Not thread_local: TBB's threads may outlive OpenSSL at exit.
  oneapi::tbb::enumerable_thread_specific<Hashers> scratch;
};

Sha256Stage::Sha256Stage(const HeavySettings& settings) : settings_(settings) {}
Sha256Stage::~Sha256Stage() = default;

void Sha256Stage::run(std::span<StreamMessage* const> batch, const Deliver& deliver) {
  if (batch.empty()) return;
  plan(batch);
  const std::uint64_t bytes =
      std::accumulate(items_.begin(), items_.end(), std::uint64_t{0},
                      [](std::uint64_t sum, const Item& item) { return sum + item.bytes; });
  if (settings_.threads > 1 && items_.size() > 1 && bytes > settings_.item_bytes) {
    run_parallel(batch, deliver);
  } else {
    run_straight(batch, deliver);
  }
  for (const std::uint64_t first_packet : closed_) long_.erase(first_packet);
}

/// Cuts the batch into items. Items stand in the order of their first messages, and a message
/// belongs to the item of its connection: so when items 0..i are done, every message before the
/// first one of item i + 1 is.
void Sha256Stage::plan(std::span<StreamMessage* const> batch) {
  ++batch_number_;
  items_.clear();
  closed_.clear();
  next_.assign(batch.size(), kNone);
  digests_.resize(batch.size());
  std::size_t open_item = kNone;
  for (std::size_t position = 0; position < batch.size(); ++position) {
    const StreamMessage& message = *batch[position];
    Item& item = items_[item_of(message, open_item)];
    if (item.first == kNone) {
      item.first = position;
    } else {
      next_[item.last] = position;
    }
    item.last = position;
    item.bytes += message.data[0].bytes + message.data[1].bytes;
  }
}

/// The item that `message` goes to, made if need be. `open_item` collects whole connections.
std::size_t Sha256Stage::item_of(const StreamMessage& message, std::size_t& open_item) {
  if (message.first && message.kind != StreamMessage::Kind::Progress) {
    if (open_item == kNone || items_[open_item].bytes >= settings_.item_bytes) {
      open_item = items_.size();
      items_.emplace_back();
    }
    return open_item;
  }
  if (message.kind == StreamMessage::Kind::Close) closed_.push_back(message.record.first_packet);
  LongHash& hash = long_.at(message.record.first_packet);
  if (hash.batch != batch_number_) {
    hash.batch = batch_number_;
    hash.item = items_.size();
    items_.emplace_back().hashers = &hash.hashers;
  }
  return hash.item;
}

void Sha256Stage::prepare(const Item& item, std::span<StreamMessage* const> batch,
                          Hashers& scratch) {
  for (std::size_t at = item.first; at != kNone; at = next_[at]) {
    hash_message(*batch[at], item.hashers != nullptr ? *item.hashers : scratch, at);
  }
}

void Sha256Stage::hash_message(const StreamMessage& message, Hashers& hashers,
                               std::size_t position) {
  for (unsigned d = 0; d < 2; ++d) {
    if (message.first) hashers[d].start();
    for_each_piece(message.data[d], [&](ByteView piece) { hashers[d].update(piece); });
    if (message.kind == StreamMessage::Kind::Close) {
      digests_[position][d] = format_hex(hashers[d].finish());
    }
  }
}

void Sha256Stage::run_straight(std::span<StreamMessage* const> batch, const Deliver& deliver) {
  for (const Item& item : items_) prepare(item, batch, scratch_);
  deliver({batch, digests_});
}

void Sha256Stage::run_parallel(std::span<StreamMessage* const> batch, const Deliver& deliver) {
  using oneapi::tbb::filter_mode;
  if (arena_ == nullptr) arena_ = std::make_unique<Arena>(settings_.threads);
  std::size_t handed_out = 0;
  std::size_t delivered = 0;
  Order order;
  order.pass_on();
  const auto hand_out = [&](oneapi::tbb::flow_control& control) -> std::size_t {
    order.take();
    const bool over = handed_out == items_.size();
    const std::size_t item = over ? kNone : handed_out++;
    order.pass_on();
    if (over) control.stop();
    return item;
  };
  const auto prepare_item = [&](std::size_t item) {
    order.take();
    prepare(items_[item], batch, arena_->scratch.local());
    order.pass_on();
    return item;
  };
  const auto take_back = [&](std::size_t item) {
    order.take();
    deliver_up_to(item, batch, deliver, delivered);
    order.pass_on();
  };
  arena_->arena.execute([&] {
    oneapi::tbb::parallel_pipeline(
        arena_->tokens,
        oneapi::tbb::make_filter<void, std::size_t>(filter_mode::serial_in_order, hand_out) &
            oneapi::tbb::make_filter<std::size_t, std::size_t>(filter_mode::parallel,
                                                               prepare_item) &
            oneapi::tbb::make_filter<std::size_t, void>(filter_mode::serial_in_order, take_back));
  });
  order.take();
}

/// Delivers every message that nothing waits for now that items 0..item are done.
void Sha256Stage::deliver_up_to(std::size_t item, std::span<StreamMessage* const> batch,
                                const Deliver& deliver, std::size_t& delivered) {
  const std::size_t end = item + 1 < items_.size() ? items_[item + 1].first : batch.size();
  if (end == delivered) return;
  deliver({batch.subspan(delivered, end - delivered),
           std::span(digests_).subspan(delivered, end - delivered)});
  delivered = end;
}

}  // namespace flowloom
