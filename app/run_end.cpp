#include "run_end.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include "options.hpp"
#include "session.hpp"

namespace flowloom {

void RunEnd::hasten() {
  limit_write_patience(kEndPatience);
  nudges_.begin();
  if (writer_ == nullptr) return;
  writer_->hasten();
  if (!watch_.is_stuck(writer_moves(), StandStill::Clock::now())) return;
  // The thread can be neither woken nor joined, and who has no writer has no ledger to tell of.
  say(fmt::format("the writers have not moved for {} s: what they have not written is lost",
                  kStuckPatience.count()));
  _exit(static_cast<int>(ExitStatus::WriterFailed));
}

}  // namespace flowloom
