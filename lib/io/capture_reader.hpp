// One capture file: reads it chunk by chunk, undoes compression, keeps the record that crosses two
// chunks in one piece, and says in one sentence what was wrong. Gives packets in file order; clock,
// number and input are the source's business.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>

#include "io/capture_parser.hpp"
#include "io/chunk_pool.hpp"
#include "io/decompressor.hpp"
#include "io/input_file.hpp"
#include "io/input_problem.hpp"
#include "net/packet.hpp"

namespace flowloom {

class CaptureReader {
 public:
  enum class More : std::uint8_t {
    Bytes,  ///< parse again
    Wait,   ///< no chunk is free, or a pipe has nothing now
    End     ///< nothing will come; problem() says whether something is missing
  };

  /// Opens nothing: the first read_more() does.
  CaptureReader(std::string path, ChunkPool& pool, DescriptorBudget& budget);
  ~CaptureReader();
  CaptureReader(const CaptureReader&) = delete;
  CaptureReader& operator=(const CaptureReader&) = delete;

  /// The packets that lie complete in memory, at most out.size(). 0: read_more() is due. Their
  /// frames stay where they are until the packet with the last number is released.
  std::uint32_t parse(std::span<Packet> out) {
    if (has_ahead_) [[unlikely]] {
      has_ahead_ = false;
      out[0] = ahead_;
      return 1;
    }
    return parse_records(out);
  }

  /// `last_number`: no packet of this file that was handed out has a higher one.
  More read_more(std::uint64_t last_number);

  /// Makes sure that ahead() is the packet which parse() will give next. What was parsed before,
  /// and has no number yet, stays where it is until the next read_more(). `last_number` as there.
  More look_ahead(std::uint64_t last_number);
  /// Preconditions: look_ahead() returned Bytes, and parse() was not called since.
  [[nodiscard]] const Packet& ahead() const { return ahead_; }

  [[nodiscard]] const std::optional<InputProblem>& problem() const { return problem_; }
  [[nodiscard]] const InputFile& file() const { return file_; }

 private:
  std::uint32_t parse_records(std::span<Packet> out) {
    const CaptureParser::Step step = parser_.parse({position_, end_}, out);
    position_ += step.consumed;
    needed_ = step.needed;
    packets_ += step.packets;
    return step.packets;
  }
  More read_on(std::uint64_t last_number);
  void retire_kept(std::uint64_t last_number);
  bool make_room(std::uint64_t last_number);
  ReadResult read_into_room();
  More decompress_or_give_up();
  More finish(ReadState state);
  More report(ProblemSeverity severity, std::string what);
  [[nodiscard]] std::string name() const;

  ChunkPool& pool_;
  InputFile file_;
  std::unique_ptr<Decompressor> decompressor_;
  CaptureParser parser_;
  Chunk* chunk_ = nullptr;
  std::uint8_t* position_ = nullptr;  // first byte that is not parsed
  std::uint8_t* end_ = nullptr;       // one past the last byte that was read
  std::uint8_t* limit_ = nullptr;     // one past the last byte that may be read into
  std::size_t needed_ = 0;
  Packet ahead_{};
  bool has_ahead_ = false;
  bool looking_ahead_ = false;
  Chunk* kept_ = nullptr;             // of packets that have no number yet
  std::uint64_t packets_ = 0;
  bool ended_ = false;
  std::uint64_t last_number_ = 0;
  std::optional<InputProblem> problem_;
};

}  // namespace flowloom
