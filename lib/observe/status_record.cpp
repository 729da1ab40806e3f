// See status_record.hpp.
#include "observe/status_record.hpp"

#include "sinks/stats_file.hpp"
#include "sinks/text.hpp"

#include <fmt/format.h>

#include <chrono>
#include <iterator>

namespace flowloom {
namespace {

void write_thread(fmt::memory_buffer& out, const ThreadStatus& thread,
                  std::chrono::steady_clock::time_point now) {
  const auto to = std::back_inserter(out);
  fmt::format_to(to, R"({{"name":"{}","packets":{},"idle":{:.3f},"silent":{:.3f},)"
                 R"("writer_waits":{},"levels":{{)",
                 thread.name, thread.report.ledger.received, seconds_of(thread.report.idle),
                 seconds_of(now - thread.answered), thread.report.writer_waits);
  const char* separator = "";
  for (std::size_t i = 0; i < kResourceNames.size(); ++i) {
    const Level& level = thread.report.levels[i];
    if (level.capacity == 0) continue;
    fmt::format_to(to, R"({}"{}":{{"used":{},"capacity":{}}})", separator, kResourceNames[i],
                   level.used, level.capacity);
    separator = ",";
  }
  fmt::format_to(to, "}}}}");
}

}  // namespace

std::string format_status_record(const LiveStatus& status, Timestamp now) {
  fmt::memory_buffer out;
  const auto to = std::back_inserter(out);
  fmt::format_to(to, R"({{"time":"{}","elapsed":{:.3f},{},"open":{},"threads":[)",
                 format_rfc3339(now).view(), seconds_of(status.elapsed),
                 format_stats_members(status.ledger), status.connections_open);
  const char* separator = "";
  for (const ThreadStatus& thread : status.threads) {
    out.append(std::string_view(separator));
    write_thread(out, thread, status.at);
    separator = ",";
  }
  fmt::format_to(to, "]}}\n");
  return fmt::to_string(out);
}

}  // namespace flowloom
