// Which packets are of one connection where a guess may name the wrong one: addresses of zeros, as
// memory has them that nobody uses, and IPv6 end points that differ in their addresses only.
#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "support/recording_consumer.hpp"
#include "support/shard_runner.hpp"

namespace flowloom::test {
namespace {

using namespace std::chrono_literals;

const Timestamp kBase = from_nanoseconds(1'700'000'000'000'000'000);
const IpAddress kZeros4 = IpAddress::v4_of_word(0);

/// Segments that all have the same sequence number.
class Talk {
 public:
  explicit Talk(std::uint32_t burst) : runner_(small_config(), consumer_, burst) {}

  void say(const Endpoint& from, const Endpoint& to, std::string_view flags,
           std::string_view bytes) {
    now_ += 1ms;
    PacketBuilder packet;
    packet.from(from).to(to).flags(flags).seq(100).ack(1).payload(bytes);
    runner_.feed(packet.build(now_));
  }
  void wait(Duration time) {
    now_ += time;
    runner_.advance_clock(now_);
  }
  /// What was delivered of each connection, in the order in which they were opened.
  std::vector<std::string> finish() {
    runner_.finish();
    EXPECT_TRUE(runner_.ledger().balances());
    std::vector<std::string> bytes;
    for (const ConnectionLog& log : consumer_.connections()) {
      bytes.push_back(log.sides[0].bytes + log.sides[1].bytes);
    }
    return bytes;
  }

 private:
  RecordingConsumer consumer_;
  ShardRunner runner_;
  Timestamp now_ = kBase;
};

class Keys : public testing::TestWithParam<std::uint32_t> {};

TEST_P(Keys, ZerosAreNobody) {
  for (const IpAddress& zeros : {kZeros4, IpAddress{}}) {
    const Endpoint nobody{zeros, 0};
    Talk talk(GetParam());
    talk.say(nobody, nobody, "P.", "zero");
    talk.say(endpoint6(1, 0), endpoint6(2, 0), "P.", "one");
    talk.say(endpoint4(1, 0), endpoint4(2, 0), "P.", "two");
    talk.wait(1h);
    talk.say(nobody, nobody, "P.", "three");
    EXPECT_EQ(talk.finish(), (std::vector<std::string>{"one", "two"}));
  }
}

TEST_P(Keys, WhoHasEndedIsNotFound) {
  // What a pool writes over the first bytes of the last that is free looks like these ports.
  constexpr std::uint16_t kPort = 0xffff;
  for (const auto endpoint : {endpoint4, endpoint6}) {
    Talk talk(GetParam());
    for (const char* said : {"1", "2", "3"}) {
      talk.say(endpoint(1, kPort), endpoint(2, kPort), "P.", said);
      talk.wait(1h);
    }
    EXPECT_EQ(talk.finish(), (std::vector<std::string>{"1", "2", "3"}));
  }
}

TEST_P(Keys, AddressesOfIpv6Tell) {
  Talk talk(GetParam());
  for (std::uint8_t host = 3; host < 20; ++host) {
    talk.say(endpoint6(1, 5000), endpoint6(host, 80), "P.", std::string(1, char('a' + host)));
    talk.say(endpoint6(host, 5000), endpoint6(1, 80), "P.", std::string(1, char('A' + host)));
  }
  const std::vector<std::string> delivered = talk.finish();
  ASSERT_EQ(delivered.size(), 34U);
  for (std::uint8_t host = 3; host < 20; ++host) {
    EXPECT_EQ(delivered[2 * (host - 3)], std::string(1, char('a' + host)));
    EXPECT_EQ(delivered[2 * (host - 3) + 1], std::string(1, char('A' + host)));
  }
}

INSTANTIATE_TEST_SUITE_P(Bursts, Keys, testing::Values(1, 7, 32));

}  // namespace
}  // namespace flowloom::test
