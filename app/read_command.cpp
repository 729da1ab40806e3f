// flowloom read: captures in, streams out. Needs no privilege, no hugepages, no NIC.
#include <CLI/CLI.hpp>

#include "commands.hpp"
#include "config_file.hpp"
#include "io/amsdu_splitter.hpp"
#include "io/capture_source.hpp"
#include "options.hpp"
#include "session.hpp"

namespace flowloom {

namespace {

constexpr const char* kExamples = R"(
Examples:
  flowloom read capture.pcap                          a line per connection
  flowloom read capture.pcapng.zst -o out             streams, flow records, ledger
  flowloom read day/*.pcap -o out --sha256            rotated captures, merged by time
  flowloom read capture.pcap --print ascii -f 'port 80'
  tcpdump -w - | flowloom read - --json
)";

}  // namespace

int read_command(std::span<char* const> arguments) {
  CLI::App app("Reassembles the TCP streams of captures (pcap, pcapng; compressed too).",
               "flowloom read");
  CommonOptions options;
  std::vector<std::string> captures;
  app.add_option("CAPTURE", captures, "Capture files; - is standard input")
      ->configurable(false);
  add_common_options(app, options);
  app.footer(kExamples);
  if (const auto status = parse_with_config(app, arguments, options)) return *status;

  if (captures.empty()) {
    say("CAPTURE is required; see 'flowloom read --help'");
    return static_cast<int>(ExitStatus::Usage);
  }
  Session session(options);
  if (const ExitStatus s = session.prepare(); s != ExitStatus::Ok) return static_cast<int>(s);
  CaptureSource source(captures);
  session.expect_input(source.progress().bytes_total);
  AmsduSplitter packets(source);
  ThreadLauncher launcher;
  const ExitStatus status = session.run(
      {&packets}, launcher,
      [&] {
        const CaptureProgress p = source.progress();
        return InputExtent{p.bytes_read, p.bytes_total};
      },
      [&] { return source.problems(); });
  return static_cast<int>(status);
}

}  // namespace flowloom
