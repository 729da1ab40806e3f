// Text of addresses, stamps and names, against the C library as an independent oracle.
#include "sinks/text.hpp"

#include "support/message_builder.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>

#include <ctime>
#include <random>

namespace flowloom {
namespace {

IpAddress parse_v6(const char* text) {
  std::uint8_t bytes[16];
  EXPECT_EQ(1, ::inet_pton(AF_INET6, text, bytes));
  return IpAddress::v6(bytes);
}

TEST(Text, Ipv6FollowsRfc5952) {
  for (const char* text :
       {"::", "::1", "1::", "2001:db8::1", "2001:db8:0:1:1:1:1:1", "2001:0:0:1::1",
        "2001:db8::1:0:0:1", "fe80::1:2:3:4", "1:2:3:4:5:6:7:8", "::ffff:10.1.2.3",
        "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", "1:2:3:4:5:6:7:0", "0:2:3:4:5:6:7:8",
        "1:2:3:4:5:6::", "::3:4:5:6:7:8"}) {
    EXPECT_EQ(text, format_address(parse_v6(text), IpFamily::V6).view());
  }
}

TEST(Text, Ipv6RoundTripsForRandomAddresses) {
  std::mt19937 random(1);
  for (int i = 0; i < 20'000; ++i) {
    std::uint8_t bytes[16];
    for (std::uint8_t& byte : bytes) {
      byte = random() % 3 == 0 ? static_cast<std::uint8_t>(random()) : 0;
    }
    AddressText text = format_address(IpAddress::v6(bytes), IpFamily::V6);
    std::uint8_t parsed[16];
    ASSERT_EQ(1, ::inet_pton(AF_INET6, text.c_str(), parsed)) << text.view();
    ASSERT_EQ(0, std::memcmp(bytes, parsed, 16)) << text.view();
  }
}

TEST(Text, EndpointsOfBothFamilies) {
  EXPECT_EQ("10.1.1.1:80",
            format_endpoint(test::endpoint_v4({10, 1, 1, 1}, 80), IpFamily::V4).view());
  EXPECT_EQ("255.255.255.255:65535",
            format_endpoint(test::endpoint_v4({255, 255, 255, 255}, 65535), IpFamily::V4).view());
  EXPECT_EQ("[2001:db8::1]:443",
            format_endpoint({parse_v6("2001:db8::1"), 443}, IpFamily::V6).view());
}

TEST(Text, MappedAddressOfAnIpv6ConnectionStaysIpv6) {
  const Endpoint mapped = test::endpoint_v4({10, 1, 1, 1}, 80);
  EXPECT_EQ("[::ffff:10.1.1.1]:80", format_endpoint(mapped, IpFamily::V6).view());
}

std::string oracle(std::int64_t ns) {
  std::int64_t seconds = ns / 1'000'000'000;
  std::int64_t fraction = ns % 1'000'000'000;
  if (fraction < 0) {
    fraction += 1'000'000'000;
    --seconds;
  }
  const std::time_t time = seconds;
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char text[64];
  const std::size_t length = std::strftime(text, sizeof text, "%Y-%m-%dT%H:%M:%S", &parts);
  char decimals[16];
  std::snprintf(decimals, sizeof decimals, ".%09dZ", static_cast<int>(fraction));
  return std::string(text, length) + decimals;
}

TEST(Text, StampsAgreeWithTheCLibrary) {
  std::mt19937_64 random(2);
  std::vector<std::int64_t> stamps = {
      0, -1, 1, 951782399999999999, 951868800000000000, INT64_MIN, INT64_MIN + 1, INT64_MAX};
  for (int i = 0; i < 20'000; ++i) stamps.push_back(static_cast<std::int64_t>(random()));
  for (const std::int64_t ns : stamps) {
    ASSERT_EQ(oracle(ns), format_rfc3339(from_nanoseconds(ns)).view()) << ns;
  }
}

TEST(Text, StreamNamesPutTheSenderFirst) {
  test::MessageBuilder builder;
  EXPECT_EQ("10.1.1.101.3177-10.1.1.1.80-Cuid",
            format_stream_name(builder.record(), Direction::OriginatorToResponder, "Cuid").view());
  EXPECT_EQ("10.1.1.1.80-10.1.1.101.3177-Cuid",
            format_stream_name(builder.record(), Direction::ResponderToOriginator, "Cuid").view());
}

TEST(Text, LongestStreamNameFits) {
  test::MessageBuilder builder;
  const Endpoint longest{parse_v6("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"), 65535};
  builder.endpoints(longest, longest);
  FileName name =
      format_stream_name(builder.record(), Direction::OriginatorToResponder, "C123456789012345678");
  name.push(".part");
  EXPECT_EQ(std::string_view::npos, name.view().find(':'));
  EXPECT_EQ(name.view().size(), std::strlen(name.c_str()));
}

}  // namespace
}  // namespace flowloom
