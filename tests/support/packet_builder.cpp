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
  tcp.push_back(static_cast<std::uint8_t>((5 + options.size() / 4) << 4));
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
  }
  return tcp;
}

Bytes PacketBuilder::datagram() const {
  const Bytes tcp = segment();
  const Bytes source = address_bytes(sender_.address);
  const Bytes destination = address_bytes(receiver_.address);
  Bytes ip;
  if (sender_.address.is_v4()) {
    ip = {0x45, 0};
    append16(ip, ip_length_ == kTrue ? static_cast<std::uint32_t>(20 + tcp.size())
                                     : static_cast<std::uint32_t>(ip_length_));
    append(ip, {0x12, 0x34, 0x40, 0, hop_limit_, 6, 0, 0});
    append(ip, source);
    append(ip, destination);
    put16(ip, 10, 0xffffU & ~std::uint32_t{sum_of(ip)});
  } else {
    ip = {0x60, 0, 0, 0};
    append16(ip, ip_length_ == kTrue ? static_cast<std::uint32_t>(tcp.size())
                                     : static_cast<std::uint32_t>(ip_length_));
    append(ip, {6, hop_limit_});
    append(ip, source);
    append(ip, destination);
  }
  append(ip, tcp);
  return ip;
}

Frame PacketBuilder::build(Timestamp stamp) const {
  Bytes frame = {2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1};
  for (const std::uint16_t id : vlans_) {
    append16(frame, 0x8100);
    append16(frame, id);
  }
  append16(frame, sender_.address.is_v4() ? 0x0800 : 0x86dd);
  append(frame, datagram());
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
