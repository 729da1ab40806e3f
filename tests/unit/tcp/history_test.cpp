// A history in words of five-bit letters: what is added is what Zeek writes, flipped or not.
#include <gtest/gtest.h>

#include <cstdint>
#include <string>

#include "tcp/connection.hpp"

namespace flowloom {
namespace {

std::string text_of(const ConnectionHistory& history) {
  std::string text;
  for (unsigned i = 0; i < history.length(); ++i) text += history[i].text();
  return text;
}

TEST(ConnectionHistory, IsWrittenAsZeekWritesIt) {
  ConnectionHistory history{};
  EXPECT_EQ(text_of(history), "");
  history.add({Letter::Syn, false});
  history.add({Letter::SynAck, true});
  history.add({Letter::Ack, false});
  history.add({Letter::Data, true});
  history.add({Letter::Inconsistent, true});
  EXPECT_EQ(text_of(history), "ShAdi");
  history.flip();
  EXPECT_EQ(text_of(history), "sHaDI");
}

TEST(ConnectionHistory, EveryLetterOfEachSideInEachPlace) {
  for (std::size_t n = 0; n < kHistoryLetters.size(); ++n) {
    const auto letter = static_cast<Letter>(n);
    const std::string upper(1, kHistoryLetters[n]);
    const std::string lower = letter == Letter::Flipped
                                  ? upper
                                  : std::string(1, static_cast<char>(kHistoryLetters[n] | 0x20));
    for (unsigned before = 0; before < ConnectionHistory::kLetters; ++before) {
      ConnectionHistory history{};
      for (unsigned i = 0; i < before; ++i) history.add({Letter::Gap, i % 2 == 1});
      const std::string front = text_of(history);
      ConnectionHistory other = history;
      history.add({letter, false});
      other.add({letter, true});
      EXPECT_EQ(text_of(history), front + upper);
      EXPECT_EQ(text_of(other), front + lower);
      history.flip();
      EXPECT_EQ(text_of(history).back(), lower[0]) << before;
      history.flip();
      EXPECT_EQ(text_of(history), front + upper);
    }
  }
}

TEST(ConnectionHistory, KeepsTheFirstFlagsBesideItsLetters) {
  for (unsigned flags = 0; flags < 256; ++flags) {
    ConnectionHistory history{};
    history.set_first_flags(static_cast<std::uint8_t>(flags));
    for (unsigned i = 0; i < ConnectionHistory::kLetters; ++i) {
      history.add({Letter::Inconsistent, true});
    }
    history.flip();
    EXPECT_EQ(history.first_flags(), flags);
    EXPECT_EQ(text_of(history), "IIIIIIIIII");
  }
}

}  // namespace
}  // namespace flowloom
