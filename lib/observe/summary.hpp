// A ledger in a few lines for people: what ends a run on standard error, and what SIGUSR1 prints.
#pragma once

#include "export/ledger_snapshot.hpp"

#include <string>

namespace flowloom {

std::string format_summary(const LedgerSnapshot& ledger, double seconds);

}  // namespace flowloom
