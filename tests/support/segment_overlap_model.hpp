// A second opinion on overlapping segments: the receiver's queue of each system as a plain list,
// in the words in which those systems are described. Shares nothing with lib/tcp but the names of
// the policies, works on owners instead of bytes, and cares for no cost.
#pragma once

#include <algorithm>
#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

#include "support/overlap_cases.hpp"

namespace flowloom::test {

class SegmentOverlapModel {
 public:
  static constexpr int kNobody = -1;

  explicit SegmentOverlapModel(std::string_view algorithm) : algorithm_(algorithm) {}

  /// A segment arrives; then what is in order is delivered and never changes again.
  void add(Chunk b, int owner) {
    hold(b, owner);
    deliver();
  }

  /// A segment arrives, and nothing is final yet.
  void hold(Chunk b, int owner) {
    b.begin = std::max(b.begin, next_);
    if (b.begin >= b.end) return;
    insert({b.begin, std::vector<int>(static_cast<std::size_t>(b.end - b.begin), owner)});
  }

  /// What is in order is final.
  void deliver() {
    while (!queue_.empty() && queue_.front().begin <= next_) {
      const Element& first = queue_.front();
      for (; next_ < first.end(); ++next_) delivered_.push_back(first.owner_at(next_));
      queue_.erase(queue_.begin());
    }
  }

  /// Whose byte stands at each position, were everything delivered now.
  [[nodiscard]] std::vector<int> owners(int size) const {
    std::vector<int> all = delivered_;
    all.resize(static_cast<std::size_t>(size), kNobody);
    for (const Element& e : queue_) {
      for (int at = e.begin; at < e.end(); ++at) {
        int& owner = all[static_cast<std::size_t>(at)];
        if (owner == kNobody) owner = e.owner_at(at);
      }
    }
    return all;
  }

  /// Where the delivered bytes end.
  [[nodiscard]] int delivered() const { return next_; }

 private:
  struct Element {
    int begin;
    std::vector<int> owner;
    [[nodiscard]] int end() const { return begin + static_cast<int>(owner.size()); }
    [[nodiscard]] int owner_at(int at) const { return owner[static_cast<std::size_t>(at - begin)]; }
    void cut_head(int at) {
      owner.erase(owner.begin(), owner.begin() + (at - begin));
      begin = at;
    }
    void cut_tail(int at) { owner.resize(static_cast<std::size_t>(at - begin)); }
    void append(const Element& tail) {
      owner.insert(owner.end(), tail.owner.begin(), tail.owner.end());
    }
  };
  using Position = std::size_t;

  void insert(Element b) {
    if (algorithm_ == "first") {
      insert_first(b);
    } else if (algorithm_ == "last") {
      insert_last(b);
    } else if (algorithm_ == "bsd") {
      insert_bsd(b);
    } else if (algorithm_ == "freebsd-12") {
      insert_merging(b);
    } else if (algorithm_ == "solaris") {
      insert_illumos(b);
    } else if (algorithm_ == "solaris-snort") {
      insert_snort_solaris(b);
    } else {
      insert_linux(b);
    }
  }

  void erase(Position i) { queue_.erase(queue_.begin() + static_cast<std::ptrdiff_t>(i)); }
  void put(Position i, const Element& e) {
    queue_.insert(queue_.begin() + static_cast<std::ptrdiff_t>(i), e);
  }
  /// Before the first element that starts later.
  Position put_sorted(const Element& e) {
    Position i = 0;
    while (i < queue_.size() && queue_[i].begin <= e.begin) ++i;
    put(i, e);
    return i;
  }
  [[nodiscard]] bool is_held(int at) const {
    return std::any_of(queue_.begin(), queue_.end(),
                       [at](const Element& e) { return e.begin <= at && at < e.end(); });
  }

  // Every byte already owned stays; the segment only fills gaps, a byte an element.
  void insert_first(const Element& b) {
    for (int at = b.begin; at < b.end(); ++at) {
      if (!is_held(at)) put_sorted({at, {b.owner_at(at)}});
    }
  }

  // Every byte of the segment replaces.
  void insert_last(const Element& b) {
    for (int at = b.begin; at < b.end(); ++at) {
      std::erase_if(queue_, [at](const Element& e) { return e.begin == at; });
      put_sorted({at, {b.owner_at(at)}});
    }
  }

  // P, the last element that starts no later, cuts the head of the segment or drops it. Then each
  // successor it reaches into: the segment ends inside it: its head is cut, and that is all;
  // else it is deleted.
  void insert_bsd(Element b) {
    Position next = 0;
    while (next < queue_.size() && queue_[next].begin <= b.begin) ++next;
    if (next > 0 && queue_[next - 1].end() > b.begin) {
      if (queue_[next - 1].end() >= b.end()) return;
      b.cut_head(queue_[next - 1].end());
    }
    while (next < queue_.size() && queue_[next].begin < b.end()) {
      if (b.end() < queue_[next].end()) {
        queue_[next].cut_head(b.end());
        break;
      }
      erase(next);
    }
    put(next, b);
  }

  // The same, and then whatever touches is one element.
  void insert_merging(const Element& b) {
    insert_bsd(b);
    for (Position i = 0; i + 1 < queue_.size();) {
      if (queue_[i].end() == queue_[i + 1].begin) {
        queue_[i].append(queue_[i + 1]);
        erase(i + 1);
      } else {
        ++i;
      }
    }
  }

  // Elements stay whole. The one before covers the segment: dropped; it has the same start and is
  // shorter: replaced. Followers that the segment covers are deleted. Modern: a segment that
  // begins where the one before ends is joined to it. Old: a duplicate replaces, too.
  void insert_linux(const Element& b) {
    Position next = 0;
    while (next < queue_.size() && queue_[next].begin <= b.begin) ++next;
    Position mine = next;
    if (next > 0) {
      Element& before = queue_[next - 1];
      const bool same_start = before.begin == b.begin;
      const bool newer_wins = algorithm_ == "old-linux" && same_start && before.end() == b.end();
      if (before.end() >= b.end() && !newer_wins) return;
      if (same_start) erase(mine = next - 1);
      if (algorithm_ == "linux-modern" && !same_start && before.end() == b.begin) {
        before.append(b);
        delete_covered_after(next - 1);
        return;
      }
    }
    put(mine, b);
    delete_covered_after(mine);
  }

  void delete_covered_after(Position i) {
    while (i + 1 < queue_.size() && queue_[i + 1].end() <= queue_[i].end()) erase(i + 1);
  }

  // While an element reaches into its successor: one that it covers is deleted, else its own tail
  // is cut where that one starts.
  void eliminate(Position i) {
    while (i + 1 < queue_.size() && queue_[i].end() > queue_[i + 1].begin) {
      if (queue_[i].end() >= queue_[i + 1].end()) {
        erase(i + 1);
      } else {
        queue_[i].cut_tail(queue_[i + 1].begin);
        return;
      }
    }
  }

  // At the tail or at the head where it lies beyond; otherwise behind the last element that starts
  // before it, but never before the head: first the segment reaches out, then its predecessor.
  void insert_illumos(const Element& b) {
    if (queue_.empty() || b.begin >= queue_.back().end()) {
      queue_.push_back(b);
      return;
    }
    if (b.begin < queue_.front().begin) {
      put(0, b);
      eliminate(0);
      return;
    }
    Position before = 0;
    while (before + 1 < queue_.size() && queue_[before + 1].begin < b.begin) ++before;
    put(before + 1, b);
    eliminate(before + 1);
    eliminate(before);
  }

  // The left neighbour, which starts before: it covers the segment: dropped; else its tail is cut.
  // Then each right neighbour: the segment ends inside it: the segment's tail is cut; else that one
  // is deleted, but for a duplicate where a left neighbour does not touch.
  void insert_snort_solaris(Element b) {
    Position next = 0;
    while (next < queue_.size() && queue_[next].begin < b.begin) ++next;
    const bool has_left = next > 0;
    if (has_left && queue_[next - 1].end() > b.begin) {
      if (queue_[next - 1].end() >= b.end()) return;
      queue_[next - 1].cut_tail(b.begin);
    }
    while (next < queue_.size() && queue_[next].begin < b.end()) {
      const Element& right = queue_[next];
      if (b.end() < right.end()) {
        b.cut_tail(right.begin);
        break;
      }
      const bool duplicate = right.begin == b.begin && right.end() == b.end();
      if (duplicate && has_left && queue_[next - 1].end() != b.begin) return;
      erase(next);
    }
    if (!b.owner.empty()) put(next, b);
  }

  std::string algorithm_;
  std::vector<Element> queue_;
  std::vector<int> delivered_;
  int next_ = 0;
};

}  // namespace flowloom::test
