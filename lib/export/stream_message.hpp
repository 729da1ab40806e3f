// What crosses the ring from a worker to the writer core.
#pragma once

#include <cstdint>

#include "stream/consumer.hpp"

namespace flowloom {

/// A run of export memory; the bytes follow the header. Blocks of a chain are in stream order.
struct ExportBlock {
  ExportBlock* next = nullptr;
  std::uint32_t used = 0;      ///< bytes filled
  std::uint32_t capacity = 0;  ///< bytes that fit
  std::uint16_t size_class = 0;

  [[nodiscard]] std::uint8_t* data() { return reinterpret_cast<std::uint8_t*>(this + 1); }
  [[nodiscard]] const std::uint8_t* data() const {
    return reinterpret_cast<const std::uint8_t*>(this + 1);
  }
  [[nodiscard]] ByteView bytes() const { return {data(), used}; }
};

/// A singly linked chain of blocks.
struct BlockChain {
  ExportBlock* first = nullptr;
  ExportBlock* last = nullptr;
  std::uint32_t bytes = 0;  ///< export memory is 512 MiB at most
  std::uint32_t room = 0;   ///< capacities of the blocks together, where an exporter made it
};

/// So many conflicts of a sender are listed, whether or not their bytes are kept.
inline constexpr std::uint32_t kListedConflictsMax = 16;
/// Bytes of conflicts that are kept of one connection: both copies, both directions.
inline constexpr std::uint32_t kEvidenceBytesMax = 64 * 1024;

/// Whether the bytes of a connection may travel before it ends, and whether with a record, where
/// somebody needs its names.
enum class EarlyBytes : std::uint8_t { No, Bare, Named };

/// Whether the bytes of conflicts are wanted.
enum class KeepEvidence : std::uint8_t { No, Yes };

/// In StreamMessage::conflicts, followed by `copied` bytes of the copy that was held and as many of
/// the one that arrived: the first of each, as far as they were wanted and the limit allows.
struct ConflictEntry {
  Conflict conflict;
  std::uint32_t copied;
};

/// How much of packets is wanted.
enum class PacketsWanted : std::uint8_t { None, Summaries, Frames };

/// In StreamMessage::packets, followed by `copied` bytes of the frame.
struct PacketEntry {
  Timestamp stamp{};
  std::uint64_t number = 0;
  std::uint32_t wire_length = 0;
  std::uint32_t payload_length = 0;
  std::uint32_t ahead = 0;          ///< as in PacketNote
  std::uint32_t copied = 0;
  std::uint32_t gaps[2] = {0, 0};   ///< per direction, announced since the connection's last entry
  LinkType link = LinkType::Unknown;
  KeySide sender = KeySide::Lower;
  std::uint8_t marks = 0;           ///< packet_marks
};

/// News of one connection. A connection that fits its blocks travels as one Close message; a
/// longer one sends Progress messages first. In every message: for each direction d, `data[d]`
/// holds delivered bytes that continue the messages before it, and `gaps[d]` holds Gap structs
/// (packed, in ascending offset) announced since the message before it. To find where data bytes
/// stand: the stream position runs from `data_offset[d]`, jumping over the gaps as they are met.
///
/// With EarlyBytes a connection both of whose directions came to their end without a gap sends what
/// it has gathered at that moment, if that is all, as a Bytes message: it may linger for another
/// minute. Its Close message names the same ticket, and has no data.
struct StreamMessage {
  enum class Kind : std::uint8_t { Progress, Close, Probe, Summary, Bytes };

  EventKey key;
  Kind kind = Kind::Close;
  bool first = true;               ///< no earlier message of this connection but Bytes
  std::uint16_t worker = 0;        ///< whose pools its memory belongs to
  /// Joins Bytes and Close of a connection; the worker uses it again afterwards. 0: no Bytes.
  std::uint32_t ticket = 0;
  StreamOffset data_offset[2] = {0, 0};
  BlockChain data[2];
  BlockChain gaps[2];
  BlockChain conflicts;            ///< of both directions: ConflictEntry and copies, packed
  BlockChain packets;              ///< PacketEntry and frames, packed, in order of arrival
  /// Final in a Close message, else a snapshot; none in a Bytes message with EarlyBytes::Bare.
  ConnectionRecord record;
  Probe probe;                     ///< of a Probe message, which carries nothing else but a record
  EvictionSummary summary;         ///< of a Summary, which carries nothing else
};

}  // namespace flowloom
