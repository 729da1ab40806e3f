#include "support/random_conversations.hpp"

#include <algorithm>
#include <utility>

namespace flowloom::test {

namespace {

std::uint64_t below(std::mt19937_64& random, std::uint64_t end) { return random() % end; }

/// A segment in the making: relative to its stream.
struct Piece {
  unsigned side = 0;
  std::size_t begin = 0;
  std::size_t end = 0;
  enum class Fate : std::uint8_t { Captured, Lost } fate = Fate::Captured;
};

class Maker {
 public:
  Maker(std::uint32_t number, const TrafficShape& shape, std::mt19937_64& random)
      : shape_(shape), random_(random) {
    out_.number = number;
    const auto port = static_cast<std::uint16_t>(1024 + number % 60000);
    const auto host = static_cast<std::uint8_t>(1 + number / 60000);
    const bool v6 = number % 3 == 0;
    out_.originator = v6 ? endpoint6(host, port) : endpoint4(host, port);
    out_.responder = v6 ? endpoint6(200, 80) : endpoint4(200, 80);
    isn_[0] = static_cast<std::uint32_t>(random());
    // Wrap-around is the normal case here.
    isn_[1] = ~std::uint32_t{0} - static_cast<std::uint32_t>(below(random, 5000));
    for (StreamTruth& stream : out_.streams) {
      stream.bytes.resize(below(random, shape.stream_bytes_max + 1));
      for (char& byte : stream.bytes) byte = static_cast<char>(random());
      stream.captured.resize(stream.bytes.size());
    }
  }

  Conversation make() {
    add(0, "S", 0, 0, "");
    if (shape_.handshake == TrafficShape::Handshake::Captured) add(1, "S.", 0, 1, "");
    add(0, ".", 1, 1, "");
    for (const Piece& piece : schedule()) send(piece);
    const auto end = [this](unsigned side) {
      return static_cast<std::uint32_t>(out_.streams[side].bytes.size()) + 1;
    };
    add(0, "F.", end(0), seen_ack(1), "");
    add(1, "F.", end(1), end(0) + 1, "");
    add(0, ".", end(0) + 1, end(1) + 1, "");
    return std::move(out_);
  }

 private:
  std::vector<Piece> schedule() {
    std::vector<Piece> pieces;
    for (unsigned side = 0; side < 2; ++side) {
      const std::size_t size = out_.streams[side].bytes.size();
      for (std::size_t at = 0; at < size;) {
        const std::size_t end = std::min(size, at + 1 + below(random_, shape_.segment_bytes_max));
        const bool lost = below(random_, 100) < shape_.loss_percent;
        pieces.push_back({side, at, end, lost ? Piece::Fate::Lost : Piece::Fate::Captured});
        if (below(random_, 100) < shape_.repeat_percent) {
          const std::size_t from = at - std::min(at, below(random_, 200));
          const std::size_t to = std::min(size, from + 1 + below(random_, 300));
          pieces.push_back({side, from, to, Piece::Fate::Captured});
        }
        at = end;
      }
    }
    // Both sides talk at once; then each segment moves a little.
    std::stable_sort(pieces.begin(), pieces.end(),
                     [](const Piece& a, const Piece& b) { return a.begin < b.begin; });
    std::vector<std::pair<std::size_t, Piece>> moved;
    for (std::size_t i = 0; i < pieces.size(); ++i) {
      moved.emplace_back(i + below(random_, shape_.reorder_distance + 1), pieces[i]);
    }
    std::stable_sort(moved.begin(), moved.end(),
                     [](const auto& a, const auto& b) { return a.first < b.first; });
    for (std::size_t i = 0; i < pieces.size(); ++i) pieces[i] = moved[i].second;
    return pieces;
  }

  void send(const Piece& piece) {
    StreamTruth& stream = out_.streams[piece.side];
    sent_[piece.side] = std::max(sent_[piece.side], piece.end);
    if (piece.fate == Piece::Fate::Lost) return;
    for (std::size_t i = piece.begin; i < piece.end; ++i) stream.captured[i] = true;
    add(piece.side, "P.", static_cast<std::uint32_t>(piece.begin) + 1, seen_ack(1 - piece.side),
        std::string_view(stream.bytes).substr(piece.begin, piece.end - piece.begin));
    if (below(random_, 4) == 0) {
      add(1 - piece.side, ".", static_cast<std::uint32_t>(sent_[1 - piece.side]) + 1,
          seen_ack(piece.side), "");
    }
  }

  /// What the other side acknowledges of `side`'s stream at the moment.
  std::uint32_t seen_ack(unsigned side) {
    StreamTruth& stream = out_.streams[side];
    if (shape_.acks == TrafficShape::Acks::OfWhatWasSent) {
      acked_[side] = std::max(acked_[side], sent_[side] - below(random_, sent_[side] / 4 + 1));
    } else {
      while (acked_[side] < stream.bytes.size() && stream.captured[acked_[side]]) ++acked_[side];
    }
    return static_cast<std::uint32_t>(acked_[side]) + 1;
  }

  void add(unsigned side, std::string_view flags, std::uint32_t seq, std::uint32_t ack,
           std::string_view payload) {
    PacketBuilder packet;
    packet.from(side == 0 ? out_.originator : out_.responder)
        .to(side == 0 ? out_.responder : out_.originator)
        .flags(flags)
        .seq(isn_[side] + seq)
        .ack(isn_[1 - side] + ack)
        .payload(payload);
    // No sender goes beyond what its receiver permits: 64,000 bytes times this.
    if (flags.find('S') != std::string_view::npos) packet.window_scale(kWindowScale);
    if (below(random_, 5) == 0) packet.pad_to(80);
    out_.frames.push_back(packet.build(Timestamp{}));
  }

  static constexpr std::uint8_t kWindowScale = 14;
  const TrafficShape shape_;
  std::mt19937_64& random_;
  Conversation out_;
  std::uint32_t isn_[2];
  std::size_t sent_[2] = {0, 0};
  std::size_t acked_[2] = {0, 0};
};

}  // namespace

Conversation make_conversation(std::uint32_t number, const TrafficShape& shape,
                               std::mt19937_64& random) {
  return Maker(number, shape, random).make();
}

std::vector<Conversation> make_conversations(std::uint32_t count, const TrafficShape& shape,
                                             std::mt19937_64& random) {
  std::vector<Conversation> all;
  for (std::uint32_t n = 0; n < count; ++n) all.push_back(make_conversation(n, shape, random));
  return all;
}

std::vector<Frame> interleaved(const std::vector<Conversation>& conversations, Duration step,
                               std::mt19937_64& random) {
  std::vector<std::size_t> turns;
  for (std::size_t i = 0; i < conversations.size(); ++i) {
    turns.insert(turns.end(), conversations[i].frames.size(), i);
  }
  std::shuffle(turns.begin(), turns.end(), random);
  std::vector<std::size_t> next(conversations.size(), 0);
  std::vector<Frame> frames;
  frames.reserve(turns.size());
  Timestamp now = from_nanoseconds(1'700'000'000'000'000'000);
  for (const std::size_t turn : turns) {
    frames.push_back(conversations[turn].frames[next[turn]++]);
    frames.back().stamp = now += step;
  }
  return frames;
}

}  // namespace flowloom::test
