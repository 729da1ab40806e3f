// See couchdb_sink.hpp.
#include "sinks/couchdb_sink.hpp"

#include "sinks/chain_reader.hpp"

#include <fmt/format.h>
#include <openssl/evp.h>

#include <algorithm>

namespace flowloom {
namespace {

constexpr std::uint64_t kBatchDocuments = 500;
constexpr std::size_t kBatchBytes = std::size_t{4} << 20;

/// Appends base 64.
void append_base64(std::string& out, ByteView bytes) {
  constexpr std::size_t kChunk = 3 * 16384;  // whole groups, so that no padding stands inside
  std::array<unsigned char, kChunk / 3 * 4 + 1> text;
  while (!bytes.empty()) {
    const ByteView chunk = bytes.first(std::min(bytes.size(), kChunk));
    const int size = EVP_EncodeBlock(text.data(), chunk.data(), static_cast<int>(chunk.size()));
    out.append(reinterpret_cast<const char*>(text.data()), static_cast<std::size_t>(size));
    bytes = bytes.subspan(chunk.size());
  }
}

}  // namespace

CouchdbSink::CouchdbSink(Descriptor folder, const CouchdbSettings& settings)
    : settings_(settings),
      spool_(std::move(folder), settings.spool),
      formatter_(settings.sha256) {
  status_.name = "couchdb";
}

SinkNeeds CouchdbSink::needs() const {
  SinkNeeds needs = formatter_.needs();
  needs.bytes = settings_.content_max > 0;
  return needs;
}

void CouchdbSink::consume(StreamEvent& event) {
  if (event.whole()) {
    Contents contents;
    keep(event.message(), contents, UINT64_MAX);
    add_document(event, contents);
    return;
  }
  Contents& kept = kept_.at(event.record().first_packet);
  const std::uint64_t before = kept.size();
  keep(event.message(), kept, kCouchdbKeptBytesMax - kept_bytes_);
  kept_bytes_ += kept.size() - before;
  if (!event.closes()) return;
  add_document(event, kept);
  kept_bytes_ -= kept.size();
  kept_.erase(event.record().first_packet);
}

/// Keeps what comes next of both directions, at most `limit` bytes. Where something was left out
/// nothing is added any more: what is kept is the beginning of the stream.
void CouchdbSink::keep(const StreamMessage& message, Contents& kept, std::uint64_t limit) {
  for (unsigned d = 0; d < 2; ++d) {
    std::vector<std::uint8_t>& bytes = kept.bytes[d];
    const bool joins = bytes.size() == kept.seen[d];
    kept.seen[d] += message.data[d].bytes;
    ChainReader reader(message.data[d]);
    while (joins && !reader.at_end() && bytes.size() < settings_.content_max && limit > 0) {
      const ByteView piece = reader.take(std::min(limit, settings_.content_max - bytes.size()));
      bytes.insert(bytes.end(), piece.begin(), piece.end());
      limit -= piece.size();
    }
  }
}

/// `{"_id":"UID","uid":...,"content_bytes":{...},"_attachments":{...}}` and a line feed.
void CouchdbSink::add_document(StreamEvent& event, const Contents& contents) {
  const std::size_t begin = batch_.size();
  std::string_view record = formatter_.format(event);
  record = record.substr(1, record.rfind('}') - 1);
  const auto& [orig, resp] = contents.bytes;
  batch_ += fmt::format(R"({{"_id":"{}",{},"content_bytes":{{"orig":{},"resp":{}}})", event.uid(),
                        record, orig.size(), resp.size());
  if (contents.size() > 0) {
    batch_ += R"(,"_attachments":{)";
    if (!orig.empty()) add_attachment("orig", orig);
    if (!orig.empty() && !resp.empty()) batch_.push_back(',');
    if (!resp.empty()) add_attachment("resp", resp);
    batch_.push_back('}');
  }
  batch_ += "}\n";
  status_.bytes += batch_.size() - begin;
  ++batch_documents_;
  if (batch_documents_ >= kBatchDocuments || batch_.size() >= kBatchBytes) write_batch();
}

void CouchdbSink::add_attachment(std::string_view name, ByteView content) {
  batch_ += fmt::format(R"("{}":{{"content_type":"application/octet-stream","data":")", name);
  append_base64(batch_, content);
  batch_ += "\"}";
}

void CouchdbSink::write_batch() {
  if (batch_.empty()) return;
  if (const int error = spool_.add(batch_); error != 0) {
    if (status_.first_error.empty()) status_.first_error = describe_errno(error);
    status_.dropped += batch_documents_;
    status_.dropped_bytes += batch_.size();
    status_.bytes -= batch_.size();
  }
  batch_.clear();
  batch_documents_ = 0;
}

void CouchdbSink::flush() {
  constexpr std::chrono::seconds kFlushEvery{1};
  if (settings_.pace == Pace::Stored) return;
  const auto now = std::chrono::steady_clock::now();
  if (now - flushed_ < kFlushEvery) return;
  flushed_ = now;
  write_batch();
}

void CouchdbSink::finish() {
  write_batch();
  const CouchdbSpool::Counts counts = spool_.finish();
  status_.records = counts.stored;
  status_.dropped += counts.refused;
  if (!status_.first_error.empty()) return;
  if (counts.waiting > 0) {
    status_.first_error =
        fmt::format("{}: {}; {} batches wait in the spool for a later run",
                    without_secrets(settings_.spool.url), counts.why, counts.waiting);
  } else if (counts.refused > 0) {
    status_.first_error = fmt::format("{}; see refused.jsonl in the spool", counts.why);
  }
}

}  // namespace flowloom
