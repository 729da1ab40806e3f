// Port-scan detection as nids_params asks for it: too many different ports asked for by one host.
// By libnids' rules, bounded by scan_num_hosts buckets of a few hosts each, or by flowloom's own
// detector, whose counts age on packet time.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <vector>

#include "base/time.hpp"
#include "inspect/scan_detector.hpp"

namespace flowloom::nids {

/// What nids_params.syslog is given with NIDS_WARN_SCAN; the layout is libnids'.
struct ScanPacket {
  std::uint32_t addr;  ///< network order
  std::uint16_t port;  ///< host order
  std::uint8_t flags;
};
static_assert(sizeof(ScanPacket) == 8);

struct ScanHost {
  ScanHost* next;
  ScanHost* prev;
  std::uint32_t addr;
  int modtime;  ///< milliseconds; 31 bits of them
  int n_packets;
  ScanPacket* packets;
};
static_assert(sizeof(ScanHost) == 40);

/// Ignored: counts never age, as in libnids, where the test for it cannot be true. Honoured: a host
/// that pauses for longer begins anew.
enum class ScanDelay : std::uint8_t { Ignored, Honoured };

/// One packet without ACK, addresses in network order.
struct ScanQuestion {
  std::uint32_t source;
  std::uint32_t target;
  std::uint16_t port;
  std::uint8_t flags;
  Timestamp clock;
};

class ScanLog {
 public:
  struct Settings {
    std::uint32_t buckets;  ///< scan_num_hosts; 0: off
    std::uint32_t ports;    ///< scan_num_ports
    int delay_ms;           ///< scan_delay
    ScanDelay delay;
    HashSeed seed;
  };

  explicit ScanLog(const Settings& settings);

  /// The host that has now asked for too many ports, or null. Its ports are forgotten by the next
  /// call for it, so it is to be reported at once.
  const ScanHost* add(const ScanQuestion& asked);

 private:
  static constexpr std::uint32_t kHostsPerBucket = 10;

  struct Host {
    ScanHost shown{};
    std::uint64_t touched = 0;
    bool alarmed = false;  ///< its ports were reported and are to be forgotten
    std::unique_ptr<ScanPacket[]> packets;
  };

  Host& host_of(std::uint32_t source);
  const ScanHost* add_ageing(const ScanQuestion& asked);

  Settings settings_;
  std::uint64_t touches_ = 0;
  std::vector<std::vector<Host>> buckets_;
  std::optional<ScanDetector> detector_;  // Honoured
  Timestamp clock_ = kTimeMin;            // of the latest question
  ScanHost shown_{};                      // its last alarm
  std::vector<ScanPacket> shown_packets_;
};

}  // namespace flowloom::nids
