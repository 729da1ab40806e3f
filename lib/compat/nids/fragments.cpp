#include "compat/nids/fragments.hpp"

#include <algorithm>
#include <chrono>

#include "compat/nids/abi.hpp"
#include "compat/nids/ip_rules.hpp"

namespace flowloom::nids {

namespace {

DefragmentSettings settings_of(const HashSeed& seed) {
  DefragmentSettings settings;
  settings.ipv4_overlap = FragmentOverlap::Linux;  // `nids`: libnids took it from Linux 2.0
  settings.choice = VersionChoice::ByPolicy;
  settings.seed = seed;
  return settings;
}

}  // namespace

Fragments::Fragments(const HashSeed& seed, Rules rules)
    : rules_(rules), defragmenter_(settings_of(seed)) {}

// libnids lets fragments grow old by the wall clock, also where a capture is read.
Timestamp Fragments::clock_at(Timestamp stamp) {
  if (rules_ == Rules::Libnids) {
    const auto now = std::chrono::steady_clock::now().time_since_epoch();
    stamp = Timestamp{std::chrono::duration_cast<Duration>(now)};
  }
  clock_ = std::max(clock_, stamp);
  return clock_;
}

std::span<std::uint8_t> Fragments::add(const std::uint8_t* ip, Timestamp stamp) {
  if (is_shown_) defragmenter_.release(shown_);
  is_shown_ = false;
  Packet packet{};
  packet.frame = ip;
  packet.captured = packet.wire_length = load_be16(ip + kIpv4LengthOffset);
  packet.tcp_offset = static_cast<std::uint16_t>(header_bytes_of(ip));
  packet.verdict = Verdict::Fragment;
  packet.link = LinkType::Raw;
  packet.clock = clock_at(stamp);
  const Defragmenter::Result result = defragmenter_.add(packet);
  warn(result, ip);
  const auto* const whole = std::get_if<CompleteDatagram>(&result);
  if (whole == nullptr) return {};
  shown_ = whole->handle;
  is_shown_ = true;
  // Its memory is the defragmenter's and nobody else's now; programs may write to packets.
  return {const_cast<std::uint8_t*>(whole->bytes.data()), whole->bytes.size()};
}

void Fragments::warn(const Defragmenter::Result& result, const std::uint8_t* ip) {
  for (std::uint32_t i = 0; i < defragmenter_.overlapped_pieces(); ++i) {
    report(NIDS_WARN_IP, NIDS_WARN_IP_OVERLAP, ip, nullptr);
  }
  const auto* const reject = std::get_if<FragmentReject>(&result);
  if (reject == nullptr) return;
  const bool contradicts =
      *reject == FragmentReject::InconsistentEnd || *reject == FragmentReject::BeyondEnd;
  if (contradicts) report(NIDS_WARN_IP, NIDS_WARN_IP_INVLIST, ip, nullptr);
  if (*reject == FragmentReject::TooLarge) {
    report(NIDS_WARN_IP, NIDS_WARN_IP_OVERSIZED, ip, nullptr);
  }
}

void Fragments::forget_open(const std::uint8_t* ip) {
  FragmentKey key{};
  key.source = IpAddress::v4(ip + kIpv4SourceOffset);
  key.destination = IpAddress::v4(ip + kIpv4DestinationOffset);
  key.identification = load_be16(ip + kIpv4IdOffset);
  key.version = 4;
  key.protocol = ip[kIpv4ProtocolOffset];
  defragmenter_.forget(key);
}

}  // namespace flowloom::nids
