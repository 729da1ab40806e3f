#include "api/parallel_run.hpp"

#include <unordered_map>
#include <utility>

#include "runtime/engine.hpp"
#include "sinks/chain_reader.hpp"

namespace flowloom {

namespace {

constexpr std::chrono::milliseconds kLookRound{20};
/// What is on its way to the writer needs little.
constexpr std::uint64_t kExportMemory = std::uint64_t{64} << 20;

class MessageTeller final : public MessageWriter {
 public:
  MessageTeller(StreamTable& streams, EventOutlet& outlet, ScanWatch* scans,
                std::atomic<bool>& interrupted)
      : streams_(streams), outlet_(outlet), scans_(scans), interrupted_(interrupted) {}

  void write(std::vector<StreamMessage*>& messages, WriterInlet& inlet) override {
    for (StreamMessage* message : messages) {
      tell(*message);
      inlet.done(message);
    }
    if (!outlet_.failed()) return;
    failed_.store(true, std::memory_order_relaxed);
    interrupted_.store(true, std::memory_order_relaxed);
  }
  void idle() override {}
  void finish() override {}

  /// The handler has thrown. From any thread.
  [[nodiscard]] bool failed() const { return failed_.load(std::memory_order_relaxed); }

 private:
  ExtractorEvent event_of(const StreamMessage& message, EventKind kind, TrackedStream& stream) {
    ExtractorEvent event;
    event.kind = kind;
    event.stream = &stream;
    event.time = message.key.clock.time_since_epoch();
    event.packet = message.key.number;
    return event;
  }

  void tell_probe(const StreamMessage& message) {
    if (scans_ == nullptr) return;
    std::optional<ScanAlert> alert = scans_->add(message.key, message.record, message.probe);
    if (!alert) return;
    ExtractorEvent event;
    event.time = message.key.clock.time_since_epoch();
    event.packet = message.key.number;
    outlet_.tell_scan(event, std::move(*alert));
  }

  void tell(const StreamMessage& message) {
    if (message.kind == StreamMessage::Kind::Probe) return tell_probe(message);
    TrackedStream& stream = stream_of(message);
    stream.final_record = &message.record;
    if (message.first) {
      ExtractorEvent event = event_of(message, EventKind::Opened, stream);
      outlet_.tell(event);
    }
    tell_direction(message, stream, Side::Originator);
    tell_direction(message, stream, Side::Responder);
    if (message.kind == StreamMessage::Kind::Close) {
      ExtractorEvent event = event_of(message, EventKind::Closed, stream);
      event.end_reason = static_cast<EndReason>(message.record.close);
      outlet_.tell(event);
      return;
    }
    // The message goes home, its record with it.
    if (!stream.owned_record) stream.owned_record = std::make_unique<ConnectionRecord>();
    *stream.owned_record = message.record;
    stream.final_record = stream.owned_record.get();
  }

  TrackedStream& stream_of(const StreamMessage& message) {
    const bool last = message.kind == StreamMessage::Kind::Close;
    if (message.first && last) return streams_.take();
    const std::uint64_t name = message.record.first_packet;
    if (message.first) return *(open_[name] = &streams_.take());
    TrackedStream& stream = *open_.at(name);
    if (last) open_.erase(name);
    return stream;
  }

  // Bytes and gaps stand in the order of their offsets.
  void tell_direction(const StreamMessage& message, TrackedStream& stream, Side from) {
    const auto side = static_cast<std::size_t>(from);
    StreamOffset at = message.data_offset[side];
    ChainReader bytes(message.data[side]);
    GapReader gaps(message.gaps[side]);
    Gap gap{};
    for (bool more = gaps.next(gap); more; more = gaps.next(gap)) {
      const auto before = static_cast<std::uint64_t>(gap.offset - at);
      at = tell_bytes(message, stream, from, bytes, at, before);
      ExtractorEvent event = event_of(message, EventKind::Gap, stream);
      event.from = from;
      event.offset = static_cast<std::uint64_t>(gap.offset);
      event.length = static_cast<std::uint64_t>(gap.length);
      event.gap_reason = static_cast<GapReason>(gap.cause);
      outlet_.tell(event);
      at += gap.length;
    }
    tell_bytes(message, stream, from, bytes, at, UINT64_MAX);
  }

  StreamOffset tell_bytes(const StreamMessage& message, TrackedStream& stream, Side from,
                          ChainReader& bytes, StreamOffset at, std::uint64_t count) {
    while (count > 0) {
      const ByteView piece = bytes.take(count);
      if (piece.empty()) break;
      ExtractorEvent event = event_of(message, EventKind::Data, stream);
      event.from = from;
      event.offset = static_cast<std::uint64_t>(at);
      event.data = piece;
      outlet_.tell(event);
      at += static_cast<StreamOffset>(piece.size());
      count -= piece.size();
    }
    return at;
  }

  StreamTable& streams_;
  EventOutlet& outlet_;
  ScanWatch* const scans_;
  std::atomic<bool>& interrupted_;
  std::atomic<bool> failed_{false};
  std::unordered_map<std::uint64_t, TrackedStream*> open_;  // with messages yet to come
};

}  // namespace

Ledger ParallelRun::run(PacketSource& source, StreamTable& streams, EventOutlet& outlet) const {
  EngineSettings engine_settings;
  engine_settings.shard = settings.shard;
  engine_settings.defragment = settings.front.defragment;
  engine_settings.workers = workers;
  engine_settings.export_memory = kExportMemory;
  engine_settings.filter = filter;
  engine_settings.longest_sleep = longest_sleep;
  MessageTeller teller(streams, outlet, scans, interrupted);
  Engine engine(engine_settings, {&source}, &teller);
  ThreadLauncher launcher;
  engine.run(launcher, kLookRound, [&](const RunStatus&) {
    if (!interrupted.load(std::memory_order_relaxed)) return;
    // What it has captured until now still comes, unless there is nobody who would be told.
    kernel != nullptr && !teller.failed() ? kernel->stop() : engine.stop();
  });
  return engine.ledger();
}

}  // namespace flowloom
