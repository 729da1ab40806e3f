// See couchdb_client.hpp. The calls are those of CouchDB's reference, "/db" and "/db/_bulk_docs".
#include "sinks/couchdb_client.hpp"

#include <fmt/format.h>
#include <rapidjson/document.h>

#include <algorithm>
#include <new>

namespace flowloom {
namespace {

constexpr long kConnectSeconds = 5;
constexpr long kStalledSeconds = 30;  // less than a byte a second for so long: given up
/// What is kept of an answer: a server that never stops answering must not fill memory.
constexpr std::size_t kAnswerBytesMax = std::size_t{16} << 20;

namespace http {
constexpr long kOk = 200;
constexpr long kCreated = 201;
constexpr long kAccepted = 202;
constexpr long kTimeout = 408;
constexpr long kPreconditionFailed = 412;  // the database exists
constexpr long kTooLarge = 413;
constexpr long kTooMany = 429;
constexpr long kServerError = 500;
}  // namespace http

std::size_t keep_answer(const char* data, std::size_t size, std::size_t count, void* to) {
  auto& body = *static_cast<std::string*>(to);
  const std::size_t bytes = size * count;
  if (bytes > kAnswerBytesMax - body.size()) return 0;
  body.append(data, bytes);
  return bytes;
}

CouchdbClient::Outcome outcome_of(long status) {
  using Outcome = CouchdbClient::Outcome;
  if (status == http::kTooLarge) return Outcome::TooLarge;
  const bool later = status == 0 || status == http::kTimeout || status == http::kTooMany ||
                     status >= http::kServerError;
  return later ? Outcome::Later : Outcome::Refused;
}

/// `{"docs":[` and the lines with commas between them.
std::string body_of(std::string_view lines) {
  std::string body = R"({"docs":[)";
  body.reserve(body.size() + lines.size() + 2);
  while (lines.ends_with('\n')) lines.remove_suffix(1);
  for (const char c : lines) body.push_back(c == '\n' ? ',' : c);
  body += "]}";
  return body;
}

std::string_view member(const rapidjson::Value& object, const char* name) {
  const auto at = object.FindMember(name);
  if (at == object.MemberEnd() || !at->value.IsString()) return {};
  return {at->value.GetString(), at->value.GetStringLength()};
}

}  // namespace

std::string check_couchdb_url(std::string_view url) {
  const std::size_t scheme = url.find("://");
  const bool known = url.starts_with("http://") || url.starts_with("https://");
  const std::size_t path = known ? url.find('/', scheme + 3) : std::string_view::npos;
  const bool named = path != std::string_view::npos && path + 1 < url.size() &&
                     url.find_first_of("?#", path) == std::string_view::npos &&
                     url.find('/', path + 1) == std::string_view::npos;
  if (named && CurlLibrary::find() != nullptr) return "";
  if (named) return "--write couchdb=URL needs libcurl.so.4; install the package libcurl4";
  return "--write couchdb=URL wants the URL of a database, such as http://localhost:5984/flows";
}

std::string without_secrets(std::string_view url) {
  const std::size_t host = url.find("://") + 3;
  const std::size_t at = url.substr(0, url.find('/', host)).rfind('@');
  if (at == std::string_view::npos || at < host) return std::string(url);
  return fmt::format("{}{}", url.substr(0, host), url.substr(at + 1));
}

CouchdbClient::CouchdbClient(std::string url)
    : url_(std::move(url)),
      curl_(*CurlLibrary::find()),
      handle_(curl_.easy_init(), curl_.easy_cleanup) {
  if (handle_ == nullptr) throw std::bad_alloc();
}

CouchdbClient::Answer CouchdbClient::request(const char* method, const std::string& path,
                                             std::string_view body) {
  Answer answer;
  CURL* const handle = handle_.get();
  curl_.easy_reset(handle);  // the connection stays
  const std::unique_ptr<curl_slist, void (*)(curl_slist*)> headers(
      curl_.slist_append(nullptr, "Content-Type: application/json"), curl_.slist_free_all);
  const std::string url = url_ + path;
  curl_.easy_setopt(handle, CURLOPT_URL, url.c_str());
  curl_.easy_setopt(handle, CURLOPT_CUSTOMREQUEST, method);
  curl_.easy_setopt(handle, CURLOPT_POSTFIELDS, body.data());
  curl_.easy_setopt(handle, CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(body.size()));
  curl_.easy_setopt(handle, CURLOPT_HTTPHEADER, headers.get());
  curl_.easy_setopt(handle, CURLOPT_WRITEFUNCTION, keep_answer);
  curl_.easy_setopt(handle, CURLOPT_WRITEDATA, &answer.body);
  curl_.easy_setopt(handle, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_.easy_setopt(handle, CURLOPT_NOSIGNAL, 1L);
  curl_.easy_setopt(handle, CURLOPT_CONNECTTIMEOUT, kConnectSeconds);
  curl_.easy_setopt(handle, CURLOPT_LOW_SPEED_LIMIT, 1L);
  curl_.easy_setopt(handle, CURLOPT_LOW_SPEED_TIME, kStalledSeconds);
  const CURLcode code = curl_.easy_perform(handle);
  if (code == CURLE_OK) {
    curl_.easy_getinfo(handle, CURLINFO_RESPONSE_CODE, &answer.status);
  } else {
    answer.error = curl_.easy_strerror(code);
  }
  return answer;
}

CouchdbClient::Reply CouchdbClient::create_database() {
  const Answer answer = request("PUT", "", "");
  Reply reply;
  reply.outcome = outcome_of(answer.status);
  switch (answer.status) {
    case http::kCreated:
    case http::kAccepted:
    case http::kPreconditionFailed:
      reply.outcome = Outcome::Stored;
      return reply;
    default:
      reply.why = answer.status == 0
                      ? answer.error
                      : fmt::format("the server answers {} to the database", answer.status);
      return reply;
  }
}

CouchdbClient::Reply CouchdbClient::send(std::string_view lines) {
  const Answer answer = request("POST", "/_bulk_docs", body_of(lines));
  Reply reply;
  if (answer.status != http::kOk && answer.status != http::kCreated &&
      answer.status != http::kAccepted) {
    reply.outcome = outcome_of(answer.status);
    reply.why = answer.status == 0 ? answer.error
                                   : fmt::format("the server answers {}", answer.status);
    return reply;
  }
  rapidjson::Document json;
  json.Parse<rapidjson::kParseIterativeFlag>(answer.body.data(), answer.body.size());
  const auto documents =
      static_cast<std::size_t>(std::count(lines.begin(), lines.end(), '\n'));
  if (json.HasParseError() || !json.IsArray() || json.Size() != documents) {
    reply.why = "the server's answer is not one of CouchDB";
    return reply;
  }
  reply.outcome = Outcome::Stored;
  for (rapidjson::SizeType i = 0; i < json.Size(); ++i) {
    const std::string_view error = json[i].IsObject() ? member(json[i], "error") : "no object";
    if (error.empty() || error == "conflict") {
      ++reply.stored;
      continue;
    }
    reply.refused.push_back(i);
    if (reply.why.empty()) {
      reply.why = fmt::format("the server refuses a document: {}", error.substr(0, 200));
    }
  }
  return reply;
}

}  // namespace flowloom
