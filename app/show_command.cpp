// flowloom show: lists, filters and prints what an earlier run wrote, from a pack or from stream
// files.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <signal.h>
#include <unistd.h>

#include "commands.hpp"
#include "parse.hpp"
#include "session.hpp"
#include "sinks/flows_sink.hpp"
#include "sinks/folder_replay.hpp"
#include "sinks/lines_sink.hpp"
#include "sinks/stats_file.hpp"
#include "stored_folder.hpp"

namespace flowloom {

namespace {

constexpr const char* kExamples = R"(
Examples:
  flowloom show out                                   a line per connection
  flowloom show out --host 10.1.1.1 --port 80 --json  records of some
  flowloom show out --uid CfYb --print hex            what one of them said
  flowloom show out --check                           reads every byte and verifies it
)";

struct ShowOptions {
  std::string folder;
  std::string host;
  std::uint16_t port = 0;
  std::string close;
  FlowFilter filter;
  bool json = false;
  bool sha256 = false;
  bool check = false;
  PrintOptions print;
};

void add_options(CLI::App& app, ShowOptions& o) {
  const CLI::AsSizeValue size(false);
  app.add_option("DIR", o.folder, "Folder that -o wrote, or the pack in it")->required();
  app.add_option("--host", o.host, "Connections of this address")->option_text("ADDR");
  app.add_option("--port", o.port, "Connections of this port")
      ->option_text("N")->check(CLI::Range(1, 65535));
  app.add_option("--uid", o.filter.uid, "The connection with this uid, or that begins so")
      ->option_text("UID");
  app.add_option("--close", o.close, "Connections that ended so: fin, rst, idle, ...")
      ->option_text("REASON")
      ->check(CLI::IsMember(std::vector<std::string>(kCloseReasonNames.begin() + 1,
                                                     kCloseReasonNames.end())));
  app.add_option("--min-bytes", o.filter.bytes_min, "Connections that delivered as much")
      ->option_text("SIZE")->transform(size);
  app.add_flag("--gaps", o.filter.only_gaps, "Connections that miss bytes");
  app.add_flag("--json", o.json, "Records instead of lines");
  app.add_flag("--sha256", o.sha256, "With --json of a pack: the SHA-256 of each direction");
  app.add_flag("--check", o.check, "Read all content of a pack and verify its checksums");
  add_print_options(app, o.print);
  app.footer(kExamples);
}

std::string read_filter(ShowOptions& o) {
  if (o.json && !o.print.form.empty()) return "--print and --json exclude each other";
  if (o.port != 0) o.filter.port = o.port;
  if (!o.host.empty()) {
    o.filter.host = parse_address(o.host);
    if (!o.filter.host) return fmt::format("--host {}: not an address", o.host);
  }
  const auto* reason = std::find(kCloseReasonNames.begin(), kCloseReasonNames.end(), o.close);
  if (!o.close.empty()) {
    o.filter.close = static_cast<CloseReason>(reason - kCloseReasonNames.begin());
  }
  return "";
}

RecordWriter standard_output() {
  return {"stdout", STDOUT_FILENO};
}

LinesSettings lines_settings(const ShowOptions& o, PrintFrom from) {
  return {.print = o.print.mode(),
          .print_bytes = o.print.bytes,
          .from = from,
          .colours = o.print.colours()};
}

ExitStatus report_output(const WriterStatus& status) {
  const std::string loss = describe_loss(status);
  if (loss.empty()) return ExitStatus::Ok;
  say(loss);
  return ExitStatus::WriterFailed;
}

ExitStatus show_pack(const std::string& folder, const ShowOptions& o) {
  PackReader reader(folder);
  if (!reader.error().empty()) {
    say(reader.error());
    return ExitStatus::InputUnreadable;
  }
  const bool reads = o.check || o.sha256 || !o.print.form.empty();
  PackReplay::Wanted wanted;
  if (!o.filter.is_empty()) {
    wanted = [&o](const ConnectionRecord& r, std::string_view uid) {
      return o.filter.matches(r, uid);
    };
  }
  PackReplay replay(reader, reads ? PackContent::Load : PackContent::Skip, wanted);
  std::vector<std::unique_ptr<Sink>> sinks;
  if (o.json) {
    sinks.push_back(std::make_unique<FlowsSink>(standard_output(),
                                                o.sha256 ? WithSha256::Yes : WithSha256::No));
  } else {
    sinks.push_back(std::make_unique<LinesSink>(standard_output(),
                                                lines_settings(o, PrintFrom::Messages),
                                                std::make_unique<PackStore>(replay)));
  }
  WriterPipeline pipeline(std::move(sinks), {});
  replay.run(pipeline);
  pipeline.finish();
  return std::max(report_replay(reader, replay), report_output(pipeline.statuses().front()));
}

ExitStatus show_files(const ShowOptions& o) {
  FolderReplay replay(o.folder);
  if (!replay.error().empty()) {
    say(replay.error());
    return ExitStatus::InputUnreadable;
  }
  RecordWriter records = standard_output();
  LinesSink lines(standard_output(), lines_settings(o, PrintFrom::Store),
                  std::make_unique<FileStore>(replay.fd()));
  replay.run(o.filter, [&](StreamEvent& event, std::string_view line) {
    if (!o.json) return lines.consume(event);
    records.append(line);
    records.append('\n');
    records.end_record();
  });
  lines.finish();
  records.flush();
  const ExitStatus status = report_output(o.json ? records.status() : lines.status());
  if (replay.unreadable() == 0) return status;
  say(fmt::format("{} lines of flows.jsonl are no records", replay.unreadable()));
  return std::max(status, ExitStatus::InputDamaged);
}

}  // namespace

int show_command(std::span<char* const> arguments) {
  CLI::App app("Lists, filters and prints what an earlier run wrote.", "flowloom show");
  ShowOptions options;
  add_options(app, options);
  if (const auto status = parse(app, arguments)) return *status;
  if (const std::string wrong = read_filter(options); !wrong.empty()) {
    say(wrong);
    return static_cast<int>(ExitStatus::Usage);
  }
  signal(SIGPIPE, SIG_IGN);
  const auto pack = find_pack(options.folder);
  return static_cast<int>(pack ? show_pack(*pack, options) : show_files(options));
}

}  // namespace flowloom
