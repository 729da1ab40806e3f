// flowloom as a library: packets in, TCP streams out. This is the only header that is installed; it
// needs nothing but the standard library. Every byte of a stream is told once and in order, or
// reported as a gap with offset, length and cause.
//
//   flowloom::Extractor extractor;
//   extractor.open({"capture.pcap"});
//   while (const flowloom::ExtractorEvent* event = extractor.next()) ...       pull
//   extractor.run(handler);                                                 run to the end
//   extractor.feed(frame, stamp, flowloom::kLinkEthernet);                  push
//
// Units: offsets, lengths and sizes are bytes; times are nanoseconds since 1970-01-01 UTC as the
// packets carry them, durations nanoseconds of packet time. The words of TCP are those of RFC 9293.
//
// Errors: what a packet can cause is counted (statistics()) and never thrown. Wrong options throw
// std::invalid_argument, inputs that cannot be used std::runtime_error, calls that make no sense
// (feeding after finish()) std::logic_error; their text is a sentence for people.
//
// Threads: an extractor belongs to one thread at a time, but for interrupt(). Extractors share
// nothing: there may be any number of them, on any threads.
#pragma once

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#define FLOWLOOM_API __attribute__((visibility("default")))

namespace flowloom {

/// The two ends of a connection: who opened it, and who answered (without a SYN: docs/tcp.md).
enum class Side : std::uint8_t { Originator = 0, Responder = 1 };

/// LINKTYPE_ numbers (https://www.tcpdump.org/linktypes.html) of what is fed most.
inline constexpr std::uint32_t kLinkEthernet = 1;
inline constexpr std::uint32_t kLinkRaw = 101;  ///< IPv4 or IPv6 without anything before it

/// An address and a TCP port.
struct EndPoint {
  std::array<std::uint8_t, 16> address{};  ///< network order; IPv4 is mapped: ::ffff:a.b.c.d
  std::uint16_t port = 0;                  ///< host order
  bool ipv6 = false;

  /// "10.1.1.1" or "2001:db8::1" (RFC 5952).
  [[nodiscard]] FLOWLOOM_API std::string address_text() const;
  /// "10.1.1.1:80" or "[2001:db8::1]:80".
  [[nodiscard]] FLOWLOOM_API std::string text() const;
  friend bool operator==(const EndPoint&, const EndPoint&) = default;
};

/// Why bytes are missing.
enum class GapReason : std::uint8_t {
  CaptureLoss,  ///< the receiver acknowledged them: they were sent, and the capture lost them
  NetworkLoss,  ///< the receiver never acknowledged them
  Cut,          ///< a limit of this extractor (depth, memory)
  Unknown       ///< nobody was heard who could tell
};

/// Why a connection ended; Open while it has not.
enum class EndReason : std::uint8_t {
  Open, Fin, Rst, Idle, SynTimeout, Evicted, Reused, EndOfInput
};

/// The words that records and JSON use: "capture-loss", "fin", ...
[[nodiscard]] FLOWLOOM_API std::string_view name_of(GapReason reason);
[[nodiscard]] FLOWLOOM_API std::string_view name_of(EndReason reason);

/// A counter by the name it has in stats.json and flows.jsonl.
struct Count {
  std::string_view name;
  std::uint64_t value;
};

/// One side of a connection and the bytes it sent.
struct SideInfo {
  EndPoint end_point;
  std::uint64_t packets = 0;
  std::uint64_t payload_bytes = 0;    ///< sum of the TCP payload lengths seen
  std::uint64_t stream_bytes = 0;     ///< delivered in order
  std::uint64_t gap_bytes = 0;
  std::uint64_t gaps = 0;
  std::uint64_t duplicate_bytes = 0;
  std::uint64_t overlap_conflicts = 0;  ///< segments that contradicted bytes held
  std::uint64_t out_of_order = 0;       ///< segments that came before their turn
  std::uint64_t retransmissions = 0;
};

/// A connection as it is at one moment; final with the Closed event.
struct StreamInfo {
  std::uint64_t first_packet = 0;        ///< number of its first packet, from 1: unique in a run
  std::chrono::nanoseconds start{};      ///< stamp of its first packet
  std::chrono::nanoseconds end{};        ///< stamp of its last packet
  std::array<SideInfo, 2> sides;         ///< by Side
  EndReason reason = EndReason::Open;
  bool midstream = false;                ///< the handshake was not seen
  bool established = false;              ///< a whole handshake was seen
  std::uint32_t reuse = 0;               ///< how often the same end points were used before
  std::string_view state;                ///< Zeek's conn_state, such as "SF"
  std::string history;                   ///< Zeek's letters, such as "ShADadFf"
  std::vector<Count> anomalies;          ///< those that were met
  std::vector<std::string> encapsulation;  ///< outermost first: "vlan:5", "gre", "vxlan:42"

  [[nodiscard]] const SideInfo& side(Side s) const { return sides[static_cast<std::size_t>(s)]; }
};

/// Whether bytes of a direction are told.
enum class Collect : std::uint8_t { No, Yes };

/// One connection, from its Opened event until its Closed event has been dealt with. Made by the
/// extractor; what is asked for takes effect with the next event.
class FLOWLOOM_API Stream {
 public:
  Stream(const Stream&) = delete;
  Stream& operator=(const Stream&) = delete;

  /// A number of its own, from 1 in the order of the Opened events.
  [[nodiscard]] std::uint64_t id() const;

  /// Who it is between. Until the first Data, Gap, Urgent or Ended event a SYN that comes late may
  /// still turn the roles round.
  [[nodiscard]] EndPoint end_point(Side side) const;

  /// Everything known of it. While events wait in the queue it is as of the last packet that was
  /// taken in; in a Closed event it is final.
  [[nodiscard]] StreamInfo info() const;

  /// Switches the Data events of what `sender` sends; on at first. Offsets count on.
  void collect(Side sender, Collect wanted);

  /// During a Data event: the first `bytes` of event.data are done with, the rest is kept and comes
  /// again before what follows (nids_discard). Without this call everything is done with. More than
  /// ExtractorOptions::keep_limit is not kept: the oldest bytes go, as the next offset shows.
  void discard(std::size_t bytes);

  /// What is kept of the bytes that `sender` sent. A gap, and bytes that were not collected, end
  /// it: it can be read for the last time during that Gap event.
  [[nodiscard]] std::span<const std::uint8_t> kept(Side sender) const;

  /// Cuts the stream off: no event but Closed follows.
  void stop();

  /// A word of the caller's, 0 at first.
  void set_user(void* user);
  [[nodiscard]] void* user() const;

 protected:
  Stream() = default;
  ~Stream() = default;
};

/// What happened. Of one stream: Opened, then for each side on its own (Data | Gap | Urgent)*
/// Ended?, then Closed. Offsets are contiguous: each Data or Gap begins where the one before it of
/// that side ended.
enum class EventKind : std::uint8_t {
  Opened,  ///< its first packet came
  Data,    ///< `data`: bytes in order
  Gap,     ///< `length` bytes from `offset` are missing, for `gap_reason`
  Urgent,  ///< with ExtractorOptions::urgent "oob": `data` is the byte, it stood before `offset`
  Ended,   ///< the side's FIN was reached: no byte of it follows
  Closed,  ///< the connection ended for `end_reason`; stream->info() is final
  Packet,  ///< with PacketEvents::Yes: a packet was taken in; after the events it caused
  Scan     ///< with ExtractorOptions::scan_ports: a host scans ports; `scan` has what is known
};

/// A host asked for more ports than ExtractorOptions::scan_ports. Told once per scan.
struct ScanAlert {
  EndPoint source;                  ///< its port is 0
  std::string_view kind;            ///< what most of it is: syn, connect, fin, null, xmas, ...
  std::string_view across;          ///< ports, hosts, both
  std::vector<EndPoint> targets;    ///< what was asked for so far, in order
  std::chrono::nanoseconds first{}; ///< stamps of the first and the last of them
  std::chrono::nanoseconds last{};
};

/// An event. Views and the event itself are good until the handler returns, or the next call of
/// next().
struct ExtractorEvent {
  EventKind kind = EventKind::Opened;
  Side from = Side::Originator;           ///< who sent it; of no meaning for Opened and Closed
  GapReason gap_reason = GapReason::Unknown;
  EndReason end_reason = EndReason::Open;
  Stream* stream = nullptr;               ///< nullptr for a Scan, and for some Packets
  std::chrono::nanoseconds time{};        ///< packet clock when it was decided
  std::uint64_t packet = 0;               ///< number of the packet that decided it
  std::uint64_t offset = 0;               ///< of data[0] or the gap: 0 is the stream's first byte
  std::uint64_t length = 0;               ///< Gap: bytes missing. Packet: its TCP payload
  std::span<const std::uint8_t> data;     ///< kept bytes, then new ones. Packet: the whole frame
  std::size_t fresh = 0;                  ///< Data: so many of the last bytes are new
  std::chrono::nanoseconds stamp{};       ///< Packet: as it was recorded
  std::uint32_t wire_length = 0;          ///< Packet: its length before it was snapped
  std::uint32_t link_type = 0;            ///< Packet: LINKTYPE_ number
  const ScanAlert* scan = nullptr;        ///< Scan
};

/// Whether Packet events are told; then every packet is handled by itself, which is slower.
enum class PacketEvents : std::uint8_t { No, Yes };

/// Frozen when the extractor is made. Words are those of the command line (docs/flowloom.1.scd).
struct ExtractorOptions {
  std::string filter;                   ///< pcap-filter(7); empty: everything
  unsigned workers = 1;                 ///< threads of run(); see there
  std::uint32_t max_flows = 1'000'000;  ///< connections at a time; address space, not memory
  std::uint64_t memory = std::uint64_t{256} << 20;  ///< for bytes that came out of order
  std::uint64_t depth = 0;              ///< bytes delivered per direction; 0: all
  std::size_t keep_limit = std::size_t{16} << 20;   ///< see Stream::discard()
  std::chrono::nanoseconds idle_timeout = std::chrono::hours{1};
  std::chrono::nanoseconds syn_timeout = std::chrono::seconds{10};
  std::chrono::nanoseconds closed_timeout = std::chrono::seconds{60};
  std::string overlap = "bsd";
  std::string fragment_overlap = "bsd";
  std::string checksum = "auto";        ///< auto, all, none
  std::string deliver = "arrival";      ///< arrival, acked
  std::string urgent = "inline";        ///< inline, oob, drop
  PacketEvents packets = PacketEvents::No;
  std::uint32_t scan_ports = 0;         ///< distinct ports that are no scan yet; 0: none looked for
  std::chrono::nanoseconds scan_delay = std::chrono::seconds{3};  ///< longest pause of a scan
};

/// How an interface is listened to.
struct LiveOptions {
  std::uint32_t snap_length = 262144;   ///< bytes of a frame that are captured
  std::uint32_t buffer_bytes = std::uint32_t{16} << 20;  ///< the kernel's
  enum class Promiscuous : std::uint8_t { No, Yes } promiscuous = Promiscuous::Yes;
};

/// A frame for feed().
struct CapturedFrame {
  std::span<const std::uint8_t> bytes;
  std::chrono::nanoseconds stamp{};
  std::uint32_t link_type = kLinkEthernet;
  std::uint32_t wire_length = 0;        ///< 0: as long as `bytes`
};

/// What was wrong with an input, as a sentence.
struct InputFault {
  enum class Kind : std::uint8_t {
    Unreadable,  ///< nothing could be read
    Damaged      ///< it ended early or is damaged; all before that was taken in
  };
  Kind kind;
  std::string sentence;
};

/// The ledger: every packet has one verdict, every payload byte one fate.
struct Statistics {
  std::uint64_t packets = 0;
  std::uint64_t missed = 0;                ///< lost before they could be read (live)
  std::uint64_t payload_bytes = 0;         ///< TCP payload seen
  std::uint64_t delivered_bytes = 0;
  std::uint64_t connections_created = 0;
  std::uint64_t connections_closed = 0;
  std::vector<Count> verdicts;             ///< of packets; those that are not 0
  std::vector<Count> fates;                ///< of payload bytes; those that are not 0
  std::vector<std::string_view> limits;    ///< those that were reached
  bool balances = false;                   ///< holds once the input has ended
};

/// Takes events in. The pointer in the event is good for the call only.
class FLOWLOOM_API StreamHandler {
 public:
  virtual ~StreamHandler();
  /// What it throws ends the input: nothing more is told, and run(), feed() or finish() throws it.
  virtual void on_event(const ExtractorEvent& event) = 0;
};

class FLOWLOOM_API Extractor {
 public:
  explicit Extractor(const ExtractorOptions& options = {});
  ~Extractor();
  Extractor(Extractor&&) noexcept;
  Extractor& operator=(Extractor&&) noexcept;

  /// Captures (pcap, pcapng, compressed too), merged by time; "-" is standard input. Throws where
  /// none of them can be read; see faults() for the others.
  void open(const std::vector<std::string>& captures);

  /// Listens to an interface through libpcap. Needs CAP_NET_RAW. While no packet comes time passes
  /// with the system's clock, whenever next(), poll() or run() looks.
  void open_live(const std::string& interface, const LiveOptions& live = {});

  /// One frame, or several in order, which is faster. Frames are not needed when the call returns.
  /// Preconditions: nothing was opened.
  void feed(const CapturedFrame& frame) { feed(std::span{&frame, 1}); }
  void feed(std::span<const CapturedFrame> frames);

  /// No frame follows: what is held is told, every connection closes.
  void finish();

  /// Where events of feed() and finish() go: to the handler as they happen; with nullptr, at first,
  /// into a queue from which next() takes them. Preconditions: the queue is empty.
  void set_handler(StreamHandler* handler);

  /// The next event, reading on where something was opened; nullptr at the end, or where more has
  /// to be fed. On an interface it waits for packets.
  [[nodiscard]] const ExtractorEvent* next();

  /// Like next(), but never waits: nullptr where nothing is there now, unless ended().
  [[nodiscard]] const ExtractorEvent* poll();

  /// Whether the input has ended and every event was taken.
  [[nodiscard]] bool ended() const;

  /// Takes in what was opened to its end, or until interrupt(); then closes every connection.
  ///
  /// With several workers events come from a thread that gathers them: in order per connection,
  /// the same for any number of workers, in larger pieces, without Ended, Urgent and Packet.
  /// Preconditions: nothing was taken with next() before.
  void run(StreamHandler& handler);

  /// Ends the input early, from any thread or signal handler: every connection closes.
  void interrupt() noexcept;

  [[nodiscard]] Statistics statistics() const;
  /// What was wrong with the inputs so far.
  [[nodiscard]] std::vector<InputFault> faults() const;
  /// For a progress bar: bytes of the captures read so far, and in all.
  [[nodiscard]] std::uint64_t bytes_read() const;
  [[nodiscard]] std::uint64_t bytes_total() const;

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

/// "0.1.0", of the library that runs.
[[nodiscard]] FLOWLOOM_API std::string_view version();

}  // namespace flowloom
