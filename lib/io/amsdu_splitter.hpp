// 802.11 aggregates (A-MSDU) as the packets they carry: a source around a source.
#pragma once

#include <array>
#include <cstdint>
#include <deque>

#include "io/packet_source.hpp"
#include "net/ieee80211.hpp"

namespace flowloom {

/// Passes everything on as it is, but an aggregate as one packet per subframe, of which all but
/// the first have packet_flags::kSubframe. Packets are numbered anew, so that numbers stay unique.
class AmsduSplitter final : public PacketSource {
 public:
  /// `inner` outlives this.
  explicit AmsduSplitter(PacketSource& inner) : inner_(inner) {}

  SourceState receive(Burst& burst) override;
  std::optional<Timestamp> idle_clock() override { return inner_.idle_clock(); }
  ByteView keep_released(std::uint64_t packets, FrameKeeper& keeper) override {
    return inner_.keep_released(packets, keeper);
  }
  void release(Burst& burst) override;
  [[nodiscard]] SourceStats stats() const override { return inner_.stats(); }

 private:
  /// An inner burst that was handed on whole; its frames are in use until `last_number`, as
  /// numbered here, is released.
  struct Lent {
    std::uint64_t last_number;
    std::uint64_t inner_number;
    std::uint32_t inner_size;
  };
  void take_next(Burst& burst);
  [[nodiscard]] bool nothing_left() const {
    return next_ == received_.size && part_ == part_count_;
  }

  PacketSource& inner_;
  bool splitting_ = false;          // no 802.11 came yet: bursts are passed on untouched
  std::uint64_t passed_on_ = 0;     // last number that was
  Burst received_;
  std::uint32_t next_ = 0;  // of received_
  std::array<Packet, kMaxAmsduSubframes> parts_;
  std::uint32_t part_ = 0;
  std::uint32_t part_count_ = 0;
  std::uint64_t number_ = 0;        // the last that was given out
  std::deque<Lent> lent_;
};

}  // namespace flowloom
