// Run to the end: a handler is told everything. This one prints the first line of every request to
// port 80. A line may come in pieces, so what is not complete is kept and comes again; once the
// line is there, the rest of the connection is of no interest.
//
// usage: run CAPTURE [WORKERS]
#include <flowloom/extractor.hpp>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <string>

namespace {

class RequestLines final : public flowloom::StreamHandler {
 public:
  void on_event(const flowloom::ExtractorEvent& event) override {
    using flowloom::EventKind;
    flowloom::Stream& stream = *event.stream;
    switch (event.kind) {
      case EventKind::Data:
        on_data(event, stream);
        break;
      case EventKind::Gap:
        stream.stop(); // the beginning of the request is missing
        break;
      default:
        break;
    }
  }

 private:
  static void on_data(const flowloom::ExtractorEvent& event, flowloom::Stream& stream) {
    const flowloom::EndPoint server = stream.end_point(flowloom::Side::Responder);
    if (server.port != 80) return stream.stop();
    if (event.from != flowloom::Side::Originator) return;
    const auto end = std::find(event.data.begin(), event.data.end(), '\n');
    if (end == event.data.end()) return stream.discard(0); // keep it all, and wait for more
    const std::string line(event.data.begin(), end);
    std::printf("%s %s\n", server.text().c_str(), line.c_str());
    stream.stop();
  }
};

}  // namespace

int main(int argc, char** argv) try {
  if (argc < 2) return 2;
  flowloom::ExtractorOptions options;
  if (argc > 2) options.workers = static_cast<unsigned>(std::atoi(argv[2]));
  flowloom::Extractor extractor(options);
  extractor.open({argv[1]});
  RequestLines lines;
  extractor.run(lines);
  return extractor.statistics().balances ? 0 : 1;
} catch (const std::exception& error) {
  std::fprintf(stderr, "%s\n", error.what());
  return 1;
}
