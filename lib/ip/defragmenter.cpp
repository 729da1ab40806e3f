#include "ip/defragmenter.hpp"

#include <algorithm>
#include <cstring>

#include "base/check.hpp"
#include "ip/version_choice.hpp"
#include "net/ip.hpp"

namespace flowloom {

namespace {

// A power of two; a quarter of a MiB. A flood from one address shares its slot with one in 65,536.
constexpr std::uint32_t kSourceSlots = 1 << 16;

// Due datagrams are dropped with each fragment: more than can be opened by one, so they never pile
// up, and few enough to cost little.
constexpr std::uint32_t kExpirePerFragment = 2;

// Victims are compared by what their source holds. With four candidates, a source that holds half
// of the memory is hit fifteen times out of sixteen; with many more, a datagram of two pages among
// one-page floods from forged addresses would be hit as often as it is looked at.
constexpr std::uint32_t kCandidates = 4;
constexpr std::uint32_t kTries = 4 * kCandidates;

// Room for two whole datagrams of the largest size, so that one may be waiting.
constexpr std::size_t kMinCompletedBytes = 256 << 10;
static_assert(kMinCompletedBytes >= 2 * (Defragmenter::kMaxCompletedBytes + 128));

// The other version of a datagram is of use where a checksum can tell which is right.
bool keeps_losers(const FragmentKey& key, VersionChoice choice) {
  return choice == VersionChoice::ByChecksum && key.version == 4 && key.protocol == kTcpProtocol;
}

void count_up(std::uint16_t& counter) {
  constexpr std::uint16_t kMaxCount = 0xffff;
  if (counter != kMaxCount) ++counter;
}

constexpr std::size_t kHeldBytes = sizeof(FragmentPage) + sizeof(FragmentCell);

}  // namespace

Packet packet_of(const CompleteDatagram& datagram, const Packet& last_fragment) {
  Packet packet = last_fragment;
  packet.frame = datagram.bytes.data() - datagram.link_bytes;
  packet.captured = datagram.link_bytes + static_cast<std::uint32_t>(datagram.bytes.size());
  packet.wire_length = packet.captured;
  packet.link = datagram.link;
  packet.flow_hash = 0;
  packet.payload_length = 0;
  packet.ip_offset = 0;
  packet.tcp_offset = 0;
  // A receiver cannot have verified the TCP checksum; the frame stays counted once.
  packet.flags = last_fragment.flags & packet_flags::kSubframe;
  return packet;
}

Defragmenter::Layout Defragmenter::layout_of(const DefragmentSettings& settings) {
  const std::size_t memory = std::max(settings.memory_bytes, kMinMemoryBytes);
  Layout layout{};
  layout.completed_bytes = std::clamp(settings.completed_bytes, kMinCompletedBytes, memory / 2);
  const std::size_t shared = memory - layout.completed_bytes - kSourceSlots * sizeof(std::uint32_t);
  // A datagram without pages is of no use, so at least half of the rest is for these.
  constexpr std::size_t kTableBytes = 2 * sizeof(std::uint64_t);  // rounding up included
  const std::size_t most = shared / 2 / (sizeof(Datagram) + 2 * kTableBytes);
  layout.datagrams = static_cast<std::uint32_t>(
      std::clamp<std::size_t>(settings.max_datagrams, 2, std::max<std::size_t>(most, 2)));
  const std::size_t tables =
      layout.datagrams * sizeof(Datagram) + DatagramTable::bytes_for(layout.datagrams);
  layout.pages = static_cast<std::uint32_t>(
      std::min<std::size_t>((shared - tables) / kHeldBytes, kNoIndex - 1));
  return layout;
}

Defragmenter::Defragmenter(const DefragmentSettings& settings)
    : Defragmenter(settings, layout_of(settings)) {}

Defragmenter::Defragmenter(const DefragmentSettings& settings, const Layout& layout)
    : settings_(settings),
      datagrams_(layout.datagrams),
      table_(layout.datagrams),
      store_(layout.pages, layout.pages),
      completed_(layout.completed_bytes),
      holdings_(kSourceSlots),
      random_state_(settings.seed.a ^ settings.seed.b) {}

std::size_t Defragmenter::reserved_bytes() const {
  return datagrams_.bytes() + table_.bytes() + store_.bytes() + completed_.bytes() +
         holdings_.bytes();
}

bool Defragmenter::reached_limit() const {
  return counters_.evicted != 0 ||
         counters_.rejected[static_cast<std::size_t>(FragmentReject::NoRoom)] != 0;
}

FragmentReject Defragmenter::reject(FragmentReject reason) {
  ++counters_.rejected[static_cast<std::size_t>(reason)];
  return reason;
}

Defragmenter::Result Defragmenter::add(const Packet& packet) {
  ++counters_.fragments;
  overlapped_pieces_ = 0;
  expire_due(packet.clock, kExpirePerFragment);
  Fragment fragment;
  if (const auto reason = read_fragment(packet, settings_.ipv6_chain, fragment)) {
    return reject(*reason);
  }
  const std::uint64_t hash = hash_of(fragment.key, settings_.seed);
  std::uint32_t index = find(fragment.key, hash, packet.clock);
  if (index == kNoIndex) {
    index = open(fragment, hash, packet.clock);
  } else if (datagrams_[index].state == State::Discarded) {
    return reject(FragmentReject::OfDiscarded);
  }
  Datagram& datagram = datagrams_[index];
  count_up(datagram.fragments);
  if (packet.link == LinkType::Contradicted) count_up(datagram.conflicts);
  std::optional<FragmentReject> reason = note_end(datagram, fragment);
  if (!reason) {
    keep_header(index, fragment, packet.clock);
    reason = keep_data(index, fragment, packet.clock);
  }
  if (reason) {
    discard(index);
    return reject(*reason);
  }
  weigh(datagram);
  if (!is_complete(datagram)) return FragmentHeld{};
  return complete(index, packet);
}

std::uint32_t Defragmenter::find(const FragmentKey& key, std::uint64_t hash, Timestamp clock) {
  const std::uint32_t index =
      table_.find(hash, [&](std::uint32_t candidate) { return datagrams_[candidate].key == key; });
  if (index == kNoIndex || datagrams_[index].deadline > clock) return index;
  expire_one(index);
  return kNoIndex;
}

std::uint32_t Defragmenter::open(const Fragment& fragment, std::uint64_t hash, Timestamp clock) {
  std::uint32_t index = datagrams_.take();
  if (index == kNoIndex) {
    if (!expire_due(clock, 1)) evict_one(kNoIndex);
    index = datagrams_.take();
  }
  while (!table_.insert(hash, index)) {
    // Both buckets are full, which takes a load that the table is not sized for.
    const DatagramTable::Neighbours there = table_.neighbours(hash);
    evict(*std::max_element(there.begin(), there.end(), [&](std::uint32_t a, std::uint32_t b) {
      return holdings_[datagrams_[a].source] < holdings_[datagrams_[b].source];
    }));
  }
  Datagram& datagram = datagrams_[index];
  datagram.key = fragment.key;
  datagram.deadline = saturating_add(
      clock, fragment.key.version == 6 ? settings_.ipv6_timeout : settings_.ipv4_timeout);
  datagram.source = source_of(fragment.key);
  datagram.state = State::Open;
  append(index);
  weigh(datagram);
  ++counters_.opened;
  return index;
}

// Whether the fragment's end agrees with what is known of the datagram's. A fragment that more
// should follow may end at the end: hosts accept that, and nothing lies beyond it.
std::optional<FragmentReject> Defragmenter::note_end(Datagram& datagram, const Fragment& fragment) {
  if (fragment.place == FragmentPlace::MoreFollow) {
    if (datagram.end_known && fragment.end() > datagram.data_bytes) {
      return FragmentReject::BeyondEnd;
    }
    return std::nullopt;
  }
  const bool contradicts = datagram.end_known
                               ? fragment.end() != datagram.data_bytes
                               : fragment.end() < datagram.map.queue_end * kUnitBytes;
  if (contradicts) return FragmentReject::InconsistentEnd;
  datagram.end_known = true;
  datagram.data_bytes = fragment.end();
  return std::nullopt;
}

// The first to arrive gives the header, whatever the policy says of the bytes behind it.
void Defragmenter::keep_header(std::uint32_t index, const Fragment& fragment, Timestamp clock) {
  Datagram& datagram = datagrams_[index];
  if (fragment.offset != 0 || datagram.header != 0) return;
  make_room(FragmentStore::kHeaderNeed, index, clock);
  datagram.header = store_.take_header(fragment.header.size());
  datagram.header_bytes = static_cast<std::uint16_t>(fragment.header.size());
  copy_header(fragment, store_.header(datagram.header, fragment.header.size()));
}

std::optional<FragmentReject> Defragmenter::keep_data(std::uint32_t index, const Fragment& fragment,
                                                      Timestamp clock) {
  if (fragment.data.empty()) return std::nullopt;  // a last fragment that only states the end
  const UnitRange range{fragment.offset / kUnitBytes,
                        (fragment.end() + kUnitBytes - 1) / kUnitBytes};
  FragmentStore::Need need = FragmentStore::need_for(range);
  const bool may_overlap = range.begin < datagrams_[index].map.queue_end;
  if (may_overlap && keeps_losers(fragment.key, settings_.choice)) {
    constexpr std::uint32_t kMapCells = 1;
    need = {2 * need.pages, 2 * need.cells + kMapCells};
  }
  make_room(need, index, clock);
  Datagram& datagram = datagrams_[index];
  const FragmentInsertion result = insert(datagram, range.begin, fragment);
  overlapped_pieces_ = result.overlapped_pieces;
  if (result.overlapped) ++counters_.overlaps;
  if (result.conflict) {
    ++counters_.overlap_conflicts;
    count_up(datagram.conflicts);
  }
  if (result.decision == OverlapDecision::Discard) return FragmentReject::Overlap;
  return std::nullopt;
}

FragmentInsertion Defragmenter::insert(Datagram& datagram, std::uint32_t first_unit,
                                       const Fragment& fragment) {
  const FragmentOverlap policy =
      fragment.key.version == 6 ? FragmentOverlap::Discard : settings_.ipv4_overlap;
  if (!keeps_losers(fragment.key, settings_.choice)) {
    return store_.insert(datagram.map, first_unit, fragment.data, policy, nullptr);
  }
  FragmentMap losers = store_.kept_map(datagram.losers);
  const FragmentInsertion result =
      store_.insert(datagram.map, first_unit, fragment.data, policy, &losers);
  if (losers.root != 0) datagram.losers = store_.keep_map(datagram.losers, losers);
  return result;
}

void Defragmenter::choose_version(const Datagram& datagram, std::span<std::uint8_t> whole) {
  if (datagram.losers == 0) return;
  const FragmentMap losers = store_.kept_map(datagram.losers);
  if (choose_by_checksum(whole, datagram.header_bytes, store_, losers)) {
    ++counters_.decided_by_checksum;
  }
}

bool Defragmenter::is_complete(const Datagram& datagram) {
  return datagram.end_known && datagram.header != 0 &&
         datagram.map.units * kUnitBytes >= datagram.data_bytes;
}

Defragmenter::Result Defragmenter::complete(std::uint32_t index, const Packet& last) {
  Datagram& datagram = datagrams_[index];
  const std::uint32_t header_bytes = datagram.header_bytes;
  if (!datagram_fits(datagram.key.version, header_bytes, datagram.data_bytes)) {
    discard(index);
    return reject(FragmentReject::TooLarge);
  }
  const LinkType link = datagram.conflicts != 0                   ? LinkType::Contradicted
                        : last.has(packet_flags::kEncapsulated) ? LinkType::Reassembled
                                                                : LinkType::Raw;
  std::array<std::uint8_t, kMaxReassembledHeaderBytes> around;
  const std::uint32_t link_bytes =
      link == LinkType::Raw
          ? 0
          : static_cast<std::uint32_t>(write_reassembled_header(last, around.data()));
  const DatagramRing::Block block =
      completed_.take(std::size_t{link_bytes} + header_bytes + datagram.data_bytes);
  if (block.bytes.empty()) {
    evict(index);
    return reject(FragmentReject::NoRoom);
  }
  std::memcpy(block.bytes.data(), around.data(), link_bytes);
  const std::span<std::uint8_t> whole = block.bytes.subspan(link_bytes);
  std::memcpy(whole.data(), store_.header(datagram.header, header_bytes), header_bytes);
  finish_header(whole.first(header_bytes), datagram.data_bytes);
  store_.copy_out(datagram.map, whole.subspan(header_bytes));
  choose_version(datagram, whole);
  const CompleteDatagram result{whole,        link_bytes,         link,
                                block.handle, datagram.fragments, datagram.conflicts};
  ++counters_.reassembled;
  remove(index);
  return result;
}

// Frees what is due first; then others, never the datagram at hand. Ends: everything but that one
// datagram can go, and one always fits (kMinMemoryBytes).
void Defragmenter::make_room(FragmentStore::Need need, std::uint32_t spared, Timestamp clock) {
  while (!store_.has(need)) [[unlikely]] {
      if (ages_[0].oldest != spared && ages_[1].oldest != spared && expire_due(clock, 1)) continue;
      evict_one(spared);
    }
}

void Defragmenter::evict_one(std::uint32_t spared) {
  evict(pick_victim(spared));
}

std::uint32_t Defragmenter::pick_victim(std::uint32_t spared) {
  std::uint32_t victim = kNoIndex;
  std::uint32_t candidates = 0;
  for (std::uint32_t i = 0; i < kTries && candidates < kCandidates; ++i) {
    const auto index = static_cast<std::uint32_t>(random() % datagrams_.high_water());
    if (datagrams_[index].state == State::Free || index == spared) continue;
    ++candidates;
    if (victim == kNoIndex ||
        holdings_[datagrams_[index].source] > holdings_[datagrams_[victim].source]) {
      victim = index;
    }
  }
  if (victim != kNoIndex) return victim;
  for (const AgeList& ages : ages_) {  // hardly any are in use: the oldest that is not spared
    std::uint32_t index = ages.oldest;
    if (index == spared && index != kNoIndex) index = datagrams_[index].younger;
    if (index != kNoIndex) return index;
  }
  FLOWLOOM_CHECK(!"one datagram fits into the memory of all");
  return kNoIndex;
}

void Defragmenter::evict(std::uint32_t index) {
  if (datagrams_[index].state == State::Open) ++counters_.evicted;
  remove(index);
}

// RFC 5722 wants the fragments still to come refused, too; of IPv4, hosts forget everything.
void Defragmenter::discard(std::uint32_t index) {
  Datagram& datagram = datagrams_[index];
  ++counters_.discarded;
  if (datagram.key.version != 6) {
    remove(index);
    return;
  }
  drop_bytes(datagram);
  datagram.state = State::Discarded;
  weigh(datagram);
}

bool Defragmenter::expire_due(Timestamp clock, std::uint32_t limit) {
  std::uint32_t count = 0;
  for (AgeList& ages : ages_) {
    while (count < limit && ages.oldest != kNoIndex && datagrams_[ages.oldest].deadline <= clock) {
      expire_one(ages.oldest);
      ++count;
    }
  }
  return count != 0;
}

void Defragmenter::expire_one(std::uint32_t index) {
  if (datagrams_[index].state == State::Open) ++counters_.expired;
  remove(index);
}

void Defragmenter::finish() {
  while (expire_due(kTimeMax, kExpireBatch)) {
  }
}

void Defragmenter::forget(const FragmentKey& key) {
  const std::uint32_t index =
      table_.find(hash_of(key, settings_.seed),
                  [&](std::uint32_t candidate) { return datagrams_[candidate].key == key; });
  if (index == kNoIndex) return;
  if (datagrams_[index].state == State::Open) ++counters_.discarded;
  remove(index);
}

void Defragmenter::drop_bytes(Datagram& datagram) {
  store_.clear(datagram.map);
  store_.give_map_back(datagram.losers);
  datagram.losers = 0;
  store_.give_header_back(datagram.header, datagram.header_bytes);
  datagram.header = 0;
}

void Defragmenter::remove(std::uint32_t index) {
  Datagram& datagram = datagrams_[index];
  drop_bytes(datagram);
  holdings_[datagram.source] -= datagram.weight;
  unlink(index);
  table_.erase(hash_of(datagram.key, settings_.seed), index);
  datagram.state = State::Free;
  datagrams_.give_back(index);
}

// A datagram counts for its pages and for itself.
void Defragmenter::weigh(Datagram& datagram) {
  const std::uint32_t losing = store_.kept_map(datagram.losers).pages;
  const auto weight = static_cast<std::uint16_t>(datagram.map.pages + losing + 1);
  holdings_[datagram.source] += weight;
  holdings_[datagram.source] -= datagram.weight;
  datagram.weight = weight;
}

// Whoever has an IPv6 address has the 2^64 of its subnet, so these count as one source.
std::uint16_t Defragmenter::source_of(const FragmentKey& key) const {
  const std::uint8_t* address = key.source.bytes.data();
  const std::uint64_t low = key.version == 6 ? 0 : load_native<std::uint64_t>(address + 8);
  const std::uint64_t hash =
      mix(load_native<std::uint64_t>(address) ^ settings_.seed.b, low ^ settings_.seed.a);
  return static_cast<std::uint16_t>(hash & (kSourceSlots - 1));
}

std::uint64_t Defragmenter::random() {
  constexpr std::uint64_t kStep = 0x9e3779b97f4a7c15;  // splitmix64's
  random_state_ += kStep;
  return mix(random_state_ ^ settings_.seed.a, settings_.seed.b | 1);
}

void Defragmenter::append(std::uint32_t index) {
  AgeList& ages = ages_of(datagrams_[index].key);
  datagrams_[index].older = ages.youngest;
  datagrams_[index].younger = kNoIndex;
  if (ages.youngest != kNoIndex) {
    datagrams_[ages.youngest].younger = index;
  } else {
    ages.oldest = index;
  }
  ages.youngest = index;
}

void Defragmenter::unlink(std::uint32_t index) {
  const Datagram& datagram = datagrams_[index];
  AgeList& ages = ages_of(datagram.key);
  if (datagram.older != kNoIndex) {
    datagrams_[datagram.older].younger = datagram.younger;
  } else {
    ages.oldest = datagram.younger;
  }
  if (datagram.younger != kNoIndex) {
    datagrams_[datagram.younger].older = datagram.older;
  } else {
    ages.youngest = datagram.older;
  }
}

}  // namespace flowloom
