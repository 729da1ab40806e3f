// Batches of documents on disk until a server has them: batch-00000000.jsonl and so on, a document
// a line. Every batch is whole in its file before it is sent and stays until the server answered,
// so nothing is lost with a server, and a later run delivers what an earlier one could not. Sends
// on a thread of its own: the writer core waits for the disk, never for a server.
#pragma once

#include "sinks/couchdb_client.hpp"
#include "sinks/descriptor.hpp"

#include <chrono>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <string>
#include <thread>

namespace flowloom {

class CouchdbSpool {
 public:
  struct Settings {
    std::string url;
    /// How long finish() goes on trying while the server does not answer.
    std::chrono::milliseconds patience{5'000};
    std::chrono::milliseconds first_pause{100};
    std::chrono::milliseconds longest_pause{5'000};
  };
  struct Counts {
    std::uint64_t stored = 0;    ///< documents that the server has
    std::uint64_t refused = 0;   ///< that it does not take; they are in refused.jsonl
    std::uint64_t waiting = 0;   ///< batches still on disk
    std::string why;             ///< the last thing that went wrong
  };

  /// Takes over the batches that it finds; sends nothing yet. `folder` is open.
  CouchdbSpool(Descriptor folder, Settings settings);
  ~CouchdbSpool();

  /// Starts the sender, once; as late as the first batch where nobody asked before. It may do what
  /// the calling thread may.
  void start();
  /// Adds a batch; an errno value where it could not be written.
  int add(std::string_view lines);
  /// Waits until everything is delivered, or the server is given up. Nothing may be added after.
  Counts finish();

 private:
  void list_folder();
  int write(const std::string& name, std::string_view lines, int flags);
  std::string read(const std::string& name) const;
  void run();
  bool deliver(const std::string& name);
  void split(const std::string& name, std::string_view lines);
  void set_aside(std::string_view lines, const std::vector<std::size_t>& refused);
  bool pause();
  void note(const std::string& why);

  Descriptor folder_;
  Settings settings_;
  std::mutex mutex_;  ///< guards what follows
  std::condition_variable changed_;
  std::deque<std::string> batches_;
  std::uint64_t next_number_ = 0;
  Counts counts_;
  bool finishing_ = false;
  std::chrono::steady_clock::time_point give_up_;
  // The sender's own.
  CouchdbClient client_;
  bool database_known_ = false;
  bool hopeless_ = false;
  std::chrono::milliseconds pause_{};
  std::thread sender_;
  bool started_ = false;  ///< of the one who adds
};

}  // namespace flowloom
