// Filter expressions on packets of several link types, and the compiler's own words.
#include "io/bpf_filter.hpp"

#include <gtest/gtest.h>

#include "capture_builder.hpp"

namespace flowloom {
namespace {

// 10.0.0.1:1000 > 10.0.0.2:80, TCP, no payload.
Bytes ipv4_tcp() {
  return {0x45, 0,    0, 40, 0, 0, 0, 0, 64, 6, 0, 0, 10,   0, 0, 1, 10, 0, 0, 2,
          0x03, 0xe8, 0, 80, 0, 0, 0, 1, 0,  0, 0, 0, 0x50, 2, 0, 0, 0,  0, 0, 0};
}

Bytes with_header(Bytes header) {
  const Bytes ip = ipv4_tcp();
  header.insert(header.end(), ip.begin(), ip.end());
  return header;
}

Bytes on_ethernet() {
  Bytes header(12, 1);
  header.insert(header.end(), {8, 0});
  return with_header(header);
}

Bytes on_vlan(std::uint8_t id) {
  Bytes header(12, 1);
  header.insert(header.end(), {0x81, 0, 0, id, 8, 0});
  return with_header(header);
}

bool matches(const BpfFilter& filter, const Bytes& frame, LinkType link) {
  Packet packet{};
  packet.frame = frame.data();
  packet.captured = packet.wire_length = static_cast<std::uint32_t>(frame.size());
  packet.link = link;
  return filter.matches(packet);
}

TEST(BpfFilter, MatchesOnEveryLinkTypeItIsCompiledFor) {
  const BpfFilter filter("tcp dst port 80 and host 10.0.0.1");
  ASSERT_FALSE(filter.error());
  EXPECT_TRUE(matches(filter, on_ethernet(), LinkType::Ethernet));
  EXPECT_TRUE(matches(filter, ipv4_tcp(), LinkType::Raw));
  EXPECT_TRUE(matches(filter, ipv4_tcp(), LinkType::Ipv4));
  EXPECT_TRUE(matches(filter, with_header({2, 0, 0, 0}), LinkType::Null));
  EXPECT_TRUE(matches(filter, with_header({0, 0, 0, 2}), LinkType::Loop));
  EXPECT_FALSE(matches(filter, on_vlan(5), LinkType::Ethernet));
  EXPECT_TRUE(filter.unsupported().empty());
  const BpfFilter other("tcp dst port 81");
  EXPECT_FALSE(matches(other, on_ethernet(), LinkType::Ethernet));
  EXPECT_FALSE(matches(other, ipv4_tcp(), LinkType::Raw));
}

TEST(BpfFilter, TheCompilersErrorIsShownAsItIs) {
  EXPECT_NE(BpfFilter("tcp prot 80").error()->find("syntax error"), std::string::npos);
}

TEST(BpfFilter, WhatALinkTypeCannotHaveMatchesNoneOfItsPackets) {
  const BpfFilter filter("vlan 5");
  ASSERT_FALSE(filter.error());
  EXPECT_TRUE(matches(filter, on_vlan(5), LinkType::Ethernet));
  EXPECT_FALSE(matches(filter, on_vlan(6), LinkType::Ethernet));
  EXPECT_FALSE(matches(filter, ipv4_tcp(), LinkType::Raw));
  EXPECT_FALSE(matches(filter, on_vlan(5), LinkType::Unknown));
  EXPECT_NE(filter.unsupported().find("RAW: "), std::string::npos);
}

TEST(BpfFilter, AnExpressionForAnotherLinkTypeIsNoError) {
  EXPECT_FALSE(BpfFilter("type mgt").error());
}

TEST(BpfFilter, FramesThatAreTooShortDoNotMatch) {
  const BpfFilter filter("tcp port 80");
  const Bytes frame = on_ethernet();
  Packet packet{};
  packet.frame = frame.data();
  packet.wire_length = static_cast<std::uint32_t>(frame.size());
  packet.link = LinkType::Ethernet;
  for (packet.captured = 0; packet.captured < 38; ++packet.captured) {
    EXPECT_FALSE(filter.matches(packet)) << packet.captured;
  }
  EXPECT_TRUE(filter.matches(packet));
}

TEST(BpfFilter, TheEmptyExpressionMatchesEverything) {
  const BpfFilter filter("");
  EXPECT_TRUE(matches(filter, on_ethernet(), LinkType::Ethernet));
  EXPECT_TRUE(matches(filter, ipv4_tcp(), LinkType::Raw));
}

}  // namespace
}  // namespace flowloom
