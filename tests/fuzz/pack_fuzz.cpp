// Any bytes as a pack, read as `unpack` and `show` do: whatever comes out was asked for by an entry
// that makes sense, a connection that is told to its end has all its bytes, and counts add up. So
// that changes get past the checksums, those of an input may be made right.
//
// An input: control bits, the index file's length (16 bits), the index file, the data file.
#include <fcntl.h>
#include <signal.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "base/check.hpp"
#include "fuzz/fuzz_bytes.hpp"
#include "sinks/chain_reader.hpp"
#include "sinks/pack_format.hpp"
#include "sinks/pack_replay.hpp"
#include "sinks/sink_factory.hpp"
#include "support/temp_folder.hpp"

namespace flowloom {
namespace {

namespace fs = std::filesystem;

constexpr std::size_t kInputBytesMax = 1 << 20;

namespace control {
constexpr unsigned kRepair = 1;
constexpr unsigned kGapFill = 2;
constexpr unsigned kSha256 = 4;
constexpr unsigned kFilter = 8;
constexpr unsigned kRecords = 16;  // on standard output, instead of lines
constexpr unsigned kFiles = 32;    // streams and records as files: slower
constexpr unsigned kPrintShift = 6;
}  // namespace control

/// Gives a file image the header and the checksums that its blocks should have.
void repair(std::vector<std::uint8_t>& file, PackFileKind kind) {
  const PackFileHeader header{.kind = kind};
  if (file.size() < sizeof header) return;
  std::memcpy(file.data(), &header, sizeof header);
  PackBlockHeader block;
  for (std::size_t at = sizeof header; at + sizeof block <= file.size();) {
    std::memcpy(&block, file.data() + at, sizeof block);
    const std::size_t left = file.size() - at - sizeof block;
    block.magic = kPackBlockMagic;
    block.stored_bytes =
        static_cast<std::uint32_t>(std::min<std::size_t>(block.stored_bytes, left));
    if (block.codec != PackCodec::Zstd) {
      block.codec = PackCodec::Plain;
      block.raw_bytes = block.stored_bytes;
    }
    const ByteView stored = ByteView(file).subspan(at + sizeof block, block.stored_bytes);
    block.checksum = pack_checksum(block, stored);
    std::memcpy(file.data() + at, &block, sizeof block);
    at += sizeof block + block.stored_bytes;
  }
}

/// Holds what a replay tells to what the records say.
class Auditor final : public Sink {
 public:
  explicit Auditor(std::uint64_t& closed) : closed_(closed) {}
  [[nodiscard]] SinkNeeds needs() const override { return {.bytes = true}; }
  void consume(StreamEvent& event) override {
    const std::uint64_t connection = event.record().first_packet;
    const StreamMessage& message = event.message();
    FLOWLOOM_CHECK(message.first == !running_.contains(connection));
    auto& bytes = running_[connection];
    for (unsigned d = 0; d < 2; ++d) {
      std::uint64_t count = 0;
      for_each_piece(message.data[d], [&](ByteView piece) { count += piece.size(); });
      FLOWLOOM_CHECK(count == message.data[d].bytes);
      bytes[d] += count;
      if (event.closes()) FLOWLOOM_CHECK(bytes[d] == event.record().sides[d].stream_bytes);
    }
    if (!event.closes()) return;
    ++closed_;
    running_.erase(connection);
  }
  void finish() override {}
  [[nodiscard]] WriterStatus status() const override { return {}; }

 private:
  std::uint64_t& closed_;
  std::map<std::uint64_t, std::array<std::uint64_t, 2>> running_;
};

/// Where one input after the other lies as files.
struct Place {
  test::TempFolder folder;
  std::string pack = folder / "pack";
  std::string out = folder / "out";
  int nowhere = ::open("/dev/null", O_WRONLY | O_CLOEXEC);

  Place() {
    fs::create_directory(pack);
    signal(SIGXFSZ, SIG_IGN); // as the commands do
  }
};

SinkSettings settings_of(unsigned bits, const OutputFolder* folder, int nowhere) {
  constexpr std::array kPrints = {PrintMode::None, PrintMode::Ascii, PrintMode::Hex,
                                  PrintMode::Raw};
  SinkSettings settings;
  settings.folder = folder;
  settings.standard_output =
      (bits & control::kRecords) != 0 ? StandardOutput::Json : StandardOutput::Lines;
  settings.standard_output_fd = nowhere;
  settings.sha256 = (bits & control::kSha256) != 0 ? WithSha256::Yes : WithSha256::No;
  settings.streams.gap_fill = (bits & control::kGapFill) != 0 ? GapFill::Zero : GapFill::None;
  settings.print = kPrints[bits >> control::kPrintShift];
  return settings;
}

void replay(unsigned bits, const Place& place) {
  PackReader reader(place.pack);
  if (!reader.error().empty()) return;
  std::unique_ptr<OutputFolder> folder;
  if ((bits & control::kFiles) != 0) {
    folder = std::make_unique<OutputFolder>(place.out, ExistingFiles::Replace);
    FLOWLOOM_CHECK(folder->valid());
  }
  SinkSet set = make_sinks(settings_of(bits, folder.get(), place.nowhere));
  FLOWLOOM_CHECK(set.error.empty());
  std::uint64_t closed = 0;
  set.sinks.push_back(std::make_unique<Auditor>(closed));
  WriterPipeline pipeline(std::move(set.sinks), {});
  PackReplay::Wanted wanted;
  if ((bits & control::kFilter) != 0) {
    wanted = [](const ConnectionRecord& record, std::string_view) {
      return record.sides[0].stream_bytes > record.sides[1].stream_bytes;
    };
  }
  PackReplay replay(reader, PackContent::Load, wanted);
  replay.run(pipeline);
  pipeline.finish();
  FLOWLOOM_CHECK(replay.counts().connections == closed);
}

void list(const Place& place) {
  PackReader reader(place.pack);
  if (!reader.error().empty()) return;
  WriterPipeline pipeline({}, {});
  PackReplay replay(reader, PackContent::Skip, {});
  replay.run(pipeline);
}

void read_as_pack(fuzz::FuzzBytes input) {
  static const Place place;
  const unsigned bits = input.u8();
  const ByteView first = input.take(input.u16());
  std::vector<std::uint8_t> index(first.begin(), first.end());
  const ByteView second = input.take(kInputBytesMax);
  std::vector<std::uint8_t> content(second.begin(), second.end());
  if ((bits & control::kRepair) != 0) {
    repair(index, PackFileKind::Index);
    repair(content, PackFileKind::Data);
  }
  test::write_file(place.pack + "/" + kPackIndexName, {index.begin(), index.end()});
  test::write_file(place.pack + "/" + pack_data_name(0), {content.begin(), content.end()});
  list(place);
  replay(bits, place);
}

}  // namespace
}  // namespace flowloom

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  flowloom::read_as_pack(flowloom::fuzz::FuzzBytes(data, size));
  return 0;
}
