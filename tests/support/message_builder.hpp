// Builds StreamMessages as the exporter sends them, with memory of their own, for tests of the
// writers. Blocks are small by default, so that every test crosses their borders.
#pragma once

#include "export/stream_message.hpp"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <string_view>
#include <vector>

namespace flowloom::test {

inline Endpoint endpoint_v4(std::array<std::uint8_t, 4> address, std::uint16_t port) {
  return {IpAddress::v4(address.data()), port};
}

inline Endpoint endpoint_v6(std::array<std::uint8_t, 16> address, std::uint16_t port) {
  return {IpAddress::v6(address.data()), port};
}

/// Conflicts whose sender the builder knows.
inline Conflict held_at(StreamOffset position, std::int64_t length) {
  return {position, length, Conflict::Winner::Held, KeySide::Lower};
}
inline Conflict replaced_at(StreamOffset position, std::int64_t length) {
  return {position, length, Conflict::Winner::Arrived, KeySide::Lower};
}

class MessageBuilder {
 public:
  static constexpr auto kOrig = Direction::OriginatorToResponder;
  static constexpr auto kResp = Direction::ResponderToOriginator;

  explicit MessageBuilder(std::uint32_t block_bytes = 100) : block_bytes_(block_bytes) {
    message_.record.sides[0].endpoint = endpoint_v4({10, 1, 1, 101}, 3177);
    message_.record.sides[1].endpoint = endpoint_v4({10, 1, 1, 1}, 80);
    message_.record.first_packet = 1;
    message_.record.close = CloseReason::Fin;
    message_.record.state = ConnState::SF;
    message_.record.established = true;
  }

  /// A connection of its own for every n: other port, other first packet.
  MessageBuilder& number(std::uint64_t n) {
    message_.record.first_packet = n;
    message_.record.sides[0].endpoint.port = static_cast<std::uint16_t>(1024 + n % 60000);
    message_.record.reuse = static_cast<std::uint32_t>(n / 60000);
    return *this;
  }
  MessageBuilder& endpoints(const Endpoint& originator, const Endpoint& responder) {
    message_.record.sides[0].endpoint = originator;
    message_.record.sides[1].endpoint = responder;
    message_.record.ipv6 = !originator.address.is_v4();
    return *this;
  }
  /// Delivered bytes; the record counts them too.
  MessageBuilder& data(Direction d, std::string_view bytes) {
    append(message_.data[index_of(d)], bytes.data(), bytes.size());
    message_.record.sides[index_of(d)].stream_bytes += bytes.size();
    message_.record.sides[index_of(d)].payload_bytes += bytes.size();
    return *this;
  }
  MessageBuilder& gap(Direction d, const Gap& gap) {
    append(message_.gaps[index_of(d)], &gap, sizeof gap);
    ++message_.record.sides[index_of(d)].gap_count;
    message_.record.sides[index_of(d)].gap_bytes += static_cast<std::uint64_t>(gap.length);
    return *this;
  }
  /// Copies may be shorter than the conflict; the record counts it too.
  MessageBuilder& conflict(Direction d, Conflict conflict, std::string_view held,
                           std::string_view arrived) {
    conflict.sender = d == kOrig ? message_.record.originator : KeySide::Upper;
    const ConflictEntry entry{conflict, static_cast<std::uint32_t>(held.size())};
    append(message_.conflicts, &entry, sizeof entry);
    append(message_.conflicts, held.data(), held.size());
    append(message_.conflicts, arrived.data(), arrived.size());
    ++message_.record.sides[index_of(d)].conflict_count;
    return *this;
  }
  /// A packet of a side; its frame may be empty, as where only summaries were asked for.
  MessageBuilder& packet(Direction d, std::int64_t stamp_ns, std::string_view frame,
                         PacketEntry entry = {}) {
    entry.stamp = from_nanoseconds(stamp_ns);
    entry.wire_length = std::max(entry.wire_length, static_cast<std::uint32_t>(frame.size()));
    entry.copied = static_cast<std::uint32_t>(frame.size());
    entry.link = LinkType::Ethernet;
    entry.sender = d == kOrig ? message_.record.originator : KeySide::Upper;
    append(message_.packets, &entry, sizeof entry);
    append(message_.packets, frame.data(), frame.size());
    return *this;
  }
  /// Not the last message of its connection.
  MessageBuilder& progress() {
    message_.kind = StreamMessage::Kind::Progress;
    message_.record.close = CloseReason::Open;
    return *this;
  }
  /// The bytes of a connection whose close names the same ticket.
  MessageBuilder& early(std::uint32_t ticket) {
    message_.kind = StreamMessage::Kind::Bytes;
    message_.ticket = ticket;
    return *this;
  }
  /// Ends a connection whose bytes `bytes` had.
  MessageBuilder& closes(const StreamMessage& bytes) {
    message_.record = bytes.record;
    message_.ticket = bytes.ticket;
    return *this;
  }
  /// Continues a connection after `before`, whose counts the record takes over.
  MessageBuilder& after(const StreamMessage& before) {
    message_.first = false;
    const ConnectionRecord mine = message_.record;
    message_.record = before.record;
    message_.record.close = mine.close;
    for (unsigned d = 0; d < 2; ++d) {
      const SideRecord& side = before.record.sides[d];
      message_.data_offset[d] = static_cast<StreamOffset>(side.stream_bytes + side.gap_bytes);
    }
    return *this;
  }
  ConnectionRecord& record() { return message_.record; }
  StreamMessage& message() { return message_; }

 private:
  struct FreeBlock {
    void operator()(ExportBlock* block) const { ::operator delete(block); }
  };

  void append(BlockChain& chain, const void* bytes, std::size_t size) {
    const auto* from = static_cast<const std::uint8_t*>(bytes);
    chain.bytes += static_cast<std::uint32_t>(size);
    while (size > 0) {
      if (chain.last == nullptr || chain.last->used == chain.last->capacity) add_block(chain);
      const auto count = std::min<std::size_t>(size, chain.last->capacity - chain.last->used);
      std::memcpy(chain.last->data() + chain.last->used, from, count);
      chain.last->used += static_cast<std::uint32_t>(count);
      from += count;
      size -= count;
    }
  }
  void add_block(BlockChain& chain) {
    auto* block = new (::operator new(sizeof(ExportBlock) + block_bytes_)) ExportBlock;
    block->capacity = block_bytes_;
    blocks_.emplace_back(block);
    (chain.last != nullptr ? chain.last->next : chain.first) = block;
    chain.last = block;
  }

  std::uint32_t block_bytes_;
  StreamMessage message_;
  std::vector<std::unique_ptr<ExportBlock, FreeBlock>> blocks_;
};

}  // namespace flowloom::test
