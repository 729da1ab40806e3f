// A second opinion on fragment overlaps: each policy as a queue of pieces in a list, in the words
// of the systems' descriptions, one unit a letter. Shares nothing with lib/ip and cares for no
// cost.
#pragma once

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "support/overlap_cases.hpp"

namespace flowloom::test {

struct Piece {
  int begin;
  int end;
  int owner;
};

/// Owner of every unit; nullopt: the datagram was thrown away. -1: nobody's.
using Owners = std::optional<std::vector<int>>;

class OverlapModel {
 public:
  explicit OverlapModel(std::string_view policy) : policy_(policy) {}

  void add(Chunk b, int owner) {
    if (discarded_) return;
    if (policy_ == "first") {
      first(b, owner);
    } else if (policy_ == "last") {
      remove(b);
      pieces_.push_back({b.begin, b.end, owner});
    } else if (policy_ == "bsd" || policy_ == "linux") {
      list(b, owner);
    } else if (policy_ == "bsd-right") {
      bsd_right(b, owner);
    } else if (policy_ == "windows" || policy_ == "solaris") {
      swallowing(b, owner);
    } else if (policy_ == "linux-modern") {
      runs(b, owner);
    } else {
      discard(b, owner);
    }
    std::sort(pieces_.begin(), pieces_.end(),
              [](const Piece& x, const Piece& y) { return x.begin < y.begin; });
  }

  [[nodiscard]] Owners owners(int units) const {
    if (discarded_) return std::nullopt;
    std::vector<int> owner(static_cast<std::size_t>(units), -1);
    for (const Piece& p : pieces_) {
      for (int u = p.begin; u < p.end; ++u) owner[static_cast<std::size_t>(u)] = p.owner;
    }
    return owner;
  }

  [[nodiscard]] bool discarded() const { return discarded_; }

 private:
  static bool meets(const Piece& a, Chunk b) { return a.begin < b.end && b.begin < a.end; }

  // Takes the range out of all pieces, splitting where it has to.
  void remove(Chunk b) {
    std::vector<Piece> rest;
    for (const Piece& a : pieces_) {
      if (!meets(a, b)) {
        rest.push_back(a);
        continue;
      }
      if (a.begin < b.begin) rest.push_back({a.begin, b.begin, a.owner});
      if (a.end > b.end) rest.push_back({b.end, a.end, a.owner});
    }
    pieces_ = rest;
  }

  void first(Chunk b, int owner) {
    for (int u = b.begin; u < b.end; ++u) {
      const bool held = std::any_of(pieces_.begin(), pieces_.end(), [u](const Piece& a) {
        return meets(a, {u, u + 1});
      });
      if (!held) pieces_.push_back({u, u + 1, owner});
    }
  }

  // BSD: the last piece with start <= b.begin cuts the head; Linux up to 4.18: with start
  // < b.begin. Then from the next piece on: ends inside: its head is cut; else: deleted.
  void list(Chunk b, int owner) {
    const bool bsd = policy_ == "bsd";
    int begin = b.begin;
    std::size_t next = 0;
    for (std::size_t i = 0; i < pieces_.size(); ++i) {
      const bool before = bsd ? pieces_[i].begin <= b.begin : pieces_[i].begin < b.begin;
      if (!before) break;
      next = i + 1;
      begin = std::max(b.begin, pieces_[i].end);
    }
    if (begin >= b.end) return;
    while (next < pieces_.size() && pieces_[next].begin < b.end) {
      if (b.end < pieces_[next].end) {
        pieces_[next].begin = b.end;
        break;
      }
      pieces_.erase(pieces_.begin() + static_cast<std::ptrdiff_t>(next));
    }
    pieces_.push_back({begin, b.end, owner});
  }

  // HP JetDirect: new wins iff it ends later, or at the same place and starts no later.
  void bsd_right(Chunk b, int owner) {
    std::vector<Piece> kept;
    Chunk rest = b;
    for (Piece a : pieces_) {
      if (!meets(a, b)) {
        kept.push_back(a);
        continue;
      }
      const bool new_wins = b.end > a.end || (b.end == a.end && b.begin <= a.begin);
      if (new_wins) {
        a.end = std::min(a.end, b.begin);
        if (a.begin < a.end) kept.push_back(a);
      } else {
        kept.push_back(a);
        rest.end = std::min(rest.end, std::max(a.begin, b.begin));
      }
    }
    pieces_ = kept;
    if (rest.begin < rest.end) pieces_.push_back({rest.begin, rest.end, owner});
  }

  // Windows: old wins, but a piece strictly inside what is left of the new one is deleted; Solaris:
  // also one that starts later and ends with it.
  void swallowing(Chunk b, int owner) {
    const std::vector<Piece> old = pieces_;
    pieces_.clear();
    std::vector<Piece> mine;
    for (const Piece& a : old) {
      if (!meets(a, b)) {
        pieces_.push_back(a);
        continue;
      }
      const bool deleted =
          b.begin < a.begin && (a.end < b.end || (policy_ == "solaris" && a.end == b.end));
      if (deleted) continue;
      pieces_.push_back(a);
      if (b.begin < a.begin) mine.push_back({b.begin, a.begin, owner});
      b.begin = a.end;
    }
    if (b.begin < b.end) mine.push_back({b.begin, b.end, owner});
    pieces_.insert(pieces_.end(), mine.begin(), mine.end());
  }

  // Linux from 4.20. Pieces of one run stay pieces; a run is its extent.
  void runs(Chunk b, int owner) {
    if (runs_.empty() || b.begin > runs_.back().end) {
      runs_.push_back(b);
    } else if (b.end > runs_.back().end) {
      if (b.begin < runs_.back().end) {
        discarded_ = true;
        return;
      }
      runs_.back().end = b.end;
    } else {
      for (const Chunk& run : runs_) {
        if (b.end <= run.begin || run.end <= b.begin) continue;
        if (b.begin < run.begin || run.end < b.end) discarded_ = true;
        return;
      }
      runs_.push_back(b);
      std::sort(runs_.begin(), runs_.end(),
                [](const Chunk& x, const Chunk& y) { return x.begin < y.begin; });
    }
    pieces_.push_back({b.begin, b.end, owner});
  }

  void discard(Chunk b, int owner) {
    for (const Piece& a : pieces_) {
      if (meets(a, b)) discarded_ = true;  // the test's chunks never have the same bytes
    }
    pieces_.push_back({b.begin, b.end, owner});
  }

  std::string policy_;
  std::vector<Piece> pieces_;
  std::vector<Chunk> runs_;
  bool discarded_ = false;
};

}  // namespace flowloom::test
