// Every source that needs no NIC against the contract of PacketSource.
#include "contract/packet_source_contract.hpp"

#include <memory>
#include <string>

#include "capture_builder.hpp"
#include "io/capture_source.hpp"
#include "io/limited_source.hpp"
#include "io/memory_source.hpp"

namespace flowloom {
namespace {

TemporaryFolder& folder() {
  static TemporaryFolder folder;
  return folder;
}

PcapBuilder::Record record_of(const ContractFrame& frame) {
  const std::int64_t ns = to_nanoseconds(frame.stamp);
  return {.seconds = static_cast<std::uint32_t>(ns / 1'000'000'000),
          .fraction = static_cast<std::uint32_t>(ns % 1'000'000'000 / 1000),
          .frame = frame.bytes};
}

struct FromMemory {
  static std::unique_ptr<PacketSource> make(const std::vector<ContractFrame>& frames) {
    std::vector<MemoryFrame> copies;
    for (const auto& frame : frames) copies.push_back({.stamp = frame.stamp, .bytes = frame.bytes});
    return std::make_unique<MemorySource>(copies);
  }
};

struct FromOneFile {
  static constexpr CaptureSettings kTinyChunks{.chunk_bytes = 1000, .chunks = 4};
  static std::unique_ptr<PacketSource> make(const std::vector<ContractFrame>& frames) {
    PcapBuilder file;
    for (const auto& frame : frames) file.add(record_of(frame));
    const std::string path = folder().write("one.pcap", file.bytes());
    return std::make_unique<CaptureSource>(std::vector{path}, kTinyChunks);
  }
};

// Dealt out to five files, so that every packet comes from another file than the one before.
struct FromManyFiles {
  static std::unique_ptr<PacketSource> make(const std::vector<ContractFrame>& frames) {
    std::vector<PcapBuilder> files(5);
    for (std::size_t i = 0; i < frames.size(); ++i) {
      files[i % files.size()].add(record_of(frames[i]));
    }
    std::vector<std::string> paths;
    for (const auto& file : files) {
      paths.push_back(folder().write("many" + std::to_string(paths.size()), file.bytes()));
    }
    return std::make_unique<CaptureSource>(paths, FromOneFile::kTinyChunks);
  }
};

// Limits that are not reached change nothing.
struct FromLimited {
  class Owner final : public PacketSource {
   public:
    explicit Owner(std::unique_ptr<PacketSource> inner) : inner_(std::move(inner)) {}
    SourceState receive(Burst& burst) override { return source_.receive(burst); }
    void release(Burst& burst) override { source_.release(burst); }
    [[nodiscard]] SourceStats stats() const override { return source_.stats(); }

   private:
    std::unique_ptr<PacketSource> inner_;
    RunLimits limits_{1'000'000, std::chrono::hours{1}};
    LimitedSource source_{*inner_, limits_};
  };
  static std::unique_ptr<PacketSource> make(const std::vector<ContractFrame>& frames) {
    return std::make_unique<Owner>(FromMemory::make(frames));
  }
};

// So little memory that chunks are used again before their time, and so much that none is.
TEST(KeptFrames, AreOfFilesAndAreGivenUpOnlyWhereMemoryIsShort) {
  const auto frames = contract_frames(2000);
  for (const std::size_t chunks : {std::size_t{4}, std::size_t{64}}) {
    PcapBuilder file;
    for (const auto& frame : frames) file.add(record_of(frame));
    const std::string path = folder().write("kept.pcap", file.bytes());
    CaptureSource source({path}, {.chunk_bytes = 1000, .chunks = chunks});
    KeptFrames kept(source);
    Burst burst;
    while (source.receive(burst) == SourceState::Packets) {
      kept.expect_intact();
      source.release(burst);
      kept.released(burst);
    }
    EXPECT_EQ(kept.seen(), frames.size());
    EXPECT_EQ(kept.reuses() > 0, chunks == 4) << kept.reuses();
  }
}

using Sources = testing::Types<FromMemory, FromLimited, FromOneFile, FromManyFiles>;
INSTANTIATE_TYPED_TEST_SUITE_P(Io, PacketSourceContract, Sources);

}  // namespace
}  // namespace flowloom
