// Checks for programmer errors. Traffic and environment never reach one: they have verdicts,
// anomalies and error messages.
#pragma once

namespace flowloom {

/// Prints the failed condition and where it stands, then aborts.
[[noreturn]] void check_failed(const char* condition, const char* file, int line);

}  // namespace flowloom

/// Always checked; for control code.
#define FLOWLOOM_CHECK(condition) \
  (static_cast<bool>(condition) ? void() : ::flowloom::check_failed(#condition, __FILE__, __LINE__))

/// Checked in debug builds only; for the data path.
#ifdef NDEBUG
#define FLOWLOOM_DCHECK(condition) void()
#else
#define FLOWLOOM_DCHECK(condition) FLOWLOOM_CHECK(condition)
#endif
