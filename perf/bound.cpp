// The bound of the comparison: the least that any tool must do for a capture in which nothing goes
// wrong. Reads the file in chunks that stay in cache, parses Ethernet, IP and TCP in place, finds
// the connection in a flat table with prefetches over batches, follows the sequence number and
// adds up bytes. No reordering, no overlaps, no fragments, no timers, no checksums, no eviction,
// no verdicts: its time is a floor to compare with, its counts are right for clean captures only.
#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <vector>

namespace {

constexpr std::size_t kChunkBytes = std::size_t{256} << 10;
constexpr std::size_t kLongestRecord = std::size_t{256} << 10;
constexpr std::size_t kBatch = 32;
constexpr unsigned kDefaultTableBits = 19;  // 64-byte entries: 32 MiB

std::uint16_t be16(const std::uint8_t* p) {
  std::uint16_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap16(v);
}
std::uint32_t be32(const std::uint8_t* p) {
  std::uint32_t v;
  std::memcpy(&v, p, sizeof v);
  return __builtin_bswap32(v);
}
std::uint64_t native64(const std::uint8_t* p) {
  std::uint64_t v;
  std::memcpy(&v, p, sizeof v);
  return v;
}

/// Both end points, the lower first, and the sequence number expected from each of them.
struct alignas(64) Entry {
  std::array<std::uint64_t, 5> key;
  std::array<std::uint32_t, 2> next;
  std::array<std::uint32_t, 2> packets;
  std::uint32_t used;
};
static_assert(sizeof(Entry) == 64, "one cache line per connection");

struct Parsed {
  std::array<std::uint64_t, 5> key;
  std::uint64_t hash;
  std::uint32_t seq;
  std::uint32_t payload;
  std::uint8_t flags;
  std::uint8_t side;
};

struct Counts {
  std::uint64_t packets = 0;
  std::uint64_t tcp = 0;
  std::uint64_t connections = 0;
  std::uint64_t payload_bytes = 0;
  std::uint64_t counted_bytes = 0;
  std::uint64_t table_full = 0;
};

__extension__ using Wide = unsigned __int128;

std::uint64_t mix(std::uint64_t a, std::uint64_t b) {
  const Wide product = Wide{a} * b;
  return static_cast<std::uint64_t>(product) ^ static_cast<std::uint64_t>(product >> 64);
}

void make_key_v4(Parsed& out, const std::uint8_t* ip, const std::uint8_t* tcp) {
  const std::uint64_t source = std::uint64_t{be32(ip + 12)} << 16 | be16(tcp);
  const std::uint64_t target = std::uint64_t{be32(ip + 16)} << 16 | be16(tcp + 2);
  out.side = source < target ? 0 : 1;
  out.key = {source < target ? source : target, source < target ? target : source, 0, 0, 0};
  out.hash = mix(out.key[0] ^ 0x9e3779b97f4a7c15, out.key[1] ^ 0xd1b54a32d192ed03);
}

void make_key_v6(Parsed& out, const std::uint8_t* ip, const std::uint8_t* tcp) {
  const std::array<std::uint64_t, 3> source = {native64(ip + 8), native64(ip + 16), be16(tcp)};
  const std::array<std::uint64_t, 3> target = {native64(ip + 24), native64(ip + 32), be16(tcp + 2)};
  out.side = source < target ? 0 : 1;
  const auto& low = out.side == 0 ? source : target;
  const auto& high = out.side == 0 ? target : source;
  out.key = {low[0], low[1], high[0], high[1], 1ULL << 32 | low[2] << 16 | high[2]};
  out.hash = mix(mix(low[0] ^ 0x9e3779b97f4a7c15, low[1] ^ 0xd1b54a32d192ed03) ^ high[0],
                 high[1] ^ (out.key[4] * 0xa0761d6478bd642f));
}

bool parse(const std::uint8_t* frame, std::size_t bytes, Parsed& out) {
  constexpr std::size_t kEthernet = 14;
  if (bytes < kEthernet + 40) return false;
  const std::uint8_t* const ip = frame + kEthernet;
  const std::uint16_t type = be16(frame + 12);
  const bool v4 = type == 0x0800;
  const bool known = v4 ? ip[9] == 6 && (be16(ip + 6) & 0x3fff) == 0 : type == 0x86dd && ip[6] == 6;
  if (!known) return false;
  const std::size_t ip_header = v4 ? (ip[0] & 0x0fU) * 4 : 40;
  const std::size_t ip_total = v4 ? be16(ip + 2) : 40U + be16(ip + 4);
  if (ip_header < 20 || kEthernet + ip_header + 20 > bytes) return false;
  const std::uint8_t* const tcp = ip + ip_header;
  const std::size_t headers = ip_header + (tcp[12] >> 4) * 4U;
  if (ip_total < headers || kEthernet + ip_total > bytes) return false;
  out.seq = be32(tcp + 4);
  out.payload = static_cast<std::uint32_t>(ip_total - headers);
  out.flags = tcp[13];
  if (v4) {
    make_key_v4(out, ip, tcp);
  } else {
    make_key_v6(out, ip, tcp);
  }
  return true;
}

/// Open addressing with linear probing over memory that is touched on first use.
class Table {
 public:
  explicit Table(unsigned bits) : mask_((std::size_t{1} << bits) - 1), most_(mask_ - mask_ / 16) {
    constexpr std::size_t kPage = std::size_t{2} << 20;
    const std::size_t bytes = (mask_ + 1) * sizeof(Entry);
    memory_.reset(std::calloc(bytes + kPage, 1));
    if (memory_ == nullptr) std::abort();
    void* start = memory_.get();
    std::size_t space = bytes + kPage;
    entries_ = static_cast<Entry*>(std::align(alignof(Entry), bytes, start, space));
  }

  void prefetch(std::uint64_t hash) const { __builtin_prefetch(&entries_[hash & mask_], 1); }

  void count(const Parsed& p, Counts& counts) {
    Entry* entry = &entries_[p.hash & mask_];
    while (entry->used != 0 && entry->key != p.key) {
      entry = entry == &entries_[mask_] ? entries_ : entry + 1;
    }
    if (entry->used == 0 && !open(*entry, p, counts)) return;
    follow(*entry, p, counts);
  }

 private:
  struct Free {
    void operator()(void* p) const { std::free(p); }
  };

  bool open(Entry& entry, const Parsed& p, Counts& counts) {
    if (counts.connections >= most_) {
      ++counts.table_full;
      return false;
    }
    entry.used = 1;
    entry.key = p.key;
    ++counts.connections;
    return true;
  }

  static void follow(Entry& entry, const Parsed& p, Counts& counts) {
    constexpr std::uint8_t kSyn = 0x02;
    std::uint32_t& next = entry.next[p.side];
    const bool first = entry.packets[p.side]++ == 0;
    counts.payload_bytes += p.payload;
    if ((p.flags & kSyn) != 0) {
      next = p.seq + 1;
      return;
    }
    if (first) next = p.seq;
    const auto ahead = static_cast<std::int32_t>(p.seq + p.payload - next);
    if (ahead <= 0) return;
    const auto fresh = static_cast<std::uint32_t>(ahead);
    counts.counted_bytes += fresh < p.payload ? fresh : p.payload;
    next += fresh;
  }

  std::size_t mask_;
  std::size_t most_;
  std::unique_ptr<void, Free> memory_;
  Entry* entries_;
};

/// Collects a batch, then looks all of it up: the first lookups' cache misses overlap.
class Batch {
 public:
  Batch(Table& table, Counts& counts) : table_(table), counts_(counts) {}

  void add(const std::uint8_t* frame, std::size_t bytes) {
    ++counts_.packets;
    if (!parse(frame, bytes, packets_[size_])) return;
    table_.prefetch(packets_[size_].hash);
    if (++size_ == kBatch) flush();
  }
  void flush() {
    for (std::size_t i = 0; i < size_; ++i) table_.count(packets_[i], counts_);
    counts_.tcp += size_;
    size_ = 0;
  }

 private:
  Table& table_;
  Counts& counts_;
  std::array<Parsed, kBatch> packets_;
  std::size_t size_ = 0;
};

/// Walks the complete records of [begin, end); returns the first byte of an incomplete one.
const std::uint8_t* walk(const std::uint8_t* begin, const std::uint8_t* end, Batch& batch) {
  constexpr std::size_t kRecord = 16;
  while (static_cast<std::size_t>(end - begin) >= kRecord) {
    std::uint32_t captured;
    std::memcpy(&captured, begin + 8, sizeof captured);
    if (captured > kLongestRecord) std::abort();
    if (static_cast<std::size_t>(end - begin) < kRecord + captured) break;
    batch.add(begin + kRecord, captured);
    begin += kRecord + captured;
  }
  return begin;
}

bool read_capture(int file, Batch& batch) {
  constexpr std::size_t kFileHeader = 24;
  constexpr std::uint32_t kMagic = 0xa1b2c3d4;
  std::vector<std::uint8_t> buffer(kChunkBytes + kLongestRecord + 16);
  std::size_t held = 0;
  bool started = false;
  while (true) {
    const ssize_t got = read(file, buffer.data() + held, kChunkBytes);
    if (got <= 0) return got == 0 && started;
    const std::uint8_t* at = buffer.data();
    const std::uint8_t* const end = at + held + got;
    if (!started) {
      std::uint32_t magic = 0;
      std::memcpy(&magic, at, sizeof magic);
      if (got < static_cast<ssize_t>(kFileHeader) || magic != kMagic) return false;
      at += kFileHeader;
      started = true;
    }
    at = walk(at, end, batch);
    held = static_cast<std::size_t>(end - at);
    std::memmove(buffer.data(), at, held);
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc < 2) {
    std::fprintf(stderr, "usage: bound CAPTURE.pcap [bits of the connection table]\n");
    return 1;
  }
  const int bits = argc > 2 ? std::atoi(argv[2]) : static_cast<int>(kDefaultTableBits);
  if (bits < 4 || bits > 30) return 1;
  Table table(static_cast<unsigned>(bits));
  Counts counts;
  Batch batch(table, counts);
  const int file = open(argv[1], O_RDONLY);
  if (file < 0 || !read_capture(file, batch)) {
    std::fprintf(stderr, "bound: cannot read %s as little-endian pcap\n", argv[1]);
    return 1;
  }
  batch.flush();
  close(file);
  const auto print = [](const char* name, std::uint64_t value, const char* after) {
    std::printf("\"%s\":%llu%s", name, static_cast<unsigned long long>(value), after);
  };
  std::printf("{");
  print("packets", counts.packets, ",");
  print("tcp", counts.tcp, ",");
  print("connections", counts.connections, ",");
  print("payload_bytes", counts.payload_bytes, ",");
  print("delivered_bytes", counts.counted_bytes, ",");
  print("table_full", counts.table_full, "}\n");
  return 0;
}
