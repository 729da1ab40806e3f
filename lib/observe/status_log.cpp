// See status_log.hpp.
#include "observe/status_log.hpp"

#include "observe/status_record.hpp"

namespace flowloom {

void StatusLog::look(const LiveStatus& status) {
  if (status.elapsed < next_) return;
  // One record for all that is overdue: after a pause of the machine there is nothing to make up.
  next_ += ((status.elapsed - next_) / interval_ + 1) * interval_;
  write(status);
}

void StatusLog::write(const LiveStatus& status) {
  const Duration now = std::chrono::system_clock::now().time_since_epoch();
  output_.append(format_status_record(status, Timestamp{now}));
  output_.end_record();
  output_.flush();
}

}  // namespace flowloom
