// An interface of the kernel as a source of packets, through libpcap (TPACKET_V3 on Linux).
// Needs CAP_NET_RAW.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "io/input_problem.hpp"
#include "io/packet_source.hpp"
#include "net/packet_clock_rule.hpp"

struct pcap;
struct pcap_pkthdr;

namespace flowloom {

struct KernelSettings {
  std::uint32_t snap_length = 256 << 10;
  std::uint32_t buffer_bytes = std::uint32_t{16} << 20;
  enum class Promiscuous : std::uint8_t { No, Yes } promiscuous = Promiscuous::Yes;
};

/// Frames are copied out of the kernel's ring, where they stay only until the next call.
class KernelSource final : public PacketSource {
 public:
  /// Listens from now on, unless problem() says why not.
  explicit KernelSource(const std::string& interface, const KernelSettings& settings = {});
  ~KernelSource() override;
  KernelSource(const KernelSource&) = delete;
  KernelSource& operator=(const KernelSource&) = delete;

  SourceState receive(Burst& burst) override;
  void release(Burst& burst) override;
  [[nodiscard]] SourceStats stats() const override;

  /// It could not be opened, or it went away.
  [[nodiscard]] const std::optional<InputProblem>& problem() const { return problem_; }

 private:
  /// The bytes of one burst.
  struct Batch {
    std::vector<std::uint8_t> bytes;
    std::uint64_t last_number = 0;
  };
  struct Arrival {
    std::size_t offset;
    Timestamp stamp;
    std::uint32_t captured;
    std::uint32_t wire_length;
  };
  static void on_packet(unsigned char* self, const pcap_pkthdr* header,
                        const unsigned char* bytes);
  std::string listen(const KernelSettings& settings);
  void fill(Burst& burst);

  std::string interface_;
  std::unique_ptr<pcap, void (*)(pcap*)> handle_;
  std::optional<InputProblem> problem_;
  LinkType link_ = LinkType::Unknown;
  PacketClockRule rule_;
  std::uint64_t number_ = 0;
  std::vector<Arrival> arrivals_;
  Batch arriving_;
  std::deque<Batch> lent_;
  std::vector<std::vector<std::uint8_t>> spare_;
};

}  // namespace flowloom
