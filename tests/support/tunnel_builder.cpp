#include "support/tunnel_builder.hpp"

#include <algorithm>
#include <initializer_list>
#include <stdexcept>

namespace flowloom::test {

namespace {

using Bytes = TunnelBytes;

constexpr std::size_t kEthernetBytes = 14;

Bytes be16(std::uint32_t v) {
  return {static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
}

Bytes be32(std::uint32_t v) {
  return {static_cast<std::uint8_t>(v >> 24), static_cast<std::uint8_t>(v >> 16),
          static_cast<std::uint8_t>(v >> 8), static_cast<std::uint8_t>(v)};
}

Bytes join(std::initializer_list<Bytes> parts) {
  Bytes all;
  for (const Bytes& part : parts) all.insert(all.end(), part.begin(), part.end());
  return all;
}

void put16(Bytes& bytes, std::size_t at, std::uint32_t v) {
  bytes.at(at) = static_cast<std::uint8_t>(v >> 8);
  bytes.at(at + 1) = static_cast<std::uint8_t>(v);
}

Bytes ethernet(std::uint16_t type, const Bytes& payload) {
  return join({{2, 0, 0, 0, 1, 1, 2, 0, 0, 0, 1, 2}, be16(type), payload});
}

// RFC 1071, the slow and obvious way.
std::uint32_t header_checksum(const Bytes& header) {
  std::uint32_t sum = 0;
  for (std::size_t i = 0; i < header.size(); i += 2) {
    sum += static_cast<std::uint32_t>(header[i]) << 8 | header[i + 1];
    if (sum > 0xffff) sum -= 0xffff;
  }
  return 0xffffU & ~sum;
}

bool is_ipv6(const Bytes& frame) { return frame.at(kEthernetBytes) >> 4 == 6; }

std::uint16_t type_of(const Bytes& frame) { return is_ipv6(frame) ? 0x86dd : 0x0800; }

std::uint8_t ppp_of(const Bytes& frame) { return is_ipv6(frame) ? 0x57 : 0x21; }

Bytes gre(std::uint16_t flags, std::uint16_t type, const Bytes& rest) {
  return outer_ipv4(47, join({be16(flags), be16(type), rest}));
}

Bytes label(std::uint32_t number, bool bottom) {
  return be32(number << 12 | (bottom ? 0x100U : 0U) | 64);
}

Bytes erspan_word(std::uint32_t version, std::uint32_t session) {
  return be32(version << 28 | 100U << 16 | session);
}

std::vector<Tunnel> ip_tunnels() {
  return {
      {"ip_in_ipv4", "", [](const Bytes& f) {
         return outer_ipv4(is_ipv6(f) ? 41 : 4, datagram_of(f));
       }},
      {"ip_in_ipv6", "", [](const Bytes& f) {
         return outer_ipv6(is_ipv6(f) ? 41 : 4, datagram_of(f));
       }},
      {"etherip", "etherip", [](const Bytes& f) { return outer_ipv4(97, join({{0x30, 0}, f})); }},
      {"mpls_in_ip", "mpls-in-ip", [](const Bytes& f) {
         return outer_ipv4(137, join({label(9, false), label(8, true), datagram_of(f)}));
       }, 3},
      {"l2tp3", "l2tp:77", [](const Bytes& f) { return outer_ipv4(115, join({be32(77), f})); }},
      {"l2tp3_cookie", "l2tp:78", [](const Bytes& f) {
         return outer_ipv4(115, join({be32(78), be32(0xa1b2c3d4), be32(0x01020304), be32(0), f}));
       }},
      {"authenticated", "", [](const Bytes& f) {
         const Bytes header = {static_cast<std::uint8_t>(is_ipv6(f) ? 41 : 4), 4, 0, 0};
         return outer_ipv4(51, join({header, be32(5), be32(6), Bytes(12, 7), datagram_of(f)}));
       }},
  };
}

std::vector<Tunnel> gre_tunnels() {
  return {
      {"gre", "gre", [](const Bytes& f) { return gre(0, type_of(f), datagram_of(f)); }},
      {"gre_all_fields", "gre:3735928559", [](const Bytes& f) {
         return gre(0xb000, type_of(f),
                    join({be16(0), be16(0), be32(0xdeadbeef), be32(1), datagram_of(f)}));
       }},
      {"gre_ethernet", "gre", [](const Bytes& f) { return gre(0, 0x6558, f); }},
      {"gre_ppp", "gre", [](const Bytes& f) {
         return gre(0, 0x880b, join({{0xff, 3, 0, ppp_of(f)}, datagram_of(f)}));
       }},
      {"gre_mpls", "gre", [](const Bytes& f) {
         return gre(0, 0x8847, join({label(5, true), datagram_of(f)}));
       }, 2},
      {"gre_over_ipv6", "gre", [](const Bytes& f) {
         return outer_ipv6(47, join({be16(0), be16(type_of(f)), datagram_of(f)}));
       }},
      {"nvgre", "nvgre:5001", [](const Bytes& f) { return nvgre(5001, 9, f); }},
      {"pptp", "pptp:7", [](const Bytes& f) {
         const Bytes ppp = join({{0xff, 3, 0, ppp_of(f)}, datagram_of(f)});
         return gre(0x3081, 0x880b, join({be16(static_cast<std::uint32_t>(ppp.size())), be16(7),
                                          be32(1), be32(2), ppp}));
       }},
      {"wccp", "wccp", [](const Bytes& f) {
         return gre(0, 0x883e, join({be32(0x01020304), datagram_of(f)}));
       }},
      {"erspan_1", "erspan", [](const Bytes& f) { return gre(0, 0x88be, f); }},
      {"erspan_2", "erspan:11", [](const Bytes& f) {
         return gre(0x1000, 0x88be, join({be32(1), erspan_word(1, 11), be32(0), f}));
       }},
      {"erspan_3", "erspan:12", [](const Bytes& f) {
         return gre(0x1000, 0x22eb, join({be32(1), erspan_word(2, 12), be32(9), be32(0), f}));
       }},
      {"erspan_3_subheader", "erspan:13", [](const Bytes& f) {
         return gre(0x1000, 0x22eb,
                    join({be32(1), erspan_word(2, 13), be32(9), be32(1), Bytes(8, 3), f}));
       }},
  };
}

std::vector<Tunnel> network_tunnels() {
  return {
      {"vxlan", "vxlan:42", [](const Bytes& f) { return vxlan(42, f); }},
      {"vxlan_old_port", "vxlan:43", [](const Bytes& f) {
         return outer_udp(8472, join({{8, 0, 0, 0}, be32(43 << 8), f}));
       }},
      {"vxlan_reply", "vxlan:44", [](const Bytes& f) {
         return outer_udp(33000, join({{8, 0, 0, 0}, be32(44 << 8), f}), 4789);
       }},
      {"vxlan_policy", "vxlan:45", [](const Bytes& f) {
         return outer_udp(4789, join({{0x88, 0, 1, 2}, be32(45 << 8), f}));
       }},
      {"gpe_ip", "vxlan-gpe:46", [](const Bytes& f) {
         const std::uint8_t protocol = is_ipv6(f) ? 2 : 1;
         return outer_udp(4790, join({{0x0c, 0, 0, protocol}, be32(46 << 8), datagram_of(f)}));
       }},
      {"gpe_ethernet", "vxlan-gpe:47", [](const Bytes& f) {
         return outer_udp(4790, join({{0x0c, 0, 0, 3}, be32(47 << 8), f}));
       }},
      {"gpe_nsh", "vxlan-gpe:48", [](const Bytes& f) {
         return outer_udp(4790, join({{0x0c, 0, 0, 4}, be32(48 << 8), {0x0f, 0xc6, 1, 3},
                                      be32(6 << 8 | 255), Bytes(16, 0), f}));
       }, 2},
      {"geneve", "geneve:49", [](const Bytes& f) {
         return outer_udp(6081, join({{0, 0, 0x65, 0x58}, be32(49 << 8), f}));
       }},
      {"geneve_options_ip", "geneve:50", [](const Bytes& f) {
         return outer_udp(6081, join({{3, 0x40}, be16(type_of(f)), be32(50 << 8),
                                      {1, 2, 3, 2}, Bytes(8, 0xee), datagram_of(f)}));
       }},
      {"lisp", "lisp:51", [](const Bytes& f) {
         return outer_udp(4341, join({{0x08, 1, 2, 3}, be32(51 << 8), datagram_of(f)}));
       }},
      {"mpls_over_udp", "mpls-in-udp", [](const Bytes& f) {
         return outer_udp(6635, join({label(3000, true), datagram_of(f)}));
       }, 2},
      {"mpls_over_udp_ethernet", "mpls-in-udp", [](const Bytes& f) {
         return outer_udp(6635, join({label(3000, true), be32(0), f}));
       }, 2},
  };
}

std::vector<Tunnel> access_tunnels() {
  return {
      {"gtp", "gtp:4026531841", [](const Bytes& f) { return gtp(0xf0000001, f); }},
      {"gtp_sequence", "gtp:5", [](const Bytes& f) {
         const Bytes inner = datagram_of(f);
         return outer_udp(2152, join({{0x32, 255},
                                      be16(static_cast<std::uint32_t>(inner.size() + 4)), be32(5),
                                      {0, 9, 0, 0}, inner}));
       }},
      {"gtp_extensions", "gtp:6", [](const Bytes& f) {
         const Bytes inner = datagram_of(f);
         return outer_udp(2152, join({{0x36, 255},
                                      be16(static_cast<std::uint32_t>(inner.size() + 16)), be32(6),
                                      {0, 9, 0, 0x85}, {1, 0, 9, 0xc0},
                                      {2, 1, 1, 1, 1, 1, 1, 0}, inner}));
       }},
      {"l2tp2", "l2tp:8", [](const Bytes& f) {
         const Bytes rest = join({{0, 4, 0, 8}, {0xff, 3, 0, ppp_of(f)}, datagram_of(f)});
         return outer_udp(1701, join({{0x40, 2},
                                      be16(static_cast<std::uint32_t>(rest.size() + 4)), rest}));
       }},
      {"l2tp2_bare", "l2tp:9", [](const Bytes& f) {
         return outer_udp(1701, join({{0x0a, 2}, {0, 4, 0, 9}, be32(7), be16(2), be16(0),
                                      {ppp_of(f)}, datagram_of(f)}));
       }},
      {"tzsp", "tzsp", [](const Bytes& f) {
         return outer_udp(37008, join({{1, 0, 0, 1}, {0, 10, 1, 200}, {1}, f}));
       }},
  };
}

std::vector<Tunnel> link_shims() {
  return {
      {"pppoe", "pppoe:99", [](const Bytes& f) {
         const Bytes inner = datagram_of(f);
         return ethernet(0x8864, join({{0x11, 0}, be16(99),
                                       be16(static_cast<std::uint32_t>(inner.size() + 2)),
                                       {0, ppp_of(f)}, inner}));
       }},
      {"vntag", "vntag:257", [](const Bytes& f) {
         return ethernet(0x8926, join({{0x81, 1, 0, 2}, be16(type_of(f)), datagram_of(f)}));
       }},
      {"pbb", "pbb:70000", [](const Bytes& f) {
         return ethernet(0x88e7, join({be32(70000), f}));
       }},
      {"mpls_pseudowire", "mpls:500", [](const Bytes& f) {
         return ethernet(0x8847, join({label(500, true), be32(0), f}));
       }},
      {"mpls_no_control_word", "mpls:501", [](const Bytes& f) {
         return ethernet(0x8847, join({label(501, true), f}));
       }},
  };
}

}  // namespace

Bytes outer_ipv4(std::uint8_t protocol, const Bytes& payload) {
  Bytes header = join({{0x45, 0}, be16(static_cast<std::uint32_t>(20 + payload.size())),
                       be16(0x7777), be16(0), {64, protocol}, be16(0),
                       {198, 51, 100, 1}, {198, 51, 100, 2}});
  put16(header, 10, header_checksum(header));
  return ethernet(0x0800, join({header, payload}));
}

Bytes outer_ipv6(std::uint8_t protocol, const Bytes& payload) {
  Bytes addresses(32, 0);
  addresses[0] = addresses[16] = 0xfd;
  addresses[15] = 1;
  addresses[31] = 2;
  return ethernet(0x86dd, join({{0x60, 0, 0, 0}, be16(static_cast<std::uint32_t>(payload.size())),
                                {protocol, 64}, addresses, payload}));
}

Bytes outer_udp(std::uint16_t port, const Bytes& payload, std::uint16_t source_port) {
  return outer_ipv4(17, join({be16(source_port), be16(port),
                              be16(static_cast<std::uint32_t>(8 + payload.size())), be16(0),
                              payload}));
}

Bytes datagram_of(const Bytes& frame) {
  return {frame.begin() + static_cast<std::ptrdiff_t>(kEthernetBytes), frame.end()};
}

Bytes vxlan(std::uint32_t network, const Bytes& frame) {
  return outer_udp(4789, join({{8, 0, 0, 0}, be32(network << 8), frame}));
}

Bytes nvgre(std::uint32_t network, std::uint8_t flow, const Bytes& frame) {
  return gre(0x2000, 0x6558, join({be32(network << 8 | flow), frame}));
}

Bytes keyed_gre(std::uint32_t key, const Bytes& frame) {
  return gre(0x2000, type_of(frame), join({be32(key), datagram_of(frame)}));
}

Bytes gtp(std::uint32_t tunnel, const Bytes& frame) {
  const Bytes inner = datagram_of(frame);
  return outer_udp(2152, join({{0x30, 255}, be16(static_cast<std::uint32_t>(inner.size())),
                               be32(tunnel), inner}));
}

const std::vector<Tunnel>& all_tunnels() {
  static const std::vector<Tunnel> all = [] {
    std::vector<Tunnel> tunnels = ip_tunnels();
    for (const auto& more : {gre_tunnels(), network_tunnels(), access_tunnels(), link_shims()}) {
      tunnels.insert(tunnels.end(), more.begin(), more.end());
    }
    return tunnels;
  }();
  return all;
}

std::vector<Bytes> fragments_of(const Bytes& frame, std::size_t bytes,
                                std::uint16_t identification) {
  constexpr std::size_t kHeaderBytes = 20;
  constexpr std::size_t kUnit = 8;
  constexpr std::uint32_t kMoreFragments = 0x2000;
  if (is_ipv6(frame) || bytes % kUnit != 0) throw std::invalid_argument("fragments of IPv4 only");
  const Bytes header(frame.begin(), frame.begin() + kEthernetBytes + kHeaderBytes);
  const Bytes data(frame.begin() + kEthernetBytes + kHeaderBytes, frame.end());
  std::vector<Bytes> fragments;
  for (std::size_t at = 0; at < data.size(); at += bytes) {
    const std::size_t end = std::min(at + bytes, data.size());
    const Bytes part(data.begin() + static_cast<std::ptrdiff_t>(at),
                     data.begin() + static_cast<std::ptrdiff_t>(end));
    Bytes ip = datagram_of(header);
    put16(ip, 2, static_cast<std::uint32_t>(kHeaderBytes + part.size()));
    put16(ip, 4, identification);
    put16(ip, 6, static_cast<std::uint32_t>(at / kUnit) | (end < data.size() ? kMoreFragments : 0));
    put16(ip, 10, 0);
    put16(ip, 10, header_checksum(ip));
    fragments.push_back(ethernet(0x0800, join({ip, part})));
  }
  return fragments;
}

}  // namespace flowloom::test
