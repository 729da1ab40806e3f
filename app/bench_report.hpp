// The figures of `flowloom bench` as one JSON object or as a table. The contract names the fields.
#pragma once

#include <cstdint>
#include <span>
#include <string>

#include "bench_worker.hpp"

namespace flowloom {

enum class BenchFormat : std::uint8_t { Table, Json };

/// What was asked for.
struct BenchRequest {
  std::string traffic;
  std::string source;
  std::string consume;
  std::uint64_t flows = 0;
};

/// Whether every ledger balances, every worker delivered what its traffic holds, and the writers
/// received the same.
[[nodiscard]] bool is_exact(std::span<const BenchFigures> workers);

/// On standard output.
void print_report(const BenchRequest& request, std::span<const BenchFigures> workers,
                  BenchFormat format);

}  // namespace flowloom
