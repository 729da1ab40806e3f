// Overlapping IPv4 fragments, through the whole defragmenter, against the published pair tables,
// worked examples and counts, and against a list model of each policy: 13 pairs, 409 triples,
// random queues.
#include "ip/fragment_overlap.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>
#include <set>
#include <tuple>

#include "fragment_builder.hpp"
#include "overlap_model.hpp"

namespace flowloom::test {
namespace {

const std::vector<std::string> kAlgorithms = {
    "bsd", "bsd-right", "first", "last", "linux", "linux-modern", "solaris", "windows", "discard"};

// Who wins the bytes that both have, by relation of old to new: o, n, or X: the datagram is lost.
struct PairRow {
  const char* policy;
  std::map<std::string, char> winner;
};
const std::vector<PairRow> kPairs = {
    {"first",
     {{"o", 'o'},
      {"oi", 'o'},
      {"s", 'o'},
      {"si", 'o'},
      {"d", 'o'},
      {"di", 'o'},
      {"f", 'o'},
      {"fi", 'o'},
      {"eq", 'o'}}},
    {"last",
     {{"o", 'n'},
      {"oi", 'n'},
      {"s", 'n'},
      {"si", 'n'},
      {"d", 'n'},
      {"di", 'n'},
      {"f", 'n'},
      {"fi", 'n'},
      {"eq", 'n'}}},
    {"bsd",
     {{"o", 'o'},
      {"oi", 'n'},
      {"s", 'o'},
      {"si", 'o'},
      {"d", 'n'},
      {"di", 'o'},
      {"f", 'n'},
      {"fi", 'o'},
      {"eq", 'o'}}},
    {"bsd-right",
     {{"o", 'n'},
      {"oi", 'o'},
      {"s", 'n'},
      {"si", 'o'},
      {"d", 'n'},
      {"di", 'o'},
      {"f", 'n'},
      {"fi", 'o'},
      {"eq", 'n'}}},
    {"linux",
     {{"o", 'o'},
      {"oi", 'n'},
      {"s", 'n'},
      {"si", 'n'},
      {"d", 'n'},
      {"di", 'o'},
      {"f", 'n'},
      {"fi", 'o'},
      {"eq", 'n'}}},
    {"windows",
     {{"o", 'o'},
      {"oi", 'o'},
      {"s", 'o'},
      {"si", 'o'},
      {"d", 'n'},
      {"di", 'o'},
      {"f", 'o'},
      {"fi", 'o'},
      {"eq", 'o'}}},
    {"solaris",
     {{"o", 'o'},
      {"oi", 'o'},
      {"s", 'o'},
      {"si", 'o'},
      {"d", 'n'},
      {"di", 'o'},
      {"f", 'n'},
      {"fi", 'o'},
      {"eq", 'o'}}},
    {"linux-modern",
     {{"o", 'X'},
      {"oi", 'X'},
      {"s", 'X'},
      {"si", 'o'},
      {"d", 'X'},
      {"di", 'o'},
      {"f", 'X'},
      {"fi", 'o'},
      {"eq", 'o'}}},
    {"discard",
     {{"o", 'X'},
      {"oi", 'X'},
      {"s", 'X'},
      {"si", 'X'},
      {"d", 'X'},
      {"di", 'X'},
      {"f", 'X'},
      {"fi", 'X'},
      {"eq", 'X'}}},
};

FragmentOverlap policy_named(std::string_view name) {
  const auto policy = fragment_overlap_from_name(name);
  EXPECT_TRUE(policy) << name;
  return policy.value_or(FragmentOverlap::First);
}

// Bytes that say whose they are and where they belong, so that a copy to the wrong place shows.
std::uint8_t byte_of(int owner, int position) {
  return static_cast<std::uint8_t>(owner * 37 + position * 5 + position / 256 + 1);
}

Bytes bytes_of(Chunk chunk, int owner) {
  Bytes bytes;
  for (int i = chunk.begin * 8; i < chunk.end * 8; ++i) bytes.push_back(byte_of(owner, i));
  return bytes;
}

// How a matrix case is sent: the chunks, then whatever fills the holes, then the end.
class OverlapRun {
 public:
  explicit OverlapRun(std::string_view policy)
      : feeder_({.ipv4_overlap = policy_named(policy)}), policy_(policy) {}

  /// What the defragmenter delivers; nullopt: nothing, the datagram was discarded.
  Owners run(const std::vector<Chunk>& chunks) {
    ++id_;
    const int units = end_of(chunks) + 1;
    std::vector<Chunk> all = chunks;
    for (const Chunk& hole : holes_of(chunks, units - 1)) all.push_back(hole);
    all.push_back({units - 1, units});  // the last fragment
    OverlapModel model(policy_);
    for (std::size_t i = 0; i < all.size(); ++i) {
      const Outcome outcome = send(all[i], static_cast<int>(i), i + 1 == all.size());
      model.add(all[i], static_cast<int>(i));
      if (outcome.reject == FragmentReject::Overlap) {
        expected_ = model.owners(units);
        return std::nullopt;
      }
      if (!outcome.datagram) continue;
      EXPECT_EQ(i + 1, all.size());
      expected_ = model.owners(units);
      return owners_in(*outcome.datagram, static_cast<int>(all.size()), units);
    }
    ADD_FAILURE() << "neither complete nor discarded";
    return std::nullopt;
  }

  /// The model's answer to the last run.
  [[nodiscard]] const Owners& expected() const { return expected_; }

  /// As letters, fillers as '.'.
  static std::string letters(const Owners& owners, std::size_t chunks) {
    if (!owners) return "X";
    std::string text;
    for (std::size_t i = 0; i + 1 < owners->size(); ++i) {
      const int owner = (*owners)[i];
      const bool filler = owner < 0 || static_cast<std::size_t>(owner) >= chunks;
      text += filler ? '.' : static_cast<char>('A' + owner);
    }
    return text;
  }

 private:
  static int end_of(const std::vector<Chunk>& chunks) {
    int end = 0;
    for (const Chunk& c : chunks) end = std::max(end, c.end);
    return end;
  }

  static std::vector<Chunk> holes_of(const std::vector<Chunk>& chunks, int units) {
    std::vector<Chunk> holes;
    for (int u = units; u-- > 0;) {  // the first one comes last
      const bool covered = std::any_of(chunks.begin(), chunks.end(),
                                       [u](const Chunk& c) { return c.begin <= u && u < c.end; });
      if (covered) continue;
      if (!holes.empty() && holes.back().begin == u + 1) {
        holes.back().begin = u;
      } else {
        holes.push_back({u, u + 1});
      }
    }
    return holes;
  }

  Outcome send(Chunk chunk, int owner, bool last) {
    return feeder_.add(ipv4_fragment(bytes_of(chunk, owner),
                                     static_cast<std::uint32_t>(chunk.begin) * 8,
                                     last ? More::No : More::Yes, {.id = id_}));
  }

  static Owners owners_in(const Bytes& datagram, int count, int units) {
    EXPECT_EQ(datagram.size(), 20U + static_cast<std::size_t>(units) * 8);
    std::vector<int> owners(static_cast<std::size_t>(units), -1);
    for (int u = 0; u < units; ++u) {
      for (int owner = 0; owner < count; ++owner) {
        if (slice(datagram, 20 + static_cast<std::size_t>(u) * 8, 8) ==
            bytes_of({u, u + 1}, owner)) {
          owners[static_cast<std::size_t>(u)] = owner;
        }
      }
    }
    return owners;
  }

  Feeder feeder_;
  std::string policy_;
  std::uint16_t id_ = 0;
  Owners expected_;
};

// Two chunks for each of the 13 relations, behind a hole of one unit.
std::vector<std::pair<Chunk, Chunk>> all_pairs() {
  return {{{1, 3}, {4, 6}}, {{4, 6}, {1, 3}}, {{1, 3}, {3, 5}}, {{3, 5}, {1, 3}}, {{1, 5}, {3, 7}},
          {{3, 7}, {1, 5}}, {{1, 3}, {1, 5}}, {{1, 5}, {1, 3}}, {{3, 4}, {1, 6}}, {{1, 6}, {3, 4}},
          {{3, 5}, {1, 5}}, {{1, 5}, {3, 5}}, {{1, 4}, {1, 4}}};
}

char pair_winner(std::string_view policy, Chunk old, Chunk added) {
  for (const PairRow& row : kPairs) {
    if (row.policy != policy) continue;
    const auto it = row.winner.find(relation(old, added));
    return it == row.winner.end() ? '-' : it->second;
  }
  return '?';
}

// case: I03
TEST(FragmentOverlap, PairsAreThoseOfTheTables) {
  std::set<std::string> seen;
  for (const std::string& policy : kAlgorithms) {
    OverlapRun run(policy);
    for (const auto& [old, added] : all_pairs()) {
      seen.insert(relation(old, added));
      const char winner = pair_winner(policy, old, added);
      SCOPED_TRACE(policy + " " + relation(old, added));
      const Owners owners = run.run({old, added});
      ASSERT_EQ(owners, run.expected());
      if (winner == 'X') {
        EXPECT_FALSE(owners);
        continue;
      }
      ASSERT_TRUE(owners);
      for (int u = std::max(old.begin, added.begin); u < std::min(old.end, added.end); ++u) {
        EXPECT_EQ((*owners)[static_cast<std::size_t>(u)], winner == 'n' ? 1 : 0);
      }
    }
  }
  EXPECT_EQ(seen.size(), 13U);
}

TEST(FragmentOverlap, All409TriplesBehindAHoleAndWithout) {
  const auto triples = all_configurations(3);
  ASSERT_EQ(triples.size(), 409U);
  for (const std::string& policy : kAlgorithms) {
    OverlapRun run(policy);
    for (const std::vector<Chunk>& triple : triples) {
      for (const int hole : {0, 1}) {
        const std::vector<Chunk> chunks = shifted(triple, hole);
        const Owners owners = run.run(chunks);
        ASSERT_EQ(owners, run.expected())
            << policy << " " << OverlapRun::letters(owners, 3) << " instead of "
            << OverlapRun::letters(run.expected(), 3);
      }
    }
  }
}

// Triples whose outcome is not what the pair table says of the chunks as sent. The published counts
// come from the systems' sources (bsd, linux, linux-modern, solaris) and from Snort (bsd-right).
// Snort's 22 for windows includes its trouble with pieces of the same start: by the rule it is 16.
TEST(FragmentOverlap, TriplesDifferFromPairTablesAsOftenAsPublished) {
  const std::map<std::string, int> published = {
      {"first", 0},    {"last", 0},     {"bsd", 18},       {"linux", 18},
      {"windows", 16}, {"solaris", 22}, {"bsd-right", 12}, {"linux-modern", 281}};
  for (const auto& [policy, count] : published) {
    OverlapRun run(policy);
    int differ = 0;
    for (const std::vector<Chunk>& triple : all_configurations(3)) {
      const std::vector<Chunk> chunks = shifted(triple, 1);
      const Owners owners = run.run(chunks);
      if (!owners) {
        ++differ;
        continue;
      }
      std::vector<int> table(owners->size(), -1);
      for (int i = 0; i < 3; ++i) {
        const Chunk& mine = chunks[static_cast<std::size_t>(i)];
        for (int u = mine.begin; u < mine.end; ++u) {
          bool wins = true;
          for (int k = 0; k < i; ++k) {
            const Chunk& other = chunks[static_cast<std::size_t>(k)];
            if (other.begin <= u && u < other.end) {
              wins = wins && pair_winner(policy, other, mine) == 'n';
            }
          }
          int& winner = table[static_cast<std::size_t>(u)];
          if (wins || winner < 0) winner = i;
        }
      }
      bool same = true;
      for (std::size_t u = 0; u < table.size(); ++u) {
        same = same && (table[u] < 0 || table[u] == (*owners)[u]);
      }
      if (!same && policy != "linux-modern") ++differ;
    }
    EXPECT_EQ(differ, count) << policy;
  }
}

TEST(FragmentOverlap, WorkedExamples) {
  struct Example {
    std::vector<Chunk> chunks;
    std::map<std::string, std::string> expected;
  };
  const std::vector<Example> examples = {
      {{{3, 5}, {1, 5}},
       {{"first", ".BBAA"},
        {"windows", ".BBAA"},
        {"bsd", ".BBBB"},
        {"bsd-right", ".BBBB"},
        {"linux", ".BBBB"},
        {"solaris", ".BBBB"},
        {"last", ".BBBB"},
        {"linux-modern", "X"}}},
      {{{1, 5}, {1, 3}},
       {{"first", ".AAAA"},
        {"bsd", ".AAAA"},
        {"bsd-right", ".AAAA"},
        {"windows", ".AAAA"},
        {"solaris", ".AAAA"},
        {"linux-modern", ".AAAA"},
        {"last", ".BBAA"},
        {"linux", ".BBAA"},
        {"discard", "X"}}},
      {{{1, 3}, {3, 5}, {1, 5}},
       {{"first", ".AABB"},
        {"windows", ".AABB"},
        {"solaris", ".AABB"},
        {"linux-modern", ".AABB"},
        {"bsd", ".AACC"},
        {"last", ".CCCC"},
        {"bsd-right", ".CCCC"},
        {"linux", ".CCCC"},
        {"discard", "X"}}},
      // The tail of a piece whose head was cut starts a piece of its own: the same start is new.
      {{{0, 2}, {0, 1}, {1, 2}}, {{"linux", "BC"}}},
      {{{3, 5}, {1, 3}, {1, 5}}, {{"linux-modern", "X"}}},
      {{{0, 1}, {0, 2}, {0, 2}}, {{"bsd", "AC"}}},
  };
  for (const Example& example : examples) {
    for (const auto& [policy, letters] : example.expected) {
      OverlapRun run(policy);
      EXPECT_EQ(OverlapRun::letters(run.run(example.chunks), example.chunks.size()), letters)
          << policy;
    }
  }
}

// Novak and Sturges' model as Suricata's tests have it: seventeen fragments, in bytes.
// case: I03
TEST(FragmentOverlap, SeventeenFragmentModel) {
  const std::vector<std::pair<int, int>> sent = {
      {0, 24}, {32, 16}, {48, 24}, {80, 8},  {104, 16}, {120, 24}, {144, 16}, {160, 16}, {176, 8},
      {8, 32}, {48, 24}, {72, 24}, {96, 24}, {128, 8},  {152, 8},  {160, 8},  {176, 16}};
  const std::map<std::string, std::string> expected = {{"first", "AAAJBBCCCLDLMEEFFFGGHHIQ"},
                                                       {"last", "AJJJJBKKKLLLMMMFNFGOPHQQ"},
                                                       {"bsd", "AAAJJBCCCLLLMMMFFFGGHHIQ"},
                                                       {"linux", "AAAJJBKKKLLLMMMFFFGGPHQQ"},
                                                       {"windows", "AAAJBBCCCLLLMEEFFFGGHHIQ"},
                                                       {"solaris", "AAAJBBCCCLLLMMMFFFGGHHIQ"},
                                                       {"bsd-right", "AJJJBBKKKLLLMMMFFFGGHHQQ"},
                                                       {"linux-modern", "X"},
                                                       {"discard", "X"}};
  std::vector<Chunk> chunks;
  for (const auto& [offset, length] : sent) chunks.push_back({offset / 8, (offset + length) / 8});
  for (const auto& [policy, letters] : expected) {
    OverlapRun run(policy);
    EXPECT_EQ(OverlapRun::letters(run.run(chunks), chunks.size()), letters) << policy;
  }
}

// Pieces that cross the pages of 32 units, too.
TEST(FragmentOverlap, RandomQueuesEqualTheModel) {
  constexpr unsigned kSeed = 20250801;
  constexpr int kCasesPerPolicy = 1500;
  std::mt19937 random(kSeed);
  for (const std::string& policy : kAlgorithms) {
    OverlapRun run(policy);
    for (int i = 0; i < kCasesPerPolicy; ++i) {
      const int grid = i % 3 == 0 ? 120 : 24;
      std::vector<Chunk> chunks;
      const std::size_t count = 2 + random() % 11;
      while (chunks.size() < count) {
        const int a = static_cast<int>(random() % static_cast<unsigned>(grid));
        const int b = static_cast<int>(random() % static_cast<unsigned>(grid));
        if (a != b) chunks.push_back({std::min(a, b), std::max(a, b)});
      }
      const Owners owners = run.run(chunks);
      ASSERT_EQ(owners, run.expected()) << policy << " case " << i << " seed " << kSeed;
    }
  }
}

TEST(FragmentOverlap, NamesAreFoundAndUnknownOnesAreNot) {
  EXPECT_EQ(fragment_overlap_from_name("bsd"), FragmentOverlap::Bsd);
  EXPECT_EQ(fragment_overlap_from_name("old-solaris"), FragmentOverlap::First);
  EXPECT_EQ(fragment_overlap_from_name("BSD"), std::nullopt);
  EXPECT_EQ(fragment_overlap_from_name(""), std::nullopt);
  std::set<std::string_view> names;
  for (const FragmentOverlapName& row : kFragmentOverlapNames) names.insert(row.name);
  EXPECT_EQ(names.size(), kFragmentOverlapNames.size());
}

}  // namespace
}  // namespace flowloom::test
