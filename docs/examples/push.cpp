// Push: the program has its own packets (here libpcap reads them from a file) and feeds them. What
// it wants to remember of a connection hangs on the stream's user pointer.
//
// usage: push CAPTURE
#include <flowloom/extractor.hpp>
#include <pcap/pcap.h>

#include <algorithm>
#include <chrono>
#include <cstdio>
#include <exception>
#include <memory>
#include <string>

namespace {

/// Bytes of both directions, and the largest pause between two of them.
struct Pauses {
  std::chrono::nanoseconds last{};
  std::chrono::nanoseconds longest{};
};

void on_event(const flowloom::ExtractorEvent& event) {
  using flowloom::EventKind;
  flowloom::Stream& stream = *event.stream;
  auto* pauses = static_cast<Pauses*>(stream.user());
  if (event.kind == EventKind::Opened) {
    stream.set_user(new Pauses{event.time, {}});
  } else if (event.kind == EventKind::Data) {
    pauses->longest = std::max(pauses->longest, event.time - pauses->last);
    pauses->last = event.time;
  } else if (event.kind == EventKind::Closed) {
    const std::unique_ptr<Pauses> owned(pauses);
    std::printf("%s %s longest pause %lld us\n",
                stream.end_point(flowloom::Side::Originator).text().c_str(),
                std::string(name_of(event.end_reason)).c_str(),
                static_cast<long long>(owned->longest.count() / 1000));
  }
}

}  // namespace

int main(int argc, char** argv) try {
  if (argc != 2) return 2;
  char error[PCAP_ERRBUF_SIZE];
  const std::unique_ptr<pcap_t, void (*)(pcap_t*)> capture(
      pcap_open_offline_with_tstamp_precision(argv[1], PCAP_TSTAMP_PRECISION_NANO, error),
      &pcap_close);
  if (!capture) throw std::runtime_error(error);
  flowloom::Extractor extractor;
  pcap_pkthdr* header = nullptr;
  const u_char* bytes = nullptr;
  while (pcap_next_ex(capture.get(), &header, &bytes) == 1) {
    extractor.feed({.bytes = {bytes, header->caplen},
                    .stamp = std::chrono::seconds{header->ts.tv_sec} +
                             std::chrono::nanoseconds{header->ts.tv_usec},
                    .link_type = static_cast<std::uint32_t>(pcap_datalink(capture.get())),
                    .wire_length = header->len});
    while (const flowloom::ExtractorEvent* event = extractor.next()) on_event(*event);
  }
  extractor.finish();
  while (const flowloom::ExtractorEvent* event = extractor.next()) on_event(*event);
  return extractor.statistics().balances ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
