// How segments can lie to one another: the 13 relations of two, the 409 of three, and the worked
// examples with their published outcomes. Positions count from a hole at 0, so every segment waits
// until the hole is filled.
#pragma once

#include <map>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace flowloom::test {

/// What one segment covers, half-open. The stream's first byte is at 0.
struct Chunk {
  int begin;
  int end;
  friend bool operator==(const Chunk&, const Chunk&) = default;
};

inline std::string to_text(const std::vector<Chunk>& chunks) {
  std::string text;
  for (const Chunk& c : chunks) {
    text += " [" + std::to_string(c.begin) + "," + std::to_string(c.end) + ")";
  }
  return text;
}

/// The relation of an older chunk to a newer one (Allen, 1983).
inline std::string relation(Chunk a, Chunk b) {
  if (a.end < b.begin) return "b";
  if (b.end < a.begin) return "bi";
  if (a.end == b.begin) return "m";
  if (b.end == a.begin) return "mi";
  if (a == b) return "eq";
  if (a.begin == b.begin) return a.end < b.end ? "s" : "si";
  if (a.end == b.end) return b.begin < a.begin ? "f" : "fi";
  if (a.begin < b.begin) return b.end < a.end ? "di" : "o";
  return a.end < b.end ? "d" : "oi";
}

/// All ways in which `count` intervals can lie: end points are compared by rank, and no rank is
/// left out, so each configuration comes once.
inline std::vector<std::vector<Chunk>> all_configurations(std::size_t count) {
  const int ranks = static_cast<int>(2 * count);
  std::vector<Chunk> intervals;
  for (int b = 0; b < ranks; ++b) {
    for (int e = b + 1; e < ranks; ++e) intervals.push_back({b, e});
  }
  std::vector<std::vector<Chunk>> all(1);
  for (std::size_t i = 0; i < count; ++i) {
    std::vector<std::vector<Chunk>> longer;
    for (const std::vector<Chunk>& chunks : all) {
      for (const Chunk& interval : intervals) {
        longer.push_back(chunks);
        longer.back().push_back(interval);
      }
    }
    all = longer;
  }
  std::erase_if(all, [](const std::vector<Chunk>& chunks) {
    std::set<int> used;
    for (const Chunk& c : chunks) used.insert({c.begin, c.end});
    return *used.rbegin() + 1 != static_cast<int>(used.size());
  });
  return all;
}

inline std::vector<Chunk> shifted(std::vector<Chunk> chunks, int by) {
  for (Chunk& c : chunks) c = {c.begin + by, c.end + by};
  return chunks;
}

/// Policies that are algorithms of their own.
inline const std::vector<std::string> kOverlapAlgorithms = {
    "bsd",   "first",        "last",      "freebsd-12", "linux", "linux-modern", "old-linux",
    "solaris", "solaris-snort"};

struct OverlapExample {
  std::string_view name;
  std::vector<Chunk> chunks;
  /// Owners from position 1 on: 'A' is the first chunk, '-' nobody.
  std::map<std::string, std::string> owners;
};

inline std::vector<Chunk> seventeen_segments() {
  const std::vector<std::pair<int, int>> sent = {
      {2, 3},  {6, 2},  {8, 3},  {12, 1}, {15, 2}, {17, 3}, {20, 2}, {22, 2}, {24, 1},
      {3, 4},  {8, 3},  {11, 3}, {14, 3}, {18, 1}, {21, 1}, {22, 1}, {24, 2}};
  std::vector<Chunk> chunks;
  for (const auto& [start, length] : sent) chunks.push_back({start, start + length});
  chunks.push_back({1, 2});
  return chunks;
}

/// `0` of the published strings, the eighteenth segment, is `R` here.
inline std::vector<OverlapExample> overlap_examples() {
  const auto all_but = [](const std::string& usual, std::map<std::string, std::string> others) {
    for (const std::string& policy : kOverlapAlgorithms) others.emplace(policy, usual);
    return others;
  };
  return {
      {"o", {{1, 5}, {3, 7}}, all_but("AAAABB", {{"last", "AABBBB"}, {"solaris", "AABBBB"},
                                                 {"solaris-snort", "AABBBB"}})},
      {"oi", {{3, 7}, {1, 5}}, all_but("BBBBAA", {{"first", "BBAAAA"}, {"solaris", "BBAAAA"},
                                                  {"solaris-snort", "BBAAAA"}})},
      {"s", {{1, 3}, {1, 5}}, all_but("BBBB", {{"first", "AABB"}, {"bsd", "AABB"},
                                               {"freebsd-12", "AABB"}})},
      {"d", {{3, 4}, {1, 6}}, all_but("BBBBB", {{"first", "BBABB"}})},
      {"eq at the head", {{1, 4}, {1, 4}},
       all_but("AAA", {{"last", "BBB"}, {"old-linux", "BBB"}, {"solaris-snort", "BBB"}})},
      {"eq behind the head", {{1, 3}, {5, 7}, {5, 7}},
       all_but("AA--BB", {{"last", "AA--CC"}, {"old-linux", "AA--CC"}, {"solaris", "AA--CC"}})},
      {"s, then eq", {{1, 3}, {1, 5}, {1, 5}},
       all_but("CCCC", {{"first", "AABB"}, {"freebsd-12", "AABB"}, {"bsd", "AACC"},
                        {"linux", "BBBB"}, {"linux-modern", "BBBB"}})},
      {"over a seam", {{1, 5}, {5, 9}, {3, 7}},
       all_but("AAAACCBB", {{"first", "AAAABBBB"}, {"freebsd-12", "AAAABBBB"},
                            {"linux-modern", "AAAABBBB"}, {"solaris", "AAAABBBB"},
                            {"last", "AACCCCBB"}, {"solaris-snort", "AACCBBBB"}})},
      {"seventeen segments", seventeen_segments(),
       {{"first", "RAAAJBBCCCLDLMEEFFFGGHHIQ"}, {"last", "RAJJJJBKKKLLLMMMFNFGOPHQQ"},
        {"bsd", "RAAAJJBCCCLLLMMMFFFGGHHIQ"}, {"freebsd-12", "RAAAJJBCCCLLLMMMFFFGGHHIQ"},
        {"linux", "RAAAJJBCCCLLLMMMFFFGGHHQQ"}, {"linux-modern", "RAAAJJBCCCLLLMMMFFFGGHHIQ"},
        {"old-linux", "RAAAJJBKKKLLLMMMFFFGGHHQQ"}, {"solaris", "RAJJJBBKKKLLLMMMFFFGGHHQQ"},
        {"solaris-snort", "RAJJJBBKKKLLLMMMFFFGGHHQQ"}}},
      {"a smaller first", {{1, 2}, {1, 3}, {1, 3}}, {{"bsd", "AC"}, {"freebsd-12", "AB"}}},
      {"side by side", {{1, 2}, {2, 3}, {1, 3}}, {{"bsd", "AC"}, {"freebsd-12", "AB"}}},
      {"joined", {{1, 3}, {3, 5}, {3, 7}}, {{"linux-modern", "AABBCC"}, {"linux", "AACCCC"}}},
      {"around two", {{1, 3}, {3, 5}, {1, 7}}, {{"bsd", "AACCCC"}, {"freebsd-12", "AABBCC"}}},
  };
}

}  // namespace flowloom::test
