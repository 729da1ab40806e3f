// A hashed timer wheel of object indices with lazy re-arming and exact firing order.
//
// Per packet nothing touches the wheel: an object's true deadline is asked for when its slot comes
// round, and an object that lives on is filed again. Objects whose deadline lies in the tick that
// is entered are sorted there, and what joins them later out of order waits in a small heap: so
// they fire in the exact order of (deadline, rank), and never later than the packet that passes
// the deadline: a run decides the same for any burst size.
//
// Beside the slots there are a few queues, each for one constant time-out: what goes in last comes
// out last, so nothing has to be sorted into place, and who comes next is known early enough to be
// fetched from memory.
#pragma once

#include <algorithm>
#include <bit>
#include <cstdint>
#include <limits>
#include <utility>

#include "base/check.hpp"
#include "base/memory.hpp"
#include "base/prefetch.hpp"
#include "base/slab_pool.hpp"
#include "base/time.hpp"

namespace flowloom {

class TimerWheel {
 public:
  /// 2^23 ns, 8.4 ms: fine enough that a tick holds few objects, coarse enough to skip through.
  static constexpr unsigned kTickShift = 23;
  static constexpr Duration kTick{std::int64_t{1} << kTickShift};
  /// Span of the wheel: 8192 ticks, 68.7 s. Longer deadlines are filed again on the way.
  static constexpr std::uint32_t kSlots = 8192;
  /// Constant time-outs with a queue of their own; see enqueue().
  static constexpr unsigned kQueues = 2;
  /// No deadline may be armed closer than this to the current time.
  static constexpr Duration kShortestTimeout{std::int64_t{2} << kTickShift};

  TimerWheel() = default;
  explicit TimerWheel(std::uint32_t capacity) : TimerWheel(capacity, capacity) {}
  /// Each queue has room for `queued`, among them objects that were filed elsewhere since.
  TimerWheel(std::uint32_t capacity, std::uint32_t queued)
      : capacity_(capacity),
        nodes_(std::size_t{capacity} + kSlots),
        sorted_(std::size_t{2} * capacity),
        heap_(std::size_t{2} * capacity) {
    for (Queue& queue : queues_) queue.ring = ReservedArray<std::uint32_t>(std::bit_ceil(queued));
    for (std::uint32_t i = 0; i < kSlots; ++i) {
      const std::uint32_t head = capacity_ + i;
      nodes_[head] = Node{head, head, 0};
    }
  }

  /// Files object `index` to be looked at by `deadline`. An object already filed earlier stays
  /// where it is: it will be asked for its deadline there.
  void arm(std::uint32_t index, Timestamp deadline) {
    Node& node = nodes_[index];
    if (node.place == kDue) return;
    const std::uint32_t slot = slot_for(deadline);
    if (is_queued(node)) {
      if (queued_tick(node) <= current_ + ticks_ahead(slot)) return;
    } else if (node.place != kUnarmed) {
      if (ticks_ahead(node.place - 1) <= ticks_ahead(slot)) return;
      unlink(index);
    }
    link(index, slot);
  }

  /// Files object `index`, wherever it was filed before, behind those that wait in a queue for the
  /// same time-out. Its deadline as of now is `deadline`; where that is before the last one's of
  /// the queue, a slot takes it. Preconditions: drain() is not under way.
  void enqueue(unsigned queue_number, std::uint32_t index, Timestamp deadline) {
    Node& node = nodes_[index];
    if (node.place == kDue) return;
    FLOWLOOM_DCHECK(tick_shift_ == kTickShift);
    Queue& queue = queues_[queue_number];
    const std::int64_t tick = std::max(tick_of(deadline), current_ + 1);
    if (queue.full()) drop_stale(queue);
    if (queue.full() || tick < queue.last_tick || tick > current_ + kTicksMax) {
      arm(index, deadline);
      return;
    }
    if (is_in_slot(node)) unlink(index);
    if (queue.empty()) queue.head_tick = tick;
    queue.last_tick = tick;
    node = Node{queue.tail, static_cast<std::uint32_t>(tick),
                static_cast<std::uint16_t>(kFirstQueue + queue_number)};
    queue.ring[queue.place_of(queue.tail++)] = index;
  }

  /// arm() for Policy::expire(), and for what was put off: exact also where the next deadline of
  /// the object lies in the tick that is being fired. Preconditions: `deadline` is
  /// policy.deadline(index).
  template <class Policy>
  void arm_again(std::uint32_t index, Timestamp deadline, Policy&& policy) {
    if (tick_of(deadline) > current_) {
      arm(index, deadline);
      return;
    }
    if (nodes_[index].place == kDue) return;
    if (is_in_slot(nodes_[index])) unlink(index);
    push_due(index, deadline, policy);
    next_due_ = std::min(next_due_, deadline);
  }

  void cancel(std::uint32_t index) {
    Node& node = nodes_[index];
    if (is_in_slot(node)) unlink(index);
    node.place = kUnarmed; // an entry left in the heap or in a queue is recognised as stale
  }

  /// It will be armed or cancelled soon.
  void prefetch(std::uint32_t index) const {
    prefetch_line<PrefetchFor::Write>(&nodes_[index]);
  }

  /// The first border of a tick at or after `t`, where advance() looks anyway: what is due there
  /// costs packets nothing. kTimeMax where there is none.
  static Timestamp border(Timestamp t) {
    const Timestamp end = saturating_add(t, kTick - Duration{1});
    return end == kTimeMax ? end : from_nanoseconds(to_nanoseconds(end) & ~(kTick.count() - 1));
  }

  /// No object is due before this time.
  [[nodiscard]] Timestamp next_due() const { return next_due_; }

  /// Fires everything due at or before `now`, in order. Policy offers
  ///   Timestamp deadline(index): the true deadline as of now,
  ///   std::uint64_t rank(index): order among equal deadlines; may grow, as deadlines may,
  ///   void prefetch(index): it will be asked for soon,
  ///   void expect(index): it will expire in this tick, unless it is heard of,
  ///   void expire(index, deadline): called unarmed; may arm or cancel any object.
  template <class Policy>
  void advance(Timestamp now, Policy&& policy) {
    if (!started_) {
      started_ = true;
      current_ = tick_of(now);
    }
    for (;;) {
      while (has_due() && next_of_due().deadline <= now) fire(take_due(), policy);
      if (has_due()) break;
      if (!enter_next_tick(tick_of(now), policy)) break;
    }
    next_due_ =
        has_due() ? next_of_due().deadline : from_nanoseconds((current_ + 1) << kTickShift);
  }

  /// Fires every armed object in order of its true deadline, however far: the end of input.
  template <class Policy>
  void drain(Policy&& policy) {
    for (const Queue& queue : queues_) {
      if (!queue.empty()) run_to(queue.last_tick, policy);
    }
    run_to(fit_ticks(kFinestShift, policy), policy);
    // What was armed again meanwhile and lies beyond. It may be armed again and again, and ever
    // further ahead: the wheel goes on turning.
    fit_ticks(kTickShift, policy);
    run_to(kNever - 1, policy);
    current_ = (current_ << tick_shift_) >> kTickShift;
    tick_shift_ = kTickShift;
  }

  [[nodiscard]] std::size_t bytes() const {
    std::size_t bytes = nodes_.bytes() + sorted_.bytes() + heap_.bytes();
    for (const Queue& queue : queues_) bytes += queue.ring.bytes();
    return bytes;
  }

 private:
  struct Node {
    std::uint32_t next;  // in a queue: its position there
    std::uint32_t prev;  // in a queue: the low half of its tick
    std::uint16_t place; // kUnarmed, kDue, slot + 1, or kFirstQueue + queue
  };
  /// A ring of indices. An entry is stale unless its object's node names its position.
  struct Queue {
    ReservedArray<std::uint32_t> ring;
    std::uint32_t head = 0;
    std::uint32_t tail = 0;
    std::int64_t head_tick = 0;  // of the first entry, when there is one
    std::int64_t last_tick = 0;  // of the latest entry ever
    [[nodiscard]] bool empty() const { return head == tail; }
    [[nodiscard]] bool full() const { return tail - head == ring.size(); }
    [[nodiscard]] std::uint32_t place_of(std::uint32_t position) const {
      return position & static_cast<std::uint32_t>(ring.size() - 1);
    }
    [[nodiscard]] std::uint32_t at(std::uint32_t position) const {
      return ring[place_of(position)];
    }
  };
  struct Due {
    Timestamp deadline;
    std::uint64_t rank;
    std::uint32_t index;
    bool operator<(const Due& o) const { // std heaps keep the greatest on top
      return deadline != o.deadline ? deadline > o.deadline : rank > o.rank;
    }
  };
  static constexpr std::uint32_t kGroup = 16;
  static constexpr std::uint16_t kUnarmed = 0;
  static constexpr std::uint16_t kDue = 0xffff;
  static constexpr std::uint16_t kFirstQueue = kDue - kQueues;
  static_assert(kSlots < kFirstQueue && std::has_single_bit(kSlots));
  /// Of the ticks of drain(): 1 us, and a deadline of kTimeMax is in a tick before kNever.
  static constexpr unsigned kFinestShift = 10;
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  /// Half of a tick's low half: further ahead it could not be told.
  static constexpr std::int64_t kTicksMax = std::numeric_limits<std::int32_t>::max();

  static bool is_queued(const Node& node) {
    return node.place >= kFirstQueue && node.place != kDue;
  }
  static bool is_in_slot(const Node& node) {
    return node.place != kUnarmed && node.place < kFirstQueue;
  }
  [[nodiscard]] std::int64_t queued_tick(const Node& node) const {
    return current_ + static_cast<std::int32_t>(node.prev - static_cast<std::uint32_t>(current_));
  }

  [[nodiscard]] std::int64_t tick_of(Timestamp t) const {
    return to_nanoseconds(t) >> tick_shift_;
  }
  [[nodiscard]] std::uint32_t ticks_ahead(std::uint32_t slot) const {
    return (slot - static_cast<std::uint32_t>(current_)) % kSlots;
  }
  [[nodiscard]] std::uint32_t slot_for(Timestamp deadline) const {
    const std::int64_t tick = std::clamp(tick_of(deadline), current_ + 1, current_ + kSlots - 1);
    return static_cast<std::uint32_t>(tick) % kSlots;
  }

  void link(std::uint32_t index, std::uint32_t slot) {
    const std::uint32_t head = capacity_ + slot;
    const std::uint32_t first = nodes_[head].next;
    nodes_[index] = Node{first, head, static_cast<std::uint16_t>(slot + 1)};
    nodes_[first].prev = index;
    nodes_[head].next = index;
    occupied_[slot / 64] |= std::uint64_t{1} << (slot % 64);
  }
  void unlink(std::uint32_t index) {
    Node& node = nodes_[index];
    nodes_[node.prev].next = node.next;
    nodes_[node.next].prev = node.prev;
    node.place = kUnarmed;
  }

  /// It is due in this tick from now on.
  template <class Policy>
  Due due_at(Timestamp deadline, std::uint32_t index, Policy& policy) {
    nodes_[index].place = kDue;
    policy.expect(index);
    return {deadline, policy.rank(index), index};
  }
  template <class Policy>
  void push_due(std::uint32_t index, Timestamp deadline, Policy& policy) {
    const Due due = due_at(deadline, index, policy);
    if (next_ == end_) next_ = end_ = 0;
    if (end_ < sorted_.size() && (end_ == 0 || due < sorted_[end_ - 1])) {
      sorted_[end_++] = due;
      return;
    }
    FLOWLOOM_DCHECK(heap_size_ < heap_.size());
    heap_[heap_size_++] = due;
    std::push_heap(heap_.data(), heap_.data() + heap_size_);
  }
  [[nodiscard]] std::uint32_t sorted_size() const { return end_ - next_; }
  [[nodiscard]] bool has_due() const { return next_ != end_ || heap_size_ > 0; }
  [[nodiscard]] bool heap_is_next() const {
    return heap_size_ > 0 && (next_ == end_ || sorted_[next_] < heap_[0]);
  }
  /// Preconditions: has_due(); so take_due().
  [[nodiscard]] const Due& next_of_due() const {
    return heap_is_next() ? heap_[0] : sorted_[next_];
  }
  Due take_due() {
    if (!heap_is_next()) return sorted_[next_++];
    const Due due = heap_[0];
    std::pop_heap(heap_.data(), heap_.data() + heap_size_--);
    return due;
  }

  template <class Policy>
  void fire(const Due& due, Policy& policy) {
    if (nodes_[due.index].place != kDue) return; // cancelled meanwhile
    nodes_[due.index].place = kUnarmed;
    const Due now{policy.deadline(due.index), policy.rank(due.index), due.index};
    if (!(now < due)) {
      policy.expire(due.index, now.deadline);
    } else if (tick_of(now.deadline) <= current_) { // it was heard of since
      push_due(due.index, now.deadline, policy);
    } else {
      arm(due.index, now.deadline);
    }
  }

  /// Makes ticks of at least 2^shift ns as long as it takes for all deadlines to lie within one
  /// turn of the wheel, and files everything anew: nothing is looked at turn after turn, and no
  /// tick has more objects than need be. Returns the last of these ticks: the current one where
  /// nothing is armed. Preconditions: the queues are empty.
  template <class Policy>
  std::int64_t fit_ticks(unsigned shift, Policy& policy) {
    std::uint32_t list = kNoIndex; // linked by `next`
    Timestamp nearest = kTimeMax;
    Timestamp furthest = kTimeMin;
    take_all(policy, [&](std::uint32_t index) {
      const Timestamp deadline = policy.deadline(index);
      nearest = std::min(nearest, deadline);
      furthest = std::max(furthest, deadline);
      nodes_[index] = Node{list, 0, kUnarmed};
      list = index;
    });
    if (list == kNoIndex) return current_;
    const std::uint64_t range = static_cast<std::uint64_t>(to_nanoseconds(furthest)) -
                                static_cast<std::uint64_t>(to_nanoseconds(nearest));
    tick_shift_ = std::max(shift, static_cast<unsigned>(std::bit_width(range / (kSlots / 2))));
    current_ = tick_of(nearest) - 1;
    file_all(list, policy);
    return tick_of(furthest);
  }

  /// Arms what is linked by `next`.
  template <class Policy>
  void file_all(std::uint32_t list, Policy& policy) {
    std::uint32_t ahead = list;
    for (std::uint32_t n = 0; list != kNoIndex; ++n) {
      if (ahead != kNoIndex) {
        policy.prefetch(ahead);
        ahead = nodes_[ahead].next;
      }
      if (n < kGroup) continue;
      const std::uint32_t index = std::exchange(list, nodes_[list].next);
      arm(index, policy.deadline(index));
    }
  }

  /// Fires everything in the ticks up to `last`, which is before kNever.
  template <class Policy>
  void run_to(std::int64_t last, Policy& policy) {
    std::int64_t latest = current_;
    do {
      latest = current_;
      while (has_due()) {
        // A tick may have more than the caches hold.
        if (2 * kGroup < sorted_size()) policy.prefetch(sorted_[next_ + 2 * kGroup].index);
        if (kGroup < sorted_size()) policy.expect(sorted_[next_ + kGroup].index);
        fire(take_due(), policy);
      }
    } while (enter_next_tick(last, policy));
    current_ = latest;
  }

  /// Takes every armed object out of its slot, or out of what is due.
  template <class Policy, class Take>
  void take_all(Policy& policy, Take take) {
    const auto take_due_one = [&](std::uint32_t index) {
      if (nodes_[index].place == kDue) take(index);  // else cancelled, or taken already
    };
    while (next_ != end_) take_due_one(sorted_[next_++].index);
    while (heap_size_ > 0) take_due_one(heap_[--heap_size_].index);
    for (std::uint32_t slot = 0; slot < kSlots; ++slot) {
      take_list(slot, policy, take);
    }
  }

  /// Moves to the next occupied tick up to `last`; false when there is none.
  template <class Policy>
  bool enter_next_tick(std::int64_t last, Policy& policy) {
    if (current_ >= last) return false;
    const std::uint32_t ahead = next_occupied();
    const std::int64_t next = std::min(ahead == 0 ? kNever : current_ + ahead, next_queued());
    if (next > last) {
      current_ = last;
      return false;
    }
    current_ = next;
    next_ = end_ = 0;
    take_list(static_cast<std::uint32_t>(current_) % kSlots, policy,
              [&](std::uint32_t index) { refile(index, policy); });
    take_queued(policy);
    sort_due();
    return true;
  }

  /// Empties a slot. `take` is called for unarmed objects; it may arm them, in another slot.
  template <class Policy, class Take>
  void take_list(std::uint32_t slot, Policy& policy, Take take) {
    const std::uint32_t head = capacity_ + slot;
    occupied_[slot / 64] &= ~(std::uint64_t{1} << (slot % 64));
    // In groups, so that one object's memory is fetched while others are unlinked: objects that
    // were not heard of for a while are in no cache.
    std::uint32_t group[kGroup];
    while (nodes_[head].next != head) {
      std::uint32_t size = 0;
      while (size < kGroup && nodes_[head].next != head) {
        group[size] = nodes_[head].next;
        unlink(group[size]);
        policy.prefetch(group[size++]);
      }
      for (std::uint32_t i = 0; i < size; ++i) take(group[i]);
    }
  }

  /// The tick in which the next queued object is due, or kNever.
  [[nodiscard]] std::int64_t next_queued() const {
    std::int64_t next = kNever;
    for (const Queue& queue : queues_) {
      if (!queue.empty()) next = std::min(next, queue.head_tick);
    }
    return next;
  }

  /// Takes the objects out of the queues that are due by the current tick.
  template <class Policy>
  void take_queued(Policy& policy) {
    for (Queue& queue : queues_) {
      while (!queue.empty() && queue.head_tick <= current_) {
        const std::uint32_t index = queue.at(queue.head);
        const bool waits = is_waiting(queue, queue.head);
        ++queue.head;
        fetch_ahead(queue, policy);
        if (waits) {
          nodes_[index].place = kUnarmed;
          refile(index, policy);
        }
        find_head(queue);
      }
    }
  }

  /// The node of one that is far ahead, then the object of one that is nearer and still waits.
  template <class Policy>
  void fetch_ahead(const Queue& queue, Policy& policy) const {
    const std::uint32_t behind = queue.tail - queue.head;
    if (behind > 2 * kGroup) prefetch(queue.at(queue.head + 2 * kGroup));
    if (behind > kGroup && is_waiting(queue, queue.head + kGroup)) {
      policy.prefetch(queue.at(queue.head + kGroup));
    }
  }

  [[nodiscard]] bool is_waiting(const Queue& queue, std::uint32_t position) const {
    const Node& node = nodes_[queue.at(position)];
    return node.place == kFirstQueue + (&queue - queues_) && node.next == position;
  }

  /// Makes room where those in front were cancelled, a few at a time.
  void drop_stale(Queue& queue) const {
    constexpr std::uint32_t kStaleAtOnce = 4;
    for (std::uint32_t i = 0; i < kStaleAtOnce && !queue.empty(); ++i) {
      if (is_waiting(queue, queue.head)) break;
      ++queue.head;
    }
    if (!queue.empty() && is_waiting(queue, queue.head)) {
      queue.head_tick = queued_tick(nodes_[queue.at(queue.head)]);
    }
  }

  void find_head(Queue& queue) const {
    while (!queue.empty() && !is_waiting(queue, queue.head)) ++queue.head;
    if (!queue.empty()) queue.head_tick = queued_tick(nodes_[queue.at(queue.head)]);
  }

  /// Preconditions: `index` was taken out of the slot or queue of the tick that is entered.
  template <class Policy>
  void refile(std::uint32_t index, Policy& policy) {
    const Timestamp deadline = policy.deadline(index);
    if (tick_of(deadline) > current_) {
      arm(index, deadline); // lives on; never this slot again, so the caller's loop ends
      return;
    }
    sorted_[end_++] = due_at(deadline, index, policy);
  }

  /// Once for all objects of a tick: most of them came in order.
  void sort_due() {
    const auto is_earlier = [](const Due& a, const Due& b) { return b < a; };
    Due* const first = sorted_.data();
    if (std::is_sorted(first, first + end_, is_earlier)) return;
    std::sort(first, first + end_, is_earlier);
  }

  /// Ticks from the current one to the next occupied slot; 0 when no slot is occupied.
  [[nodiscard]] std::uint32_t next_occupied() const {
    const std::uint32_t start = static_cast<std::uint32_t>(current_ + 1) % kSlots;
    std::uint32_t word = start / 64;
    std::uint64_t bits = occupied_[word] & (~std::uint64_t{0} << (start % 64));
    for (std::uint32_t n = 0; n <= kSlots / 64; ++n) {
      if (bits != 0) {
        const std::uint32_t slot = word * 64 + static_cast<std::uint32_t>(std::countr_zero(bits));
        return ticks_ahead(slot);
      }
      word = (word + 1) % (kSlots / 64);
      bits = occupied_[word];
    }
    return 0;
  }

  std::uint32_t capacity_ = 0;
  ReservedArray<Node> nodes_; // objects, then one list head per slot
  // What is due in the current tick. Each twice the objects: cancelled entries stay until their
  // time.
  ReservedArray<Due> sorted_; // from next_ to end_, in order
  ReservedArray<Due> heap_;   // what did not come in order
  std::uint32_t next_ = 0;
  std::uint32_t end_ = 0;
  std::uint32_t heap_size_ = 0;
  Queue queues_[kQueues];
  std::uint64_t occupied_[kSlots / 64] = {};
  unsigned tick_shift_ = kTickShift;
  std::int64_t current_ = 0; // the tick that has been entered
  Timestamp next_due_{kTimeMin};
  bool started_ = false;
};

}  // namespace flowloom
