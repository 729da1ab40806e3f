// The ids are part of every output that anybody keeps: these values must never change.
#include "sinks/ids.hpp"

#include "support/message_builder.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <set>

namespace flowloom {
namespace {

Endpoint parse(const char* text, std::uint16_t port) {
  std::uint8_t bytes[16];
  if (::inet_pton(AF_INET, text, bytes) == 1) return {IpAddress::v4(bytes), port};
  EXPECT_EQ(1, ::inet_pton(AF_INET6, text, bytes));
  return {IpAddress::v6(bytes), port};
}

ConnectionRecord record_of(const Endpoint& originator, const Endpoint& responder) {
  test::MessageBuilder builder;
  builder.endpoints(originator, responder);
  return builder.record();
}

/// From the test vectors that the specification publishes.
TEST(CommunityIdTest, PublishedVectors) {
  IdMaker ids;
  const auto v4 = record_of(parse("128.232.110.120", 34855), parse("66.35.250.204", 80));
  EXPECT_EQ("1:LQU9qZlK+B5F3KDmev6m5PMibrg=", ids.community_id(v4).view());
  const auto reversed = record_of(parse("66.35.250.204", 80), parse("128.232.110.120", 34855));
  EXPECT_EQ("1:LQU9qZlK+B5F3KDmev6m5PMibrg=", ids.community_id(reversed).view());
  const auto v6 = record_of(parse("2001:470:e5bf:dead:4957:2174:e82c:4887", 63943),
                            parse("2607:f8b0:400c:c03::1a", 25));
  EXPECT_EQ("1:/qFaeAR+gFe1KYjMzVDsMv+wgU4=", ids.community_id(v6).view());
}

ConnectionRecord plain_connection() {
  auto record = record_of(parse("10.1.1.101", 3177), parse("10.1.1.1", 80));
  record.start = from_nanoseconds(1096281006123456789);
  record.first_sequence = SeqNum(0x12345678);
  return record;
}

ConnectionRecord tagged_connection() {
  auto record = record_of(parse("2001:db8::1", 443), parse("2001:db8::2", 50000));
  record.start = from_nanoseconds(-1);
  record.reuse = 3;
  record.encapsulation.count = 2;
  record.encapsulation.layers[0] = {EncapsulationLayer::Kind::Vlan, 5};
  record.encapsulation.layers[1] = {EncapsulationLayer::Kind::Mpls, 1000};
  return record;
}

/// Computed by a separate program from the description in ids.hpp.
TEST(UidTest, IsTheSameEverywhere) {
  IdMaker ids;
  EXPECT_EQ("CzYVD3Dq9b5qz0RcYAs", ids.uid(plain_connection()).view());
  EXPECT_EQ("CsePco4mZT6p6Jvmu9c", ids.uid(tagged_connection()).view());
  EXPECT_EQ("CzYVD3Dq9b5qz0RcYAs", ids.uid(plain_connection()).view()) << "not repeatable";
}

TEST(UidTest, DoesNotDependOnWhoOpened) {
  IdMaker ids;
  ConnectionRecord record = plain_connection();
  std::swap(record.sides[0], record.sides[1]);
  EXPECT_EQ(ids.uid(plain_connection()).view(), ids.uid(record).view());
}

TEST(UidTest, DependsOnEverythingThatIdentifies) {
  IdMaker ids;
  std::set<std::string> seen;
  const auto add = [&](auto&& change) {
    ConnectionRecord record = tagged_connection();
    change(record);
    EXPECT_TRUE(seen.emplace(ids.uid(record).view()).second);
  };
  add([](ConnectionRecord&) {});
  add([](ConnectionRecord& r) { r.start += Duration(1); });
  add([](ConnectionRecord& r) { r.first_sequence = SeqNum(1); });
  add([](ConnectionRecord& r) { r.reuse = 4; });
  add([](ConnectionRecord& r) { r.ipv6 = false; });
  add([](ConnectionRecord& r) { r.sides[0].endpoint.port = 444; });
  add([](ConnectionRecord& r) { r.sides[1].endpoint.address.bytes[15] ^= 1; });
  add([](ConnectionRecord& r) { r.encapsulation.count = 1; });
  add([](ConnectionRecord& r) { r.encapsulation.layers[1].id = 1001; });
  add([](ConnectionRecord& r) { r.encapsulation.layers[1].kind = EncapsulationLayer::Kind::Vlan; });
}

TEST(UidTest, ToleratesMoreLayersThanAreListed) {
  IdMaker ids;
  ConnectionRecord record = plain_connection();
  for (auto& layer : record.encapsulation.layers) layer = {EncapsulationLayer::Kind::Mpls, 1};
  record.encapsulation.count = 1000;
  EXPECT_EQ(kUidLength, ids.uid(record).view().size());
}

}  // namespace
}  // namespace flowloom
