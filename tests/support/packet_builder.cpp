#include "support/packet_builder.hpp"

#include <algorithm>
#include <array>
#include <stdexcept>

namespace flowloom::test {

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::string_view kFlagLetters = "FSRP.UEW";  // bit 0 first

void append16(Bytes& to, std::uint32_t v) {
  to.push_back(static_cast<std::uint8_t>(v >> 8));
  to.push_back(static_cast<std::uint8_t>(v));
}

void append32(Bytes& to, std::uint32_t v) {
  append16(to, v >> 16);
  append16(to, v & 0xffff);
}

void append(Bytes& to, const Bytes& more) { to.insert(to.end(), more.begin(), more.end()); }

void put16(Bytes& bytes, std::size_t at, std::uint32_t v) {
  bytes.at(at) = static_cast<std::uint8_t>(v >> 8);
  bytes.at(at + 1) = static_cast<std::uint8_t>(v);
}

/// RFC 1071, the slow and obvious way.
std::uint16_t sum_of(const Bytes& bytes) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < bytes.size(); i += 2) {
    const std::uint32_t low = i + 1 < bytes.size() ? bytes[i + 1] : 0U;
    sum += static_cast<std::uint32_t>(bytes[i]) << 8 | low;
    if (sum > 0xffff) sum -= 0xffff;
  }
  return static_cast<std::uint16_t>(sum);
}

Bytes address_bytes(const IpAddress& address) {
  const std::size_t skip = address.is_v4() ? 12 : 0;
  return {address.bytes.begin() + static_cast<std::ptrdiff_t>(skip), address.bytes.end()};
}

constexpr std::uint32_t kTypeIpv4 = 0x0800;
constexpr std::uint32_t kTypeIpv6 = 0x86dd;

Bytes ethernet_header() { return {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1}; }

std::uint8_t extension_number(const std::string& name) {
  if (name == "hbh") return 0;
  if (name == "rh0" || name == "rh2") return 43;
  if (name == "frag") return 44;
  if (name == "ah") return 51;
  if (name == "dst") return 60;
  throw std::invalid_argument("no such extension header: " + name);
}

Bytes extension_header(const std::string& name, std::uint8_t next) {
  const Bytes address(16, 0x20);
  Bytes header = {next};
  if (name == "ah") {
    append(header, {4, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1}); // 24 bytes, 12 of them the check value
    append(header, Bytes(12, 0xaa));
    return header;
  }
  if (name == "rh0" || name == "rh2") {
    const auto kind = static_cast<std::uint8_t>(name == "rh0" ? 0 : 2);
    append(header, {2, kind, 1, 0, 0, 0, 0});
    append(header, address);
    return header;
  }
  append(header, {0, 1, 4, 0, 0, 0, 0}); // PadN
  return header;
}

/// An IPv4 header in front of `data`, between tunnel end points.
Bytes outer_datagram(std::uint8_t protocol, const Bytes& data, bool from_lower) {
  const std::uint8_t source = from_lower ? 1 : 2;
  Bytes ip = {0x45, 0};
  append16(ip, static_cast<std::uint32_t>(20 + data.size()));
  append(ip, {0, 9, 0x40, 0, 64, protocol, 0, 0, 192, 0, 2, source});
  append(ip, {192, 0, 2, static_cast<std::uint8_t>(3 - source)});
  put16(ip, 10, 0xffffU & ~std::uint32_t{sum_of(ip)});
  append(ip, data);
  return ip;
}

/// Turns an IPv4 datagram without options into one of its fragments.
Bytes outer_part(const Bytes& whole, const FragmentRange& range) {
  constexpr std::ptrdiff_t kHeader = 20;
  const std::size_t end = std::min<std::size_t>(range.end, whole.size() - kHeader);
  Bytes part(whole.begin(), whole.begin() + kHeader);
  part.insert(part.end(), whole.begin() + kHeader + range.begin,
              whole.begin() + kHeader + static_cast<std::ptrdiff_t>(end));
  const std::uint32_t more = range.more == FragmentRange::More::Yes ? 0x2000 : 0;
  put16(part, 2, static_cast<std::uint32_t>(part.size()));
  put16(part, 6, range.begin / 8 | more);
  put16(part, 10, 0);
  put16(part, 10, 0xffffU & ~std::uint32_t{sum_of(Bytes(part.begin(), part.begin() + kHeader))});
  return part;
}

Bytes udp(std::uint32_t port, const Bytes& data) {
  Bytes header;
  append16(header, 50000);
  append16(header, port);
  append16(header, static_cast<std::uint32_t>(8 + data.size()));
  append16(header, 0);
  append(header, data);
  return header;
}

/// An Ethernet frame without tags.
Bytes inner_frame(std::uint32_t type, const Bytes& packet) {
  Bytes frame = ethernet_header();
  append16(frame, type);
  append(frame, packet);
  return frame;
}

/// Wraps `packet`, which EtherType `type` names, and returns the new EtherType.
std::uint32_t wrap(Bytes& packet, std::uint32_t type, const TunnelLayer& layer, bool from_lower) {
  Bytes header;
  switch (layer.kind) {
    case TunnelLayer::Kind::IpIp:
      packet = outer_datagram(type == kTypeIpv4 ? 4 : 41, packet, from_lower);
      return kTypeIpv4;
    case TunnelLayer::Kind::Gre: // RFC 2890, with a key
      append16(header, 0x2000);
      append16(header, type);
      append32(header, layer.id);
      append(header, packet);
      packet = outer_datagram(47, header, from_lower);
      return kTypeIpv4;
    case TunnelLayer::Kind::Vxlan: // RFC 7348
      append32(header, 0x08000000);
      append32(header, layer.id << 8);
      append(header, inner_frame(type, packet));
      packet = outer_datagram(17, udp(4789, header), from_lower);
      return kTypeIpv4;
    case TunnelLayer::Kind::Geneve: // RFC 8926, with one option of four bytes
      append32(header, 0x02006558);
      append32(header, layer.id << 8);
      append(header, {0x01, 0x02, 0x03, 0x01, 9, 9, 9, 9});
      append(header, inner_frame(type, packet));
      packet = outer_datagram(17, udp(6081, header), from_lower);
      return kTypeIpv4;
    case TunnelLayer::Kind::Gtpu: // 3GPP TS 29.281, a G-PDU
      append16(header, 0x30ff);
      append16(header, static_cast<std::uint32_t>(packet.size()));
      append32(header, layer.id);
      append(header, packet);
      packet = outer_datagram(17, udp(2152, header), from_lower);
      return kTypeIpv4;
    case TunnelLayer::Kind::Mpls: // RFC 3032, bottom of stack
      append32(header, layer.id << 12 | 0x1ff);
      append(header, packet);
      packet = header;
      return 0x8847;
    case TunnelLayer::Kind::Pppoe: // RFC 2516
      append16(header, 0x1100);
      append16(header, layer.id);
      append16(header, static_cast<std::uint32_t>(packet.size() + 2));
      append16(header, type == kTypeIpv4 ? 0x0021 : 0x0057);
      append(header, packet);
      packet = header;
      return 0x8864;
  }
  throw std::invalid_argument("no such tunnel");
}

}  // namespace

Endpoint endpoint4(std::uint8_t host, std::uint16_t port) {
  const std::array<std::uint8_t, 4> address = {10, 0, 0, host};
  return {IpAddress::v4(address.data()), port};
}

Endpoint endpoint6(std::uint8_t host, std::uint16_t port) {
  std::array<std::uint8_t, 16> address = {0x20, 0x01, 0x0d, 0xb8};
  address[15] = host;
  return {IpAddress::v6(address.data()), port};
}

PacketBuilder& PacketBuilder::flags(std::string_view letters) {
  flags_ = 0;
  if (letters == "-") return *this;
  for (const char letter : letters) {
    const std::size_t bit = kFlagLetters.find(letter);
    if (bit == std::string_view::npos) throw std::invalid_argument("no such flag");
    flags_ = static_cast<std::uint8_t>(flags_ | 1U << bit);
  }
  return *this;
}

PacketBuilder& PacketBuilder::mss(std::uint16_t value) {
  return option({2, 4, static_cast<std::uint8_t>(value >> 8), static_cast<std::uint8_t>(value)});
}

PacketBuilder& PacketBuilder::window_scale(std::uint8_t shift) { return option({3, 3, shift}); }

PacketBuilder& PacketBuilder::timestamps(std::uint32_t value, std::uint32_t echo) {
  Bytes bytes = {8, 10};
  append32(bytes, value);
  append32(bytes, echo);
  return option(bytes);
}

PacketBuilder& PacketBuilder::ip_options(const Bytes& bytes) {
  append(ip_options_, bytes);
  return *this;
}

PacketBuilder& PacketBuilder::extension(const std::string& name) {
  extension_number(name); // throws where there is no such header
  extensions_.push_back(name);
  return *this;
}

PacketBuilder& PacketBuilder::option(const Bytes& bytes) {
  append(options_, bytes);
  return *this;
}

Bytes PacketBuilder::segment() const {
  Bytes options = options_;
  while (options.size() % 4 != 0) options.push_back(1);
  if (options.size() > 40) throw std::invalid_argument("too many options");
  Bytes tcp;
  append16(tcp, sender_.port);
  append16(tcp, receiver_.port);
  append32(tcp, seq_);
  append32(tcp, ack_);
  const auto words = static_cast<std::uint32_t>(5 + options.size() / 4);
  const auto said = data_offset_ == kTrue ? words : static_cast<std::uint32_t>(data_offset_);
  tcp.push_back(static_cast<std::uint8_t>(said << 4));
  tcp.push_back(flags_);
  append16(tcp, window_);
  append16(tcp, 0);
  append16(tcp, urgent_);
  append(tcp, options);
  tcp.insert(tcp.end(), payload_.begin(), payload_.end());

  Bytes pseudo = address_bytes(sender_.address);
  append(pseudo, address_bytes(receiver_.address));
  append32(pseudo, static_cast<std::uint32_t>(tcp.size()));
  append32(pseudo, 6);
  const std::uint16_t of_header = sum_of(pseudo);
  append(pseudo, tcp);
  const std::uint32_t good = 0xffffU & ~std::uint32_t{sum_of(pseudo)};
  switch (checksum_) {
    case Checksum::Good: put16(tcp, 16, good); break;
    case Checksum::Bad: put16(tcp, 16, good ^ 0x5555U); break;
    case Checksum::Offloaded: put16(tcp, 16, of_header); break;
    case Checksum::Zero: break;
  }
  return tcp;
}

Bytes PacketBuilder::datagram4(const Bytes& data) const {
  Bytes options = ip_options_;
  while (options.size() % 4 != 0) options.push_back(0);
  const auto words = static_cast<std::uint32_t>(5 + options.size() / 4);
  const auto said = ip_header_words_ == kTrue ? words
                                              : static_cast<std::uint32_t>(ip_header_words_);
  Bytes ip = {static_cast<std::uint8_t>(0x40U | said), 0};
  append16(ip, ip_length_ == kTrue ? static_cast<std::uint32_t>(words * 4 + data.size())
                                   : static_cast<std::uint32_t>(ip_length_));
  append16(ip, ip_id_);
  std::uint32_t fragment = 0x4000; // DF
  if (fragment_) {
    fragment = fragment_->begin / 8;
    if (fragment_->more == FragmentRange::More::Yes) fragment |= 0x2000;
    if (dont_fragment_) fragment |= 0x4000;
  }
  append16(ip, fragment);
  append(ip, {hop_limit_, protocol_, 0, 0});
  append(ip, address_bytes(sender_.address));
  append(ip, address_bytes(receiver_.address));
  append(ip, options);
  const std::uint32_t sum = 0xffffU & ~std::uint32_t{sum_of(ip)};
  put16(ip, 10, ip_checksum_ == Checksum::Bad ? sum ^ 0x5555U : sum);
  append(ip, data);
  return ip;
}

Bytes PacketBuilder::datagram6(const Bytes& data) const {
  std::vector<std::string> headers = extensions_;
  if (fragment_) headers.push_back("frag");
  Bytes chain;
  for (std::size_t i = 0; i < headers.size(); ++i) {
    const std::uint8_t next = i + 1 < headers.size() ? extension_number(headers[i + 1]) : protocol_;
    if (headers[i] != "frag") {
      append(chain, extension_header(headers[i], next));
      continue;
    }
    std::uint32_t field = fragment_ ? fragment_->begin : 0;
    if (fragment_ && fragment_->more == FragmentRange::More::Yes) field |= 1;
    append(chain, {next, 0});
    append16(chain, field);
    append32(chain, ip_id_);
  }
  append(chain, data);
  Bytes ip = {0x60, 0, 0, 0};
  append16(ip, ip_length_ == kTrue ? static_cast<std::uint32_t>(chain.size())
                                   : static_cast<std::uint32_t>(ip_length_));
  append(ip, {headers.empty() ? protocol_ : extension_number(headers.front()), hop_limit_});
  append(ip, address_bytes(sender_.address));
  append(ip, address_bytes(receiver_.address));
  append(ip, chain);
  return ip;
}

Bytes PacketBuilder::datagram() const {
  Bytes data = segment();
  if (fragment_) {
    data.resize(std::max<std::size_t>(data.size(), fragment_->end), 0);
    data = Bytes(data.begin() + fragment_->begin, data.begin() + fragment_->end);
  }
  const bool v4 = sender_.address.is_v4();
  if (!quoted_) return v4 ? datagram4(data) : datagram6(data);
  PacketBuilder error;
  error.from(receiver_).to(sender_).protocol(v4 ? 1 : 58);
  Bytes message = v4 ? Bytes{3, 3, 0, 0, 0, 0, 0, 0} : Bytes{1, 4, 0, 0, 0, 0, 0, 0};
  append(message, v4 ? datagram4(data) : datagram6(data));
  put16(message, 2, 0xffffU & ~std::uint32_t{sum_of(message)}); // no pseudo-header: ICMPv4's
  return v4 ? error.datagram4(message) : error.datagram6(message);
}

Frame PacketBuilder::build(Timestamp stamp) const {
  std::uint32_t type = sender_.address.is_v4() ? kTypeIpv4 : kTypeIpv6;
  Bytes packet = datagram();
  for (const TunnelLayer& layer : tunnels_) {
    type = wrap(packet, type, layer, sender_.address < receiver_.address);
  }
  if (outer_) packet = outer_part(packet, *outer_);
  Bytes frame = ethernet_header();
  frame.back() = mac_;
  for (const std::uint16_t id : vlans_) {
    append16(frame, 0x8100);
    append16(frame, id);
  }
  append16(frame, type);
  append(frame, packet);
  if (frame.size() < pad_to_) frame.resize(pad_to_, 0);
  const auto wire_length = static_cast<std::uint32_t>(frame.size());
  if (snap_ != 0 && snap_ < frame.size()) frame.resize(snap_);
  return {stamp, std::move(frame), wire_length};
}

std::string PacketBuilder::describe() const {
  std::string flags;
  for (std::size_t bit = 0; bit < kFlagLetters.size(); ++bit) {
    if ((flags_ >> bit & 1) != 0) flags += kFlagLetters[bit];
  }
  const auto end = [](const Endpoint& e) {
    return to_string(e.address) + ":" + std::to_string(e.port);
  };
  return end(sender_) + " > " + end(receiver_) + " " + flags + " seq " + std::to_string(seq_) +
         " ack " + std::to_string(ack_) + " len " + std::to_string(payload_.size());
}

}  // namespace flowloom::test
