// Live: listens to an interface until it is interrupted (Ctrl-C), or until a number of connections
// has closed, and says who talked to whom, and how that ended.
//
// usage: live INTERFACE [CONNECTIONS]
#include <flowloom/extractor.hpp>

#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <exception>

namespace {

flowloom::Extractor* running = nullptr;

extern "C" void on_interrupt(int) { running->interrupt(); }

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return 2;
  long wanted = argc > 2 ? std::atol(argv[2]) : 0;
  flowloom::ExtractorOptions options;
  options.closed_timeout = std::chrono::milliseconds{100};
  flowloom::Extractor extractor(options);
  extractor.open_live(argv[1]);
  running = &extractor;
  std::signal(SIGINT, on_interrupt);
  std::fprintf(stderr, "listening\n");
  while (const flowloom::ExtractorEvent* event = extractor.next()) {
    const flowloom::Stream& stream = *event->stream;
    if (event->kind == flowloom::EventKind::Data) {
      std::printf("%s: %zu bytes\n", stream.end_point(event->from).text().c_str(),
                  event->data.size());
    } else if (event->kind == flowloom::EventKind::Closed) {
      std::printf("%s - %s: %s\n", stream.end_point(flowloom::Side::Originator).text().c_str(),
                  stream.end_point(flowloom::Side::Responder).text().c_str(),
                  std::string(flowloom::name_of(event->end_reason)).c_str());
    } else if (event->kind == flowloom::EventKind::Ended && --wanted == 0) {
      extractor.interrupt();
    }
    std::fflush(stdout);
  }
  const flowloom::Statistics statistics = extractor.statistics();
  std::fprintf(stderr, "%llu packets, %llu missed\n",
               static_cast<unsigned long long>(statistics.packets),
               static_cast<unsigned long long>(statistics.missed));
  return statistics.balances ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
