// Pull: asks for one event after the other and prints a line per connection, as `flowloom read`
// does.
//
// usage: pull CAPTURE...
#include <flowloom/extractor.hpp>

#include <cstdio>
#include <exception>
#include <string>
#include <vector>

namespace {

void print_line(const flowloom::StreamInfo& info) {
  using flowloom::Side;
  const flowloom::SideInfo& client = info.side(Side::Originator);
  const flowloom::SideInfo& server = info.side(Side::Responder);
  if (!info.established && client.payload_bytes + server.payload_bytes == 0) return;
  std::printf("[+] %s - %s (CTS: %lluB | STC: %lluB)", client.end_point.text().c_str(),
              server.end_point.text().c_str(),
              static_cast<unsigned long long>(client.stream_bytes),
              static_cast<unsigned long long>(server.stream_bytes));
  if (client.gaps + server.gaps > 0) {
    std::printf(" gaps: %llu (%lluB)",
                static_cast<unsigned long long>(client.gaps + server.gaps),
                static_cast<unsigned long long>(client.gap_bytes + server.gap_bytes));
  }
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) try {
  flowloom::Extractor extractor;
  extractor.open(std::vector<std::string>(argv + 1, argv + argc));
  while (const flowloom::ExtractorEvent* event = extractor.next()) {
    if (event->kind == flowloom::EventKind::Closed) print_line(event->stream->info());
  }
  for (const flowloom::InputFault& fault : extractor.faults()) {
    std::fprintf(stderr, "%s\n", fault.sentence.c_str());
  }
  return extractor.statistics().balances ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
