// The library as a program outside uses it: the installed header and libflowloom.so alone.
#include <flowloom/extractor.hpp>

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <stdexcept>
#include <thread>

#include "support/capture_file.hpp"
#include "unit/api/talk.hpp"

namespace flowloom::test {
namespace {

using testing::TemporaryFolder;

Talk short_talk() {
  return Talk().open().up("P.", "hello").down("P.", "welcome").up("P.", "bye").close();
}

const Lines kShortTalk = {"opened 10.0.0.1:40000 10.0.0.200:80",
                          "> 0 hello",
                          "< 0 welcome",
                          "> 5 bye",
                          "> ended",
                          "< ended",
                          "closed fin"};

Lines all_of(Extractor& extractor) {
  Lines lines;
  while (const ExtractorEvent* event = extractor.next()) lines.push_back(text_of(*event));
  return lines;
}

void feed_all(Extractor& extractor, const std::vector<Frame>& frames) {
  for (const Frame& frame : frames) extractor.feed(captured(frame));
}

std::string write_capture(const TemporaryFolder& folder, const std::vector<Frame>& frames) {
  std::vector<testing::Record> records;
  for (const Frame& frame : frames) {
    records.push_back({to_nanoseconds(frame.stamp) / 1000, frame.bytes});
  }
  const std::string path = folder.file("talk.pcap");
  testing::write_bytes(path, testing::pcap_bytes(records));
  return path;
}

// Many connections, their packets in turns; every fifth loses a segment, some never close.
std::vector<Frame> many_talks(unsigned count) {
  std::vector<std::vector<Frame>> talks;
  for (unsigned i = 0; i < count; ++i) {
    Talk talk(static_cast<std::uint8_t>(1 + i % 100), static_cast<std::uint16_t>(30000 + i));
    talk.open();
    for (unsigned k = 0; k < 1 + i % 7; ++k) {
      talk.up("P.", "request " + std::to_string(k) + " of " + std::to_string(i));
      if (i % 5 == 0 && k == 0) talk.lose();
      talk.down("P.", std::string(50 * (1 + i % 30), static_cast<char>('a' + k)));
    }
    if (i % 9 != 0) talk.close();
    talks.push_back(talk.frames());
  }
  std::vector<Frame> all;
  for (const auto& talk : talks) all.insert(all.end(), talk.begin(), talk.end());
  std::stable_sort(all.begin(), all.end(),
                   [](const Frame& a, const Frame& b) { return a.stamp < b.stamp; });
  return all;
}

TEST(ExtractorPush, EventsComeAsFramesAreFed) {
  Extractor extractor;
  const std::vector<Frame> frames = short_talk().frames();
  const std::vector<std::size_t> events_after = {1, 0, 0, 1, 1, 1, 0, 1, 1};
  Lines lines;
  for (std::size_t i = 0; i < frames.size(); ++i) {
    extractor.feed(captured(frames[i]));
    const Lines news = all_of(extractor);
    EXPECT_EQ(news.size(), events_after[i]) << "after frame " << i;
    lines.insert(lines.end(), news.begin(), news.end());
  }
  EXPECT_FALSE(extractor.ended());
  extractor.finish();
  EXPECT_FALSE(extractor.ended());
  const Lines last = all_of(extractor);
  lines.insert(lines.end(), last.begin(), last.end());
  EXPECT_TRUE(extractor.ended());
  EXPECT_EQ(lines, kShortTalk);
}

TEST(ExtractorPush, FramesNeedNotOutliveTheCall) {
  Extractor extractor;
  const Talk talk = short_talk();
  for (Frame frame : talk.frames()) {
    extractor.feed(captured(frame));
    std::fill(frame.bytes.begin(), frame.bytes.end(), std::uint8_t{0xdb});
  }
  extractor.finish();
  EXPECT_EQ(all_of(extractor), kShortTalk);
}

TEST(ExtractorPush, AHandlerIsToldTheSame) {
  const std::vector<Frame> frames = many_talks(40);
  Extractor one_by_one;
  feed_all(one_by_one, frames);
  one_by_one.finish();
  Recorder recorder;
  Extractor at_once;
  at_once.set_handler(&recorder);
  at_once.feed(captured(frames));
  at_once.finish();
  EXPECT_EQ(all_of(one_by_one), recorder.lines);
  EXPECT_GT(recorder.lines.size(), 400U);
  EXPECT_TRUE(at_once.statistics().balances);
}

TEST(ExtractorPull, ReadsCaptures) {
  const TemporaryFolder folder;
  Extractor extractor;
  extractor.open({write_capture(folder, short_talk().frames())});
  EXPECT_EQ(all_of(extractor), kShortTalk);
  EXPECT_TRUE(extractor.ended());
  EXPECT_EQ(extractor.next(), nullptr);
  EXPECT_EQ(extractor.bytes_read(), extractor.bytes_total());
  EXPECT_TRUE(extractor.faults().empty());
}

TEST(ExtractorPull, EqualsPush) {
  const TemporaryFolder folder;
  const std::vector<Frame> frames = many_talks(60);
  Extractor pull;
  pull.open({write_capture(folder, frames)});
  Extractor push;
  feed_all(push, frames);
  push.finish();
  EXPECT_EQ(all_of(pull), all_of(push));
}

TEST(ExtractorRun, SameConnectionsForAnyNumberOfWorkers) {
  const TemporaryFolder folder;
  const std::vector<Frame> frames = many_talks(300);
  const std::string path = write_capture(folder, frames);
  Lines expected;
  for (const unsigned workers : {1U, 2U, 5U}) {
    ExtractorOptions options;
    options.workers = workers;
    options.max_flows = 4000;
    Extractor extractor(options);
    extractor.open({path});
    Summary summary;
    extractor.run(summary);
    const Statistics statistics = extractor.statistics();
    EXPECT_TRUE(statistics.balances);
    EXPECT_EQ(statistics.connections_created, 300U);
    EXPECT_EQ(statistics.packets, frames.size());
    if (workers == 1) expected = summary.connections;
    EXPECT_EQ(summary.connections, expected) << workers << " workers";
  }
  EXPECT_EQ(expected.size(), 300U);
  const auto gaps = std::count_if(expected.begin(), expected.end(), [](const std::string& line) {
    return line.find("gap") != std::string::npos;
  });
  EXPECT_EQ(gaps, 60);
}

TEST(ExtractorRun, InterruptedItClosesEverything) {
  class Interrupter final : public Recorder {
   public:
    explicit Interrupter(Extractor& extractor) : extractor_(extractor) {}
    void on_event(const ExtractorEvent& event) override {
      Recorder::on_event(event);
      if (lines.size() == 10) extractor_.interrupt();
    }

   private:
    Extractor& extractor_;
  };
  const TemporaryFolder folder;
  Extractor extractor;
  extractor.open({write_capture(folder, many_talks(200))});
  Interrupter interrupter(extractor);
  extractor.run(interrupter);
  const Statistics statistics = extractor.statistics();
  EXPECT_LT(statistics.packets, 200U);
  EXPECT_EQ(statistics.connections_created, statistics.connections_closed);
  EXPECT_TRUE(statistics.balances);
  EXPECT_EQ(interrupter.lines.back(), "closed eof");
}

TEST(ExtractorGap, HasPlaceLengthAndCause) {
  Extractor extractor;
  feed_all(extractor, Talk().open().up("P.", "one").up("P.", "lost").lose().up("P.", "three")
                          .down("P.", "got all").close().frames());
  extractor.finish();
  Lines of_client;
  for (const std::string& line : all_of(extractor)) {
    if (line.front() == '>') of_client.push_back(line);
  }
  EXPECT_EQ(of_client, (Lines{"> 0 one", "> 3 gap 4 capture-loss", "> 7 three", "> ended"}));
}

TEST(ExtractorUrgent, OutOfBandIsAnEvent) {
  ExtractorOptions options;
  options.urgent = "oob";
  Extractor extractor(options);
  feed_all(extractor, Talk().open().urgent("abcXdef", 4).close().frames());
  extractor.finish();
  const Lines lines = all_of(extractor);
  const Lines expected = {"> 0 abc", "> 3 urgent X", "> 3 def"};
  EXPECT_TRUE(std::search(lines.begin(), lines.end(), expected.begin(), expected.end()) !=
              lines.end())
      << ::testing::PrintToString(lines);
}

TEST(ExtractorStream, KeepsBytesUntilTheyAreDoneWith) {
  Extractor extractor;
  feed_all(extractor, Talk().open().up("P.", "ab").up("P.", "cd").up("P.", "ef").close().frames());
  extractor.finish();
  Lines lines;
  std::vector<std::size_t> fresh;
  while (const ExtractorEvent* event = extractor.next()) {
    if (event->kind != EventKind::Data) continue;
    lines.push_back(text_of(*event));
    fresh.push_back(event->fresh);
    event->stream->discard(lines.size() == 1 ? 0 : 3);
  }
  EXPECT_EQ(lines, (Lines{"> 0 ab", "> 0 abcd", "> 3 def"}));
  EXPECT_EQ(fresh, (std::vector<std::size_t>{2, 2, 2}));
}

TEST(ExtractorStream, KeptBytesEndAtAGap) {
  Extractor extractor;
  feed_all(extractor, Talk().open().up("P.", "one").up("P.", "lost").lose().up("P.", "three")
                          .down("P.", "got all").close().frames());
  extractor.finish();
  Lines lines;
  std::string at_gap;
  while (const ExtractorEvent* event = extractor.next()) {
    if (event->kind == EventKind::Data && event->from == Side::Originator) {
      lines.push_back(text_of(*event));
      event->stream->discard(1);
    }
    if (event->kind == EventKind::Gap) {
      const auto kept = event->stream->kept(Side::Originator);
      at_gap.assign(kept.begin(), kept.end());
    }
  }
  EXPECT_EQ(lines, (Lines{"> 0 one", "> 7 three"}));
  EXPECT_EQ(at_gap, "ne");
}

TEST(ExtractorStream, KeepsNoMoreThanTheLimit) {
  ExtractorOptions options;
  options.keep_limit = 4;
  Extractor extractor(options);
  feed_all(extractor, Talk().open().up("P.", "abc").up("P.", "def").up("P.", "g").frames());
  Lines lines;
  while (const ExtractorEvent* event = extractor.next()) {
    if (event->kind != EventKind::Data) continue;
    lines.push_back(text_of(*event));
    event->stream->discard(0);
  }
  EXPECT_EQ(lines, (Lines{"> 0 abc", "> 0 abcdef", "> 2 cdefg"}));
}

TEST(ExtractorStream, CollectsWhatIsWanted) {
  Extractor extractor;
  feed_all(extractor, Talk().open().up("P.", "ab").down("P.", "no").up("P.", "cd").down("P.", "yes")
                          .up("P.", "ef").frames());
  Lines lines;
  while (const ExtractorEvent* event = extractor.next()) {
    Stream& stream = *event->stream;
    if (event->kind == EventKind::Opened) stream.collect(Side::Responder, Collect::No);
    if (event->kind != EventKind::Data) continue;
    lines.push_back(text_of(*event));
    stream.collect(Side::Originator, Collect::No);
    stream.collect(Side::Responder, Collect::Yes);
  }
  EXPECT_EQ(lines, (Lines{"> 0 ab", "< 0 no", "< 2 yes"}));
}

TEST(ExtractorStream, StopsAndCarriesAWordOfItsUser) {
  Extractor extractor;
  feed_all(extractor,
           Talk().open().up("P.", "ab").down("P.", "cd").up("P.", "ef").close().frames());
  extractor.finish();
  Lines lines;
  int word = 0;
  while (const ExtractorEvent* event = extractor.next()) {
    lines.push_back(text_of(*event));
    if (event->kind == EventKind::Opened) {
      EXPECT_EQ(event->stream->user(), nullptr);
      event->stream->set_user(&word);
    } else {
      EXPECT_EQ(event->stream->user(), &word);
      event->stream->stop();
    }
  }
  EXPECT_EQ(lines, (Lines{kShortTalk[0], "> 0 ab", "closed fin"}));
}

TEST(ExtractorStream, InfoIsFinalWhenItClosed) {
  Extractor extractor;
  feed_all(extractor, short_talk().frames());
  const ExtractorEvent* first = extractor.next();
  ASSERT_NE(first, nullptr);
  const StreamInfo opened = first->stream->info();
  extractor.finish();
  StreamInfo closed;
  while (const ExtractorEvent* event = extractor.next()) {
    if (event->kind == EventKind::Closed) closed = event->stream->info();
  }
  EXPECT_EQ(opened.reason, EndReason::Open);
  EXPECT_EQ(closed.reason, EndReason::Fin);
  EXPECT_EQ(closed.side(Side::Originator).stream_bytes, 8U);
  EXPECT_EQ(closed.side(Side::Responder).stream_bytes, 7U);
  EXPECT_EQ(closed.state, "SF");
  EXPECT_EQ(closed.history, "ShADdFf");
  EXPECT_EQ(closed.end - closed.start, std::chrono::milliseconds{8});
  EXPECT_EQ(closed.first_packet, 1U);
  EXPECT_TRUE(closed.established);
}

TEST(ExtractorPackets, EachIsToldBehindWhatItCaused) {
  ExtractorOptions options;
  options.packets = PacketEvents::Yes;
  Extractor extractor(options);
  std::vector<Frame> frames = Talk().open().up("P.", "ab").down("P.", "cde").frames();
  frames.insert(frames.begin() + 3, PacketBuilder().protocol(17).build(frames[2].stamp));
  feed_all(extractor, frames);
  Lines lines;
  while (const ExtractorEvent* event = extractor.next()) {
    std::string line = text_of(*event);
    if (event->kind == EventKind::Packet) {
      line += event->stream == nullptr ? " nobody"
              : event->from == Side::Originator ? " >" + std::to_string(event->length)
                                                : " <" + std::to_string(event->length);
      const Frame& frame = frames[event->packet - 1];
      EXPECT_TRUE(std::ranges::equal(event->data, frame.bytes));
      EXPECT_EQ(event->stamp, frame.stamp.time_since_epoch());
      EXPECT_EQ(event->link_type, kLinkEthernet);
    }
    lines.push_back(line);
  }
  EXPECT_EQ(lines, (Lines{kShortTalk[0], "packet 1 >0", "packet 2 <0", "packet 3 >0",
                          "packet 4 nobody", "> 0 ab", "packet 5 >2", "< 0 cde", "packet 6 <3"}));
}

TEST(ExtractorPackets, EndPointsUsedAgainAreAnotherStream) {
  ExtractorOptions options;
  options.packets = PacketEvents::Yes;
  Extractor extractor(options);
  std::vector<Frame> frames = short_talk().frames();
  const std::vector<Frame> again = Talk().up("S").frames();
  frames.push_back(again[0]);
  frames.back().stamp = frames[8].stamp + std::chrono::seconds{61};
  feed_all(extractor, frames);
  std::vector<std::uint64_t> ids;
  while (const ExtractorEvent* event = extractor.next()) {
    if (event->kind == EventKind::Packet) ids.push_back(event->stream->id());
  }
  EXPECT_EQ(ids, (std::vector<std::uint64_t>{1, 1, 1, 1, 1, 1, 1, 1, 1, 2}));
}

TEST(ExtractorScan, IsToldOnceForAnyNumberOfWorkers) {
  std::vector<Frame> frames;
  Timestamp clock = from_nanoseconds(1'600'000'000'000'000'000);
  for (std::uint16_t port = 1; port <= 40; ++port) {
    const Endpoint asker = endpoint4(9, static_cast<std::uint16_t>(50000 + port));
    const Endpoint asked = endpoint4(200, port);
    frames.push_back(PacketBuilder().from(asker).to(asked).seq(77).flags("S").build(clock));
    frames.push_back(PacketBuilder().from(asked).to(asker).ack(78).flags("R.").build(clock));
    clock += std::chrono::milliseconds{20};
  }
  const TemporaryFolder folder;
  const std::string path = write_capture(folder, frames);
  const Lines expected = {"scan syn across ports of 10.0.0.9 11 from 10.0.0.200:1"};
  for (const unsigned workers : {1U, 3U}) {
    ExtractorOptions options;
    options.scan_ports = 10;
    options.workers = workers;
    options.max_flows = 4000;
    Extractor run(options);
    run.open({path});
    Recorder recorder;
    run.run(recorder);
    std::erase_if(recorder.lines, [](const std::string& s) { return !s.starts_with("scan"); });
    EXPECT_EQ(recorder.lines, expected) << workers << " workers";
  }
  ExtractorOptions options;
  options.scan_ports = 10;
  Extractor pull(options);
  pull.open({path});
  Lines lines = all_of(pull);
  std::erase_if(lines, [](const std::string& s) { return !s.starts_with("scan"); });
  EXPECT_EQ(lines, expected);
}

TEST(ExtractorMany, AreIndependent) {
  const std::vector<Frame> frames = many_talks(50);
  Extractor alone;
  feed_all(alone, frames);
  alone.finish();
  const Lines expected = all_of(alone);
  // Two in turns on this thread, two on threads of their own.
  Lines found[4];
  const auto work = [&frames](Lines& lines) {
    Extractor extractor;
    feed_all(extractor, frames);
    extractor.finish();
    lines = all_of(extractor);
  };
  std::thread third(work, std::ref(found[2]));
  std::thread fourth(work, std::ref(found[3]));
  Extractor first;
  Extractor second;
  for (const Frame& frame : frames) {
    first.feed(captured(frame));
    second.feed(captured(frame));
  }
  first.finish();
  second.finish();
  found[0] = all_of(first);
  found[1] = all_of(second);
  third.join();
  fourth.join();
  for (const Lines& lines : found) EXPECT_EQ(lines, expected);
}

TEST(ExtractorFilter, LeavesOutWhatDoesNotMatch) {
  ExtractorOptions options;
  options.filter = "tcp port 40001";
  Extractor extractor(options);
  feed_all(extractor, short_talk().frames());
  feed_all(extractor, Talk(1, 40001).open().frames());
  EXPECT_EQ(all_of(extractor), (Lines{"opened 10.0.0.1:40001 10.0.0.200:80"}));
  const Statistics statistics = extractor.statistics();
  ASSERT_FALSE(statistics.verdicts.empty());
  const auto filtered = std::find_if(statistics.verdicts.begin(), statistics.verdicts.end(),
                                     [](const Count& c) { return c.name == "filtered"; });
  ASSERT_NE(filtered, statistics.verdicts.end());
  EXPECT_EQ(filtered->value, 9U);
}

TEST(ExtractorErrors, OptionsAreSentences) {
  const auto refused = [](auto change) -> std::string {
    ExtractorOptions options;
    change(options);
    try {
      const Extractor extractor(options);
    } catch (const std::invalid_argument& error) {
      return error.what();
    }
    return "accepted";
  };
  EXPECT_EQ(refused([](auto& o) { o.overlap = "nobody"; }), "overlap: 'nobody' is no name of one");
  EXPECT_NE(refused([](auto& o) { o.filter = "tcp prt 80"; }).find("filter 'tcp prt 80': "),
            std::string::npos);
  EXPECT_EQ(refused([](auto& o) { o.workers = 0; }), "workers is not from 1 to 64");
  EXPECT_NE(refused([](auto& o) { o.idle_timeout = {}; }), "accepted");
  EXPECT_NE(refused([](auto& o) { o.max_flows = 1; }), "accepted");
  EXPECT_NE(refused([](auto& o) { o.workers = 2, o.urgent = "oob"; }), "accepted");
  EXPECT_EQ(refused([](auto&) {}), "accepted");
}

TEST(ExtractorErrors, InputsAreNamed) {
  const TemporaryFolder folder;
  const std::string missing = folder.file("missing.pcap");
  Extractor extractor;
  try {
    extractor.open({missing});
    FAIL() << "opened what is not there";
  } catch (const std::runtime_error& error) {
    EXPECT_NE(std::string(error.what()).find(missing), std::string::npos);
  }
  extractor.open({missing, write_capture(folder, short_talk().frames())});
  EXPECT_EQ(all_of(extractor), kShortTalk);
  ASSERT_EQ(extractor.faults().size(), 1U);
  EXPECT_EQ(extractor.faults()[0].kind, InputFault::Kind::Unreadable);
}

TEST(ExtractorErrors, CallsThatMakeNoSense) {
  const std::vector<Frame> frames = short_talk().frames();
  Extractor extractor;
  Recorder recorder;
  EXPECT_THROW(extractor.run(recorder), std::logic_error);
  feed_all(extractor, frames);
  EXPECT_THROW(extractor.open({"x.pcap"}), std::logic_error);
  EXPECT_THROW(extractor.set_handler(&recorder), std::logic_error);
  extractor.finish();
  EXPECT_THROW(extractor.feed(captured(frames[0])), std::logic_error);
  EXPECT_EQ(all_of(extractor), kShortTalk);
}

TEST(ExtractorErrors, WhatAHandlerThrowsEndsTheInput) {
  class Thrower final : public Recorder {
   public:
    void on_event(const ExtractorEvent& event) override {
      Recorder::on_event(event);
      if (event.kind == EventKind::Data) throw std::domain_error("enough");
    }
  };
  const TemporaryFolder folder;
  const std::string path = write_capture(folder, many_talks(30));
  for (const unsigned workers : {1U, 2U}) {
    ExtractorOptions options;
    options.workers = workers;
    options.max_flows = 1000;
    Extractor extractor(options);
    extractor.open({path});
    Thrower thrower;
    EXPECT_THROW(extractor.run(thrower), std::domain_error);
    EXPECT_EQ(thrower.lines.back().substr(0, 2), "> ");
    EXPECT_THROW(extractor.run(thrower), std::logic_error);
  }
}

TEST(ExtractorErrors, AHandlerMustNotCallItsExtractor) {
  class Caller final : public StreamHandler {
   public:
    explicit Caller(Extractor& extractor) : extractor_(extractor) {}
    void on_event(const ExtractorEvent&) override {
      EXPECT_THROW(extractor_.finish(), std::logic_error);
      EXPECT_THROW((void)extractor_.next(), std::logic_error);
      ++calls;
    }
    int calls = 0;

   private:
    Extractor& extractor_;
  };
  Extractor extractor;
  Caller caller(extractor);
  extractor.set_handler(&caller);
  feed_all(extractor, short_talk().frames());
  extractor.finish();
  EXPECT_EQ(caller.calls, 7);
}

// A conversation between two sockets of this process, over the loopback interface.
std::string talk_over_loopback() {
  const int listener = socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t size = sizeof address;
  auto* const any = reinterpret_cast<sockaddr*>(&address);
  if (bind(listener, any, size) != 0 || listen(listener, 1) != 0) return {};
  getsockname(listener, any, &size);
  const int client = socket(AF_INET, SOCK_STREAM, 0);
  if (connect(client, any, size) != 0) return {};
  const int server = accept(listener, nullptr, nullptr);
  char received[16] = {};
  (void)!write(client, "ping", 4);
  (void)!read(server, received, sizeof received);
  (void)!write(server, "pong", 4);
  (void)!read(client, received, sizeof received);
  for (const int fd : {client, server, listener}) ::close(fd);
  return ":" + std::to_string(ntohs(address.sin_port));
}

TEST(ExtractorLive, ListensToAnInterfaceOrSaysWhyNot) {
  Extractor extractor;
  try {
    extractor.open_live("lo");
  } catch (const std::runtime_error& error) {
    // Without the privilege there is nothing to hear, but a sentence to read.
    EXPECT_EQ(std::string(error.what()).substr(0, 4), "lo: ");
    EXPECT_NE(geteuid(), 0U) << error.what();
    return;
  }
  const std::string port = talk_over_loopback();
  ASSERT_FALSE(port.empty());
  Lines mine;
  std::uint64_t stream = 0;
  while (const ExtractorEvent* event = extractor.next()) {
    const std::string line = text_of(*event);
    if (event->kind == EventKind::Opened && line.ends_with(port)) stream = event->stream->id();
    if (event->stream->id() == stream) mine.push_back(line);
    if (event->kind == EventKind::Ended && mine.size() >= 5) extractor.interrupt();
  }
  ASSERT_EQ(mine.size(), 6U) << ::testing::PrintToString(mine);
  EXPECT_EQ(mine[1], "> 0 ping");
  EXPECT_EQ(mine[2], "< 0 pong");
  EXPECT_EQ(mine[5], "closed fin");
  EXPECT_TRUE(extractor.statistics().balances);
}

TEST(ExtractorLive, AnInterfaceThatIsNotThere) {
  Extractor extractor;
  EXPECT_THROW(extractor.open_live("no-such-interface"), std::runtime_error);
}

}  // namespace
}  // namespace flowloom::test
