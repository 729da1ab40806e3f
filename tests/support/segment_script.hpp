// Connection scripts (.seg): a trace of segments with what must have happened at each point. This
// file is the text and its meaning as data; script_runner.hpp plays it.
//
// A line is a comment (#), a setting, a segment, a macro or an expectation. `>` is the side that
// the script calls originator, `<` the other one. Sequence numbers are relative to the sender's
// initial sequence number, acknowledgements to the receiver's: the SYN is 0, the first data byte 1.
//
//   set max-flows 16            also: depth N, overlap POLICY, fragment-overlap POLICY,
//                               memory BYTES, checksum auto|all|none, idle-timeout S,
//                               syn-timeout S, closed-timeout S, only ipv4|ipv6,
//                               hosts one|multicast (both ends are one host; > sends to a group),
//                               first-segments open (what is told at once is not put off: not
//                               played with HoldFirst)
//   +.5 > S 0:0(0) win 65535 <mss 1460,ws 7,sackok,ts 1 0>
//                               +SECONDS since the line before (1 ms if left out), side, flags
//                               (S F R P . U E W, - for none), SEQ:END(LENGTH); a SYN or FIN is not
//                               counted in LENGTH
//   > P. 1:6(5) ack 1 "hello"   without text the payload is made from its position, so that
//                               repetitions agree
//     after the numbers:        ack N, win N, urg N, port N (of the originator), vlan N,
//                               rawseq N, rawack N (absolute), <options>
//       several segments:       split N (into segments of N bytes), reversed (those backwards),
//                               times N, sweep N (from so many ports)
//       the frame:              pad N (its length), snap N (bytes captured), mac N (of the sender),
//                               in KIND ID (a tunnel, innermost first: ipip gre vxlan geneve gtpu
//                               mpls pppoe), icmp (an error that quotes the segment, sent back)
//       headers:                badsum, zerosum, offload, doff N; iplen N, ihl N, badipsum, ttl N,
//                               id N, proto N, df
//       fragments:              frag BEGIN:END+ (a packet with these bytes of the IP payload, + for
//                               "more follow"; again for another), outer BEGIN:END+ (the same of
//                               the outermost datagram; END beyond it: to its end)
//     <options>:                mss N, ws N, sackok, ts VALUE ECHO, raw HEX..., ip HEX... (of
//                               IPv4), ext NAME... (IPv6 headers: hbh dst rh0 rh2 ah frag)
//   handshake                   S, S., . with window scale 7 on both sides
//   closing C S                 F. of >, F. of <, last ACK; the data ends at C and S
//   +3600 tick                  time passes without a packet
//   finish                      the input ends here; else after the last line
//
//   => data > 0 "hello"         the next of `>`'s stream that no line has claimed: all bytes
//                               delivered from there up to now, exactly these; also: fill N
//   => gap > 4 4 capture-loss   ... a gap: offset, length, cause
//   => end >                    ... the end of the stream;  => ends: of both
//   => nothing >                nothing unclaimed has been delivered in this direction
//   => open N                   N connections are open now
// Claims stand where they are written: they see what the lines above have caused, no more. The
// others are looked at when the input has ended, wherever they stand:
//   => bytes > "..."            all delivered bytes of `>`; its data needs no claims, its gaps do
//   => history ShADadFf   => state SF   => close fin   => midstream   => reuse N
//   => originator <             the tracker took `<` for the originator (default: >)
//   => anomaly NAME [COUNT]     every anomaly of the connection must be named
//   => count NAME > N           a counter of the record: duplicate_bytes, retransmissions,
//                               out_of_order, overlap_conflicts, urgent_bytes
//   => urgent > N...            where the record says that urgent bytes stand
//   => fate NAME N              of the run's bytes; all but `delivered` must be named
//   => verdict NAME N           of the run's packets; all but `tcp` must be named
//   => reject NAME N            of the run's fragments; all must be named
//   => datagrams NAME N         reassembled, expired, discarded, overlaps, overlap_conflicts,
//                               decided_by_checksum or bad_checksum
//   => bad_timestamps N         packets whose stamp the clock did not follow
//   => connections N            of the run (default 1)
// `=> #2 ...` speaks of the second connection. What was delivered and not claimed is a failure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/time.hpp"
#include "ip/fragment_overlap.hpp"
#include "net/direction.hpp"
#include "pipeline/shard_config.hpp"
#include "support/packet_builder.hpp"

namespace flowloom::test {

/// A side of the conversation as the script calls it.
enum class ScriptSide : std::uint8_t { Left, Right };  // > and <

struct ScriptSegment {
  Duration delay{0};
  ScriptSide side = ScriptSide::Left;
  std::string flags;
  std::int64_t seq = 0;
  std::uint32_t length = 0;
  std::optional<std::int64_t> ack;
  std::optional<std::uint32_t> raw_seq;
  std::optional<std::uint32_t> raw_ack;
  std::uint16_t window = 64000;
  std::uint16_t urgent = 0;
  std::uint16_t port = 40000;
  std::uint8_t ttl = 64;         ///< also the hop limit of IPv6
  std::vector<std::uint16_t> vlans;
  std::uint32_t pad = 0;
  std::uint32_t snap = 0;
  std::optional<std::uint16_t> ip_length;
  PacketBuilder::Checksum sum = PacketBuilder::Checksum::Good;
  PacketBuilder::Checksum ip_sum = PacketBuilder::Checksum::Good;
  std::uint16_t ip_id = 0x1234;
  std::uint8_t protocol = 6;
  std::optional<std::uint8_t> ip_header_words;
  std::optional<std::uint8_t> data_offset;
  std::vector<FragmentRange> fragments;  ///< one packet each; none: the whole segment
  std::vector<TunnelLayer> tunnels;      ///< innermost first
  std::vector<FragmentRange> outer_fragments;
  std::uint8_t mac = 1;
  enum class DontFragment : std::uint8_t { No, Yes } dont_fragment = DontFragment::No;
  enum class Quoted : std::uint8_t { No, Yes } quoted = Quoted::No;
  std::string options;           ///< between < and >
  std::optional<std::string> text;
  std::uint32_t split = 0;       ///< 0: one segment
  enum class Order : std::uint8_t { Forward, Reversed } order = Order::Forward;
  std::uint32_t times = 1;
  std::uint32_t sweep = 1;       ///< each of that many originator ports
};

struct ScriptExpectation {
  std::size_t connection = 1;
  std::string what;
  std::vector<std::string> words;  ///< after `what`; a quoted text is one word, unquoted
};

struct ScriptStep {
  enum class Kind : std::uint8_t { Segment, Tick, Finish, Expect } kind = Kind::Segment;
  int line = 0;
  ScriptSegment segment;
  Duration delay{0};  // of Tick
  ScriptExpectation expectation;
};

struct SegmentScript {
  std::string name;
  ShardConfig config;
  FragmentOverlap fragment_overlap = FragmentOverlap::Bsd;
  enum class Only : std::uint8_t { Neither, V4, V6 } only = Only::Neither;
  enum class Hosts : std::uint8_t { Two, One, Multicast } hosts = Hosts::Two;
  enum class FirstSegments : std::uint8_t { MayWait, Open } first_segments = FirstSegments::MayWait;
  std::vector<ScriptStep> steps;
};

/// Throws std::runtime_error with file and line where the text is not a script.
SegmentScript load_script(const std::string& path);
SegmentScript parse_script(const std::string& name, const std::string& text);

/// Bytes made from their position: what a segment without text carries.
std::string fill_bytes(ScriptSide side, std::int64_t position, std::size_t count);

}  // namespace flowloom::test
