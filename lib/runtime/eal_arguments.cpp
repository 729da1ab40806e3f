#include "runtime/eal_arguments.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>

namespace flowloom {

namespace {

constexpr std::uint64_t kMebibyte = 1u << 20;
// Ports, rings, memzones and the heap's own administration.
constexpr std::uint64_t kBaseBytes = 64 * kMebibyte;

// Options that take the choice of memory out of our hands: hugetlbfs files, a shared
// configuration for secondary processes, or an explicit kind.
constexpr std::array<std::string_view, 8> kMemoryOptions = {
    "--in-memory",   "--no-huge",  "--file-prefix", "--proc-type",
    "--huge-unlink", "--huge-dir", "--legacy-mem",  "--single-file-segments"};
constexpr std::array<std::string_view, 4> kSizeOptions = {"-m", "--socket-mem", "--socket-limit",
                                                          "--memory"};
constexpr std::array<std::string_view, 4> kPciOptions = {"-a", "--allow", "-b", "--block"};

template <std::size_t N>
bool has_any(const std::vector<std::string>& arguments,
             const std::array<std::string_view, N>& names) {
  return std::any_of(names.begin(), names.end(), [&](std::string_view name) {
    return has_option(arguments, std::string{name});
  });
}

std::string megabytes_for(const EalNeeds& needs) {
  return fmt::format("{}", (needs.bytes + kBaseBytes + kMebibyte - 1) / kMebibyte);
}

void add_memory(const std::vector<std::string>& user, const EalNeeds& needs,
                const EalMachine& machine, std::vector<std::string>& result) {
  const bool user_chose = has_any(user, kMemoryOptions);
  const bool fits = machine.free_hugepage_bytes >= needs.bytes + kBaseBytes;
  if (!user_chose && fits) {
    result.emplace_back("--in-memory");  // leaves no files; several processes side by side
    return;
  }
  const bool without_hugepages = has_option(user, "--no-huge");
  if (user_chose && !without_hugepages) return;
  if (!without_hugepages) result.emplace_back("--no-huge");
  if (!has_any(user, kSizeOptions)) result.insert(result.end(), {"-m", megabytes_for(needs)});
  const bool shares = has_option(user, "--file-prefix") || has_option(user, "--proc-type");
  if (!shares && !has_option(user, "--no-shconf")) result.emplace_back("--no-shconf");
}

}  // namespace

bool has_option(const std::vector<std::string>& arguments, const std::string& name) {
  const bool is_long = name.starts_with("--");
  return std::any_of(arguments.begin(), arguments.end(), [&](const std::string& argument) {
    if (argument == name) return true;
    return is_long ? argument.starts_with(name + "=")
                   : argument.starts_with(name) && !argument.starts_with("--");
  });
}

std::vector<std::string> complete_eal_arguments(const std::string& program,
                                                const std::vector<std::string>& arguments,
                                                const EalNeeds& needs, const EalMachine& machine) {
  std::vector<std::string> result{program};
  if (!has_option(arguments, "--log-level")) result.emplace_back("--log-level=error");
  add_memory(arguments, needs, machine, result);
  const bool names_pci = has_any(arguments, kPciOptions);
  const bool no_pci = has_option(arguments, "--no-pci");
  const bool spare_pci = !names_pci && !no_pci && has_option(arguments, "--vdev");
  if (spare_pci) result.emplace_back("--no-pci");
  if ((spare_pci || no_pci) && !has_option(arguments, "--iova-mode")) {
    result.emplace_back("--iova-mode=va");
  }
  if (!has_option(arguments, "--telemetry") && !has_option(arguments, "--no-telemetry")) {
    result.emplace_back("--no-telemetry");
  }
  result.insert(result.end(), arguments.begin(), arguments.end());
  return result;
}

std::uint64_t free_hugepage_bytes() {
  const std::filesystem::path root{"/sys/kernel/mm/hugepages"};
  const auto read_count = [](const std::filesystem::path& path) {
    std::uint64_t count = 0;
    std::ifstream(path) >> count;
    return count;
  };
  std::uint64_t bytes = 0;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(root, error)) {
    const std::string name = entry.path().filename();  // hugepages-2048kB
    const std::size_t dash = name.find('-');
    if (dash == std::string::npos) continue;
    const std::uint64_t kilobytes = std::strtoull(name.c_str() + dash + 1, nullptr, 10);
    const std::uint64_t free = read_count(entry.path() / "free_hugepages");
    const std::uint64_t promised = read_count(entry.path() / "resv_hugepages");
    bytes += (free - std::min(free, promised)) * kilobytes * 1024;
  }
  return bytes;
}

}  // namespace flowloom
