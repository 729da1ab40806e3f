// flowloom unpack: a pack becomes the files that the writers would have written instead of it.
#include <CLI/CLI.hpp>
#include <fmt/format.h>
#include <signal.h>

#include "commands.hpp"
#include "parse.hpp"
#include "session.hpp"
#include "sinks/sink_factory.hpp"
#include "sinks/stats_file.hpp"
#include "stored_folder.hpp"

namespace flowloom {

namespace {

constexpr const char* kExamples = R"(
Examples:
  flowloom read capture.pcap -o packed --write pack   a few large files
  flowloom unpack packed -o out                       one file per direction, flow records
)";

struct UnpackOptions {
  std::string folder;
  std::string out;
  bool force = false;
  std::string write = "flows,streams";
  std::string gap_fill;
  bool sha256 = false;
};

SinkSettings settings_of(const UnpackOptions& o) {
  SinkSettings settings;
  settings.write = o.write;
  settings.standard_output = StandardOutput::Nothing;
  settings.sha256 = o.sha256 ? WithSha256::Yes : WithSha256::No;
  settings.streams.gap_fill = o.gap_fill == "zero" ? GapFill::Zero : GapFill::None;
  return settings;
}

ExitStatus report_writers(const WriterPipeline& pipeline) {
  ExitStatus status = ExitStatus::Ok;
  for (const WriterStatus& writer : pipeline.statuses()) {
    const std::string loss = describe_loss(writer);
    if (loss.empty()) continue;
    say(loss);
    status = ExitStatus::WriterFailed;
  }
  return status;
}

ExitStatus unpack(const UnpackOptions& o) {
  const auto pack = find_pack(o.folder);
  PackReader reader(pack.value_or(o.folder));
  if (!reader.error().empty()) {
    say(reader.error());
    return ExitStatus::InputUnreadable;
  }
  SinkSettings settings = settings_of(o);
  if (const std::string wrong = check_sinks(settings, FolderGiven::Yes); !wrong.empty()) {
    say(wrong);
    return ExitStatus::Usage;
  }
  const OutputFolder folder(o.out, o.force ? ExistingFiles::Replace : ExistingFiles::Refuse);
  if (!folder.valid()) {
    say(folder.error());
    return folder.is_taken() ? ExitStatus::Usage : ExitStatus::WriterFailed;
  }
  settings.folder = &folder;
  SinkSet set = make_sinks(settings);
  if (!set.error.empty()) {
    say(set.error);
    return ExitStatus::WriterFailed;
  }
  WriterPipeline pipeline(std::move(set.sinks), {});
  if (pipeline.needs().packets != PacketsWanted::None) {
    say("a pack holds no packets: --write pcap and app-flow need the capture");
    return ExitStatus::Usage;
  }
  PackReplay replay(reader, PackContent::Load, {});
  replay.run(pipeline);
  pipeline.finish();
  return std::max(report_replay(reader, replay), report_writers(pipeline));
}

}  // namespace

int unpack_command(std::span<char* const> arguments) {
  CLI::App app("Writes a pack's streams as one file per direction.", "flowloom unpack");
  UnpackOptions options;
  app.add_option("DIR", options.folder, "Folder that -o wrote, or the pack in it")->required();
  app.add_option("-o,--out", options.out, "Folder for the files (created)")
      ->option_text("DIR")->required();
  app.add_flag("--force", options.force, "Write into a folder that is not empty");
  app.add_option("--write", options.write, "Writers, comma separated (flows,streams)")
      ->option_text("LIST");
  app.add_option("--gap-fill", options.gap_fill,
                 "zero: zero bytes stand where a gap is in a file")
      ->option_text("WITH")->check(CLI::IsMember({"zero"}));
  app.add_flag("--sha256", options.sha256, "Add the SHA-256 of each direction to its record");
  app.footer(kExamples);
  if (const auto status = parse(app, arguments)) return *status;
  signal(SIGPIPE, SIG_IGN);
  signal(SIGXFSZ, SIG_IGN);
  return static_cast<int>(unpack(options));
}

}  // namespace flowloom
