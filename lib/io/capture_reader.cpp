#include "io/capture_reader.hpp"

#include <algorithm>
#include <cstring>
#include <utility>

#include <fmt/format.h>

namespace flowloom {

namespace {
// Reads start at such addresses, as they do in the file: the kernel copies whole pages.
constexpr std::size_t kReadAlignment = 4096;

// A chunk may hold no packet at all; after so many the worker gets to look round.
constexpr int kReadsAhead = 64;

constexpr std::size_t round_up(std::size_t bytes) {
  return (bytes + kReadAlignment - 1) / kReadAlignment * kReadAlignment;
}
}  // namespace

CaptureReader::CaptureReader(std::string path, ChunkPool& pool, DescriptorBudget& budget)
    : pool_(pool), file_(std::move(path), budget) {
  pool_.join();
}

CaptureReader::~CaptureReader() {
  retire_kept(last_number_);
  if (chunk_ != nullptr) pool_.retire(chunk_, last_number_);
  pool_.leave();
}

std::string CaptureReader::name() const {
  return file_.path() == "-" ? "standard input" : file_.path();
}

CaptureReader::More CaptureReader::report(ProblemSeverity severity, std::string what) {
  problem_ = InputProblem{severity, fmt::format("{}: {}", name(), what)};
  ended_ = true;
  return More::End;
}

CaptureReader::More CaptureReader::read_more(std::uint64_t last_number) {
  retire_kept(last_number);
  return read_on(last_number);
}

CaptureReader::More CaptureReader::look_ahead(std::uint64_t last_number) {
  if (has_ahead_) return More::Bytes;
  // All that an earlier look ahead kept has its number by now.
  if (!looking_ahead_) retire_kept(last_number);
  looking_ahead_ = true;
  More more = More::Bytes;
  for (int reads = 0; more == More::Bytes && !has_ahead_; ++reads) {
    has_ahead_ = parse_records({&ahead_, 1}) == 1;
    if (has_ahead_) break;
    more = reads < kReadsAhead ? read_on(last_number) : More::Wait;
  }
  looking_ahead_ = more == More::Wait;
  return more;
}

void CaptureReader::retire_kept(std::uint64_t last_number) {
  if (kept_ == nullptr) return;
  pool_.retire(kept_, last_number);
  pool_.leave();
  kept_ = nullptr;
}

CaptureReader::More CaptureReader::read_on(std::uint64_t last_number) {
  last_number_ = last_number;
  if (ended_) return More::End;
  if (parser_.state() == CaptureParser::State::Damaged) {
    return report(ProblemSeverity::Damaged,
                  fmt::format("damaged after {} packets ({}); everything before is kept, the rest "
                              "cannot be read",
                              packets_, parser_.damage()));
  }
  if (parser_.state() == CaptureParser::State::NotCapture) return decompress_or_give_up();
  if (!make_room(last_number)) return More::Wait;
  const ReadResult read = read_into_room();
  switch (read.state) {
    case ReadState::Bytes:
      end_ += read.bytes;
      return More::Bytes;
    case ReadState::Nothing:
      return More::Wait;
    case ReadState::End:
    case ReadState::Failed:
      break;
  }
  return finish(read.state);
}

ReadResult CaptureReader::read_into_room() {
  const std::span<std::uint8_t> room(end_, limit_);
  return decompressor_ ? decompressor_->read(room) : file_.read(room, Waiting::Briefly);
}

// The unparsed rest moves to the next chunk, so that its record is in one piece.
bool CaptureReader::make_room(std::uint64_t last_number) {
  const auto rest = static_cast<std::size_t>(end_ - position_);
  if (end_ != limit_ && static_cast<std::size_t>(limit_ - position_) >= needed_) return true;
  const std::size_t lead = round_up(rest);
  const std::size_t missing = needed_ > rest ? needed_ - rest : 1;
  const std::size_t fresh = std::max(pool_.chunk_bytes(), missing);
  Chunk* next = pool_.acquire(lead + fresh);
  if (next == nullptr) return false;
  std::uint8_t* const base = next->data;
  if (rest != 0) std::memcpy(base + lead - rest, position_, rest);
  if (looking_ahead_ && kept_ == nullptr && chunk_ != nullptr) {
    kept_ = chunk_; // as if another reader held it, so that no state waits for itself
    pool_.join();
  } else if (chunk_ != nullptr) {
    pool_.retire(chunk_, last_number);
  }
  chunk_ = next;
  position_ = base + lead - rest;
  end_ = base + lead;
  limit_ = end_ + fresh;
  return true;
}

// Not a capture as it stands: its content decides whether it is a compressed one.
CaptureReader::More CaptureReader::decompress_or_give_up() {
  if (decompressor_) {
    return report(ProblemSeverity::Unreadable,
                  "what is compressed in it is neither pcap nor pcapng; is it the right file?");
  }
  decompressor_ = make_decompressor(file_, std::vector(position_, end_));
  parser_ = CaptureParser();
  position_ = end_;
  needed_ = 0;
  return More::Bytes;
}

CaptureReader::More CaptureReader::finish(ReadState state) {
  const bool failed = state == ReadState::Failed;
  const bool plain = !decompressor_;
  if (failed && plain && file_.offset() == 0) {
    return report(
        ProblemSeverity::Unreadable,
        fmt::format("cannot be read ({}); check its name and permissions", file_.error()));
  }
  if (failed && !plain && !decompressor_->recognised()) {
    return report(
        ProblemSeverity::Unreadable,
        "neither pcap nor pcapng, and not compressed in a known way; editcap may know how "
        "to convert it");
  }
  if (failed) {
    return report(ProblemSeverity::Damaged,
                  fmt::format("ended early after {} packets ({}); everything before is kept",
                              packets_, plain ? file_.error() : decompressor_->error()));
  }
  if (parser_.state() == CaptureParser::State::Unidentified) {
    const bool empty = position_ == end_;
    return report(ProblemSeverity::Unreadable,
                  empty ? "it is empty; nothing was captured into it"
                        : "neither pcap nor pcapng, and too short for either");
  }
  if (position_ != end_ || !parser_.between_records()) {
    return report(ProblemSeverity::Damaged,
                  fmt::format("ended early, inside a record after {} packets; everything before is "
                              "kept",
                              packets_));
  }
  ended_ = true;
  return More::End;
}

}  // namespace flowloom
