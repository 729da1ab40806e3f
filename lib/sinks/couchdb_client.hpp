// Sends batches of documents to a CouchDB database over HTTP (libcurl). Knows no connections; a
// document is one line of JSON with an _id.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "sinks/curl_library.hpp"

namespace flowloom {

class CouchdbClient {
 public:
  enum class Outcome : std::uint8_t {
    Stored,    ///< the server answered for every document
    Later,     ///< not reached, busy, or failing: worth trying again
    TooLarge,  ///< the server takes no request of this size
    Refused    ///< trying again does not help: no such right, no such database
  };
  struct Reply {
    Outcome outcome = Outcome::Later;
    std::uint64_t stored = 0;             ///< documents that are there now, also from before
    std::vector<std::size_t> refused;     ///< indices of documents that the server does not take
    std::string why;                      ///< the first thing that went wrong; empty: nothing
  };

  /// `url` is that of the database: http://user:password@host:5984/name. Preconditions:
  /// check_couchdb_url() found nothing.
  explicit CouchdbClient(std::string url);

  /// Makes the database if it is not there.
  Reply create_database();
  /// Sends documents, one a line. A document whose _id exists was written by an earlier attempt.
  Reply send(std::string_view lines);

 private:
  using Handle = std::unique_ptr<CURL, decltype(CurlLibrary::easy_cleanup)>;
  struct Answer {
    long status = 0;  ///< 0: there was none
    std::string body;
    std::string error;
  };
  Answer request(const char* method, const std::string& path, std::string_view body);

  std::string url_;
  const CurlLibrary& curl_;
  Handle handle_;
};

/// One sentence where a URL cannot be one of a database, or libcurl is missing, or nothing.
std::string check_couchdb_url(std::string_view url);

/// The URL without user name and password, for messages.
std::string without_secrets(std::string_view url);

}  // namespace flowloom
