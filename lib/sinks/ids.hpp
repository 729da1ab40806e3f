// Names of a connection that are the same for the same capture on every machine: the uid and the
// Community ID (https://github.com/corelight/community-id-spec, version 1).
//
// The uid is 'C' and 18 base-62 digits of the SHA-256 of what identifies the connection, all in
// network byte order: the number of encapsulation layers (4 bytes), each layer's kind (1) and id
// (4), the IP version (1), the lower and the upper end point (16-byte address, 2-byte port
// each), the stamp of the first packet (8, nanoseconds since 1970), its sequence number (4) and
// how often the tuple had been used before (4). The digits are the first nine of the hash's
// first 8-byte word and the first nine of its second, least significant first, taken modulo
// 62^9. A cryptographic hash, because whoever sends the traffic chooses the tuple, the sequence
// number and, roughly, the time: with a keyless mix he could make two connections share a name.
#pragma once

#include "sinks/digest.hpp"
#include "sinks/text.hpp"
#include "stream/connection_record.hpp"

#include <string_view>

namespace flowloom {

inline constexpr std::size_t kUidLength = 19;
using Uid = FixedText<20>;
using CommunityId = FixedText<32>;  // "1:" and 28 characters of base 64

class IdMaker {
 public:
  Uid uid(const ConnectionRecord& record);
  /// Of the TCP connection, seed 0.
  CommunityId community_id(const ConnectionRecord& record);

 private:
  Digest sha1_{DigestAlgorithm::Sha1};
  Digest sha256_{DigestAlgorithm::Sha256};
};

}  // namespace flowloom
