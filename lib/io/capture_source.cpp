#include "io/capture_source.hpp"

#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace flowloom {

namespace {

// All inputs together: what chunks may take if all are open at once, as far as kChunkBytesMin lets.
constexpr std::size_t kMergeBytes = std::size_t{64} << 20;
constexpr std::size_t kChunkBytesMin = std::size_t{16} << 10;

// The first look at a file of many reads little: its first packet is near its beginning.
constexpr std::size_t kFirstLookBytes = 4096;
constexpr std::size_t kFirstLookChunks = 2;

// A chunk may hold no packet at all (a huge block of secrets, a decompression bomb). After this
// many the worker gets to look round.
constexpr int kReadsPerReceive = 64;

std::size_t chunk_bytes_for(const CaptureSettings& settings, std::size_t inputs) {
  const std::size_t share = kMergeBytes / std::max<std::size_t>(inputs, 1);
  return std::min(settings.chunk_bytes, std::max(share, kChunkBytesMin));
}

enum class InputKind : std::uint8_t { Regular, Pipe, Other };

struct InputOnDisk {
  InputKind kind = InputKind::Other;  // missing, a folder: opening it says what
  std::uint64_t bytes = 0;
};

InputOnDisk look_up(const std::string& path) {
  if (path == "-") return {.kind = InputKind::Pipe};
  struct stat status {};
  if (stat(path.c_str(), &status) != 0 || S_ISDIR(status.st_mode)) return {};
  if (!S_ISREG(status.st_mode)) return {.kind = InputKind::Pipe};
  return {.kind = InputKind::Regular, .bytes = static_cast<std::uint64_t>(status.st_size)};
}

}  // namespace

CaptureSource::CaptureSource(std::vector<std::string> paths, CaptureSettings settings)
    : pool_(chunk_bytes_for(settings, paths.size()), settings.chunks),
      budget_(settings.open_files_max != 0 ? settings.open_files_max
                                           : DescriptorBudget::default_limit()) {
  for (std::uint32_t input = 0; input < paths.size(); ++input) {
    const InputOnDisk on_disk = look_up(paths[input]);
    bytes_total_ += on_disk.bytes;
    if (on_disk.kind == InputKind::Pipe) {
      // It cannot be closed and read again, and it may be silent yet: so it simply comes first.
      insert(std::make_unique<Stream>(paths[input], *this, input));
    } else {
      look_at(input, paths[input]);
    }
  }
  std::sort(pending_.begin(), pending_.end(),
            [](const Pending& a, const Pending& b) { return a.key > b.key; });
}

CaptureSource::~CaptureSource() = default;

// Reads the first stamp and closes the file again.
void CaptureSource::look_at(std::uint32_t input, const std::string& path) {
  ChunkPool pool(kFirstLookBytes, kFirstLookChunks);
  CaptureReader reader(path, pool, budget_);
  Packet first;
  while (reader.parse({&first, 1}) == 0) {
    if (reader.read_more(0) != CaptureReader::More::End) continue;
    if (reader.problem()) problems_.push_back(*reader.problem());
    bytes_read_.fetch_add(reader.file().offset(), std::memory_order_relaxed);
    return;
  }
  pending_.push_back({Key{PacketClockRule().advance(first.stamp), input}, path});
}

CaptureSource::Filled CaptureSource::read_more(Stream& stream) {
  const CaptureReader::More more = stream.reader.read_more(number_);
  const std::uint64_t offset = stream.reader.file().offset();
  bytes_read_.fetch_add(offset - std::exchange(stream.bytes_counted, offset),
                        std::memory_order_relaxed);
  switch (more) {
    case CaptureReader::More::Bytes:
      return Filled::Packets;
    case CaptureReader::More::Wait:
      return Filled::Wait;
    case CaptureReader::More::End:
      break;
  }
  return Filled::End;
}

// By the rule of the file. False: what becomes of the last packet's depends on the next one.
bool CaptureSource::set_clocks(Stream& stream, std::span<Packet> packets) {
  const std::size_t last = packets.size() - 1;
  for (std::size_t i = 0; i < last; ++i) {
    packets[i].clock = stream.rule.advance(packets[i].stamp, packets[i + 1].stamp);
  }
  Packet& packet = packets[last];
  if (stream.rule.wants_next(packet.stamp)) return false;
  packet.clock = stream.rule.advance(packet.stamp);
  return true;
}

// The clock of the packet that waits; it has the old one where its input ends with it.
CaptureSource::Filled CaptureSource::settle_clock(Stream& stream) {
  const CaptureReader::More more = stream.reader.look_ahead(number_);
  if (more == CaptureReader::More::Wait) return Filled::Wait;
  Packet& packet = stream.batch[stream.begin];
  packet.clock = more == CaptureReader::More::Bytes
                     ? stream.rule.advance(packet.stamp, stream.reader.ahead().stamp)
                     : stream.rule.advance(packet.stamp);
  stream.key.clock = packet.clock;
  stream.last_waits = false;
  return Filled::Packets;
}

// Preconditions: the batch is empty.
CaptureSource::Filled CaptureSource::fill(Stream& stream) {
  for (int reads = 0; reads < kReadsPerReceive; ++reads) {
    const std::uint32_t parsed = stream.reader.parse(stream.batch);
    if (parsed != 0) {
      stream.last_waits = !set_clocks(stream, {stream.batch.data(), parsed});
      stream.begin = 0;
      stream.end = parsed;
      if (!stream.waits()) stream.key.clock = stream.batch[0].clock;
      return Filled::Packets;
    }
    const Filled filled = read_more(stream);
    if (filled != Filled::Packets) return filled;
  }
  return Filled::Wait;
}

// Opens the file whose time has come. It is read when it stands first.
bool CaptureSource::open_due() {
  if (pending_.empty()) return false;
  if (!streams_.empty() && streams_.front()->key < pending_.back().key) return false;
  Pending due = std::move(pending_.back());
  pending_.pop_back();
  auto stream = std::make_unique<Stream>(std::move(due.path), *this, due.key.input);
  stream->key = due.key;
  insert(std::move(stream));
  return true;
}

void CaptureSource::insert(std::unique_ptr<Stream> stream) {
  streams_.push_back(std::move(stream));
  std::push_heap(streams_.begin(), streams_.end(),
                 [](const auto& a, const auto& b) { return a->key > b->key; });
}

// Restores the heap after the key of the first stream has grown.
void CaptureSource::sift_down() {
  std::size_t at = 0;
  for (;;) {
    std::size_t least = 2 * at + 1;
    if (least >= streams_.size()) return;
    if (least + 1 < streams_.size() && streams_[least + 1]->key < streams_[least]->key) ++least;
    if (streams_[at]->key < streams_[least]->key) return;
    std::swap(streams_[at], streams_[least]);
    at = least;
  }
}

void CaptureSource::close(Stream& stream) {
  if (stream.reader.problem()) problems_.push_back(*stream.reader.problem());
  bad_timestamps_ += stream.rule.bad_timestamps();
}

// The earliest packet of all but the first stream.
CaptureSource::Key CaptureSource::next_of_others() const {
  Key next{kTimeMax, ~std::uint32_t{0}};
  if (streams_.size() > 1) next = std::min(next, streams_[1]->key);
  if (streams_.size() > 2) next = std::min(next, streams_[2]->key);
  if (!pending_.empty()) next = std::min(next, pending_.back().key);
  return next;
}

// Hands over the first stream's packets for as long as no other stream's turn comes.
void CaptureSource::take_run(Stream& stream, Burst& burst, std::uint32_t limit) {
  const Key others = next_of_others();
  while (burst.size < limit && !stream.empty() && !stream.waits() && stream.key < others) {
    Packet& packet = burst.packets[burst.size++];
    packet = stream.batch[stream.begin++];
    clock_ = std::max(clock_, packet.clock);
    packet.clock = clock_;
    packet.number = ++number_;
    packet.input = static_cast<std::uint8_t>(stream.key.input);
    if (!stream.empty() && !stream.waits()) {
      stream.key.clock = stream.batch[stream.begin].clock;
    }
  }
}

CaptureSource::Filled CaptureSource::receive_merged(Burst& burst, std::uint32_t limit) {
  while (burst.size < limit) {
    if (open_due()) continue;
    if (streams_.empty()) return Filled::End;
    Stream& first = *streams_.front();
    if (first.empty()) {
      if (burst.size != 0) return Filled::Packets;  // what is there does not wait for a read
      const Filled filled = fill(first);
      if (filled == Filled::Wait) return filled;
      if (filled == Filled::End) {
        close(first);
        std::swap(streams_.front(), streams_.back());
        streams_.pop_back();
      }
    } else if (first.waits()) {
      if (burst.size != 0) return Filled::Packets;
      const Filled filled = settle_clock(first);
      if (filled == Filled::Wait) return filled;
    } else {
      take_run(first, burst, limit);
    }
    sift_down();
  }
  return Filled::Packets;
}

// A burst's last packet stays with its file until its clock is known.
void CaptureSource::keep_last(Stream& stream, Burst& burst) {
  stream.batch[0] = burst.packets[--burst.size];
  stream.begin = 0;
  stream.end = 1;
  stream.last_waits = true;
}

// In registers: whether the next stamp is later than this one is not to be foreseen, either.
void CaptureSource::number_in_order(Burst& burst, std::uint8_t input) {
  Timestamp clock = clock_;
  std::uint64_t number = number_;
  for (std::uint32_t i = 0; i < burst.size; ++i) {
    Packet& packet = burst.packets[i];
    const Timestamp its = packet.clock;
    clock = clock < its ? its : clock;
    packet.clock = clock;
    packet.number = ++number;
    packet.input = input;
  }
  clock_ = clock;
  number_ = number;
}

// The same with clocks in one, where all stamps are what the rule takes without a second look:
// nearly always. False: nothing was done.
bool CaptureSource::number_usual(Stream& stream, Burst& burst) {
  const std::span<Packet> packets{burst.packets.data(), burst.size};
  const auto stamp_at = [&](std::size_t i) { return packets[i].stamp; };
  if (!stream.rule.is_usual_run(packets.size(), stamp_at)) [[unlikely]] return false;
  const auto input = static_cast<std::uint8_t>(stream.key.input);
  std::uint64_t number = number_;
  // Clocks of a run ascend, so that no packet's is less than those before it.
  PacketClockRule::Run run = stream.rule.begin_run();
  run.before = std::max(run.before, clock_);
  for (Packet& packet : packets) {
    packet.clock = run.clock_of(packet.stamp);
    packet.number = ++number;
    packet.input = input;
  }
  stream.rule.end_run(packets.back().stamp);
  clock_ = packets.back().clock;
  number_ = number;
  return true;
}

// The only file that is left: its packets go straight into the burst.
CaptureSource::Filled CaptureSource::receive_alone(Burst& burst, std::uint32_t limit) {
  Stream& stream = *streams_.front();
  for (int reads = 0; reads < kReadsPerReceive; ++reads) {
    burst.size = stream.reader.parse({burst.packets.data(), limit});
    if (burst.size != 0 && number_usual(stream, burst)) [[likely]] return Filled::Packets;
    const bool last_waits =
        burst.size != 0 && !set_clocks(stream, {burst.packets.data(), burst.size});
    if (last_waits) [[unlikely]] keep_last(stream, burst);
    number_in_order(burst, static_cast<std::uint8_t>(stream.key.input));
    if (burst.size != 0) return Filled::Packets;
    if (last_waits) return receive_merged(burst, limit);
    const Filled filled = read_more(stream);
    if (filled == Filled::Wait) return filled;
    if (filled == Filled::End) {
      close(stream);
      streams_.clear();
      return filled;
    }
  }
  return Filled::Wait;
}

SourceState CaptureSource::receive(Burst& burst) {
  burst.size = 0;
  const std::uint32_t limit = std::min(burst.limit, kBurstMax);
  if (limit == 0) return SourceState::Idle;
  const bool alone = pending_.empty() && streams_.size() == 1 && streams_.front()->empty();
  const Filled filled = alone ? receive_alone(burst, limit) : receive_merged(burst, limit);
  if (burst.size != 0) return SourceState::Packets;
  return filled == Filled::End ? SourceState::End : SourceState::Idle;
}

void CaptureSource::release(Burst& burst) {
  if (burst.size != 0) pool_.release(burst.packets[burst.size - 1].number);
}

SourceStats CaptureSource::stats() const {
  SourceStats stats{.missed = 0, .bad_timestamps = bad_timestamps_};
  for (const auto& stream : streams_) stats.bad_timestamps += stream->rule.bad_timestamps();
  return stats;
}

CaptureProgress CaptureSource::progress() const {
  return {.bytes_read = bytes_read_.load(std::memory_order_relaxed), .bytes_total = bytes_total_};
}

}  // namespace flowloom
