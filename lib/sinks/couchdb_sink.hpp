// --write couchdb=URL: one document per connection, its _id the uid, so that writing it again
// changes nothing: the record of flows.jsonl, and the content of both directions as attachments
// `orig` and `resp`, up to a limit each.
#pragma once

#include "sinks/connection_map.hpp"
#include "sinks/couchdb_spool.hpp"
#include "sinks/flows_sink.hpp"
#include "sinks/pack_sink.hpp"

namespace flowloom {

inline constexpr std::uint64_t kCouchdbContentDefault = std::uint64_t{1} << 20;
/// Content of connections that are still running, of all together; what does not fit any more is
/// not attached, and the document says so.
inline constexpr std::uint64_t kCouchdbKeptBytesMax = std::uint64_t{256} << 20;

struct CouchdbSettings {
  CouchdbSpool::Settings spool;
  std::uint64_t content_max = kCouchdbContentDefault;  ///< per direction
  WithSha256 sha256 = WithSha256::No;
  Pace pace = Pace::Stored;
};

class CouchdbSink final : public Sink {
 public:
  /// `folder` is the spool's.
  CouchdbSink(Descriptor folder, const CouchdbSettings& settings);

  [[nodiscard]] SinkNeeds needs() const override;
  void start() override { spool_.start(); }
  void consume(StreamEvent& event) override;
  void flush() override;
  void finish() override;
  [[nodiscard]] WriterStatus status() const override { return status_; }

 private:
  /// The beginnings of both directions, as far as they are kept.
  struct Contents {
    std::array<std::vector<std::uint8_t>, 2> bytes;
    std::array<std::uint64_t, 2> seen{};
    [[nodiscard]] std::uint64_t size() const { return bytes[0].size() + bytes[1].size(); }
  };
  void keep(const StreamMessage& message, Contents& kept, std::uint64_t limit);
  void add_document(StreamEvent& event, const Contents& contents);
  void add_attachment(std::string_view name, ByteView content);
  void write_batch();

  CouchdbSettings settings_;
  CouchdbSpool spool_;
  FlowFormatter formatter_;
  ConnectionMap<Contents> kept_;  ///< of connections that go on
  std::uint64_t kept_bytes_ = 0;
  std::string batch_;
  std::uint64_t batch_documents_ = 0;
  std::chrono::steady_clock::time_point flushed_;
  WriterStatus status_;
};

}  // namespace flowloom
