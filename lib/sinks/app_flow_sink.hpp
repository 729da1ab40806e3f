// --write app-flow: one text file per connection with a line per packet, in the ten columns of the
// scapy TCP stream extractor, or in those that --summary-columns names.
#pragma once

#include "sinks/connection_files.hpp"
#include "sinks/connection_map.hpp"

#include <fmt/format.h>

#include <string>
#include <string_view>
#include <vector>

namespace flowloom {

inline constexpr std::string_view kAppFlowSuffix = ".app_flow";

/// A column by its place in the list of those that are known.
using AppFlowColumn = std::size_t;

/// Reads "Time,PktPayload"; one clear sentence where a name is unknown. Empty: the ten.
std::string parse_app_flow_columns(std::string_view list, std::vector<AppFlowColumn>& columns);
/// All names, comma separated: for messages and --help.
std::string known_app_flow_columns();

/// What the columns are made of.
struct AppFlowState {
  std::uint64_t packets = 0;
  Timestamp first;
  Timestamp last;                        ///< of the packet before
  std::array<Timestamp, 2> last_of{};    ///< by side
  std::array<bool, 2> heard{};
  std::array<Duration, 2> spacing{};     ///< between a side's last two packets
  std::array<bool, 2> has_spacing{};
  std::array<std::uint64_t, 2> bytes{};  ///< of payload
};

class AppFlowSink final : public Sink {
 public:
  AppFlowSink(Descriptor folder, const ConnectionFiles::Settings& settings,
              std::vector<AppFlowColumn> columns)
      : files_(std::move(folder), settings), columns_(std::move(columns)) {}

  [[nodiscard]] SinkNeeds needs() const override { return {.packets = PacketsWanted::Summaries}; }
  void consume(StreamEvent& event) override;
  void finish() override { files_.finish(); }
  [[nodiscard]] WriterStatus status() const override { return files_.status(); }

 private:
  struct Summary {
    ConnectionFiles::Handle file;
    AppFlowState state;
  };
  void build(const StreamEvent& event, AppFlowState& state);

  ConnectionFiles files_;
  std::vector<AppFlowColumn> columns_;
  ConnectionMap<Summary> summaries_;  ///< of connections that go on
  fmt::memory_buffer text_;
};

}  // namespace flowloom
