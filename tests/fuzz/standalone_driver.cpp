// Runs a fuzz entry point without a fuzzer: every file of a folder, then a number of mutations of
// them. Mutation N of a seed is the same everywhere, and the one that ended the program is named,
// so that `--only N` repeats it.
//
// usage: TARGET FOLDER [--runs N] [--seconds S] [--seed N] [--only N]
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <optional>
#include <random>
#include <string>
#include <string_view>
#include <vector>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
// Of the sanitizers, where the program was built with one: they end it without a signal.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*callback)());

namespace {

using Bytes = std::vector<std::uint8_t>;

constexpr std::size_t kInputBytesMax = 64 << 10;
/// An input that takes longer is a defect.
constexpr unsigned kHangSeconds = 20;

struct Options {
  std::string folder;
  std::uint64_t runs = 2000;
  std::uint64_t seconds = 10;
  std::uint64_t seed = 1;
  std::optional<std::uint64_t> only;
};

char current_input[512];

void say_current_input() {
  const std::size_t length = strnlen(current_input, sizeof current_input);
  // Nothing can be done about an error here.
  if (write(STDERR_FILENO, current_input, length) < 0) return;
}

extern "C" void on_signal(int number) {
  say_current_input();
  signal(number, SIG_DFL);
  raise(number);
}

void watch_for_the_end() {
  for (const int number : {SIGABRT, SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGALRM}) {
    signal(number, on_signal);
  }
  if (__sanitizer_set_death_callback != nullptr) __sanitizer_set_death_callback(say_current_input);
}

void run(const Bytes& input, const std::string& name) {
  std::snprintf(current_input, sizeof current_input, "ended by: %s\n", name.c_str());
  alarm(kHangSeconds);
  // A block of its own size, so that a sanitizer sees a read past it.
  const Bytes exact(input.begin(), input.end());
  LLVMFuzzerTestOneInput(exact.data(), exact.size());
  alarm(0);
}

struct Seed {
  std::string name;
  Bytes bytes;
};

std::vector<Seed> read_folder(const std::string& folder) {
  std::vector<Seed> seeds;
  for (const auto& entry : std::filesystem::directory_iterator(folder)) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    seeds.push_back({entry.path().filename().string(),
                     Bytes(std::istreambuf_iterator<char>(file), {})});
  }
  std::sort(seeds.begin(), seeds.end(),
            [](const Seed& a, const Seed& b) { return a.name < b.name; });
  return seeds;
}

class Mutator {
 public:
  explicit Mutator(std::uint64_t seed) : random_(seed) {}

  Bytes mutate(const std::vector<Seed>& seeds) {
    Bytes bytes = seeds[pick(seeds.size())].bytes;
    const std::size_t changes = std::size_t{1} << pick(5);
    for (std::size_t i = 0; i < changes; ++i) change(bytes, seeds);
    bytes.resize(std::min(bytes.size(), kInputBytesMax));
    return bytes;
  }

 private:
  std::size_t pick(std::size_t end) { return end == 0 ? 0 : random_() % end; }
  static Bytes::iterator at(Bytes& bytes, std::size_t index) {
    return bytes.begin() + static_cast<std::ptrdiff_t>(index);
  }

  void change(Bytes& bytes, const std::vector<Seed>& seeds) {
    static constexpr std::uint8_t kEdges[] = {0, 1, 2, 4, 0x10, 0x7f, 0x80, 0xfe, 0xff};
    const std::size_t where = pick(bytes.size());
    const std::size_t size = std::min(std::size_t{1} << pick(8), bytes.size() - where);
    switch (bytes.empty() ? 5 : pick(9)) {
      case 0: bytes[where] ^= static_cast<std::uint8_t>(1U << pick(8)); break;
      case 1: bytes[where] = kEdges[pick(std::size(kEdges))]; break;
      case 2: bytes[where] = static_cast<std::uint8_t>(random_()); break;
      case 3: bytes.erase(at(bytes, where), at(bytes, where + size)); break;
      case 4: repeat(bytes, where, size); break;
      case 5: bytes.insert(at(bytes, where), static_cast<std::uint8_t>(random_())); break;
      case 6: bytes.resize(where); break;
      case 7: splice(bytes, where, seeds[pick(seeds.size())].bytes); break;
      default:  // a whole integer of ones, whatever its size
        std::fill_n(at(bytes, where), std::min<std::size_t>(4, bytes.size() - where), 0xff);
    }
  }

  void repeat(Bytes& bytes, std::size_t where, std::size_t size) {
    const Bytes part(at(bytes, where), at(bytes, where + size));
    bytes.insert(at(bytes, pick(bytes.size())), part.begin(), part.end());
  }

  void splice(Bytes& bytes, std::size_t where, const Bytes& other) {
    const std::size_t from = pick(other.size());
    bytes.resize(where);
    bytes.insert(bytes.end(), other.begin() + static_cast<std::ptrdiff_t>(from), other.end());
  }

  std::mt19937_64 random_;
};

void run_mutation(std::uint64_t number, const Options& options, const std::vector<Seed>& seeds) {
  constexpr std::uint64_t kSpread = 0x9e3779b97f4a7c15; // neighbouring numbers, unlike generators
  Mutator mutator((options.seed << 32U) ^ (number * kSpread));
  run(mutator.mutate(seeds),
      "--seed " + std::to_string(options.seed) + " --only " + std::to_string(number));
}

std::optional<Options> parse(int count, char** arguments) {
  Options options;
  if (count < 2) return std::nullopt;
  options.folder = arguments[1];
  for (int i = 2; i + 1 < count; i += 2) {
    const std::string_view name = arguments[i];
    const std::uint64_t value = std::strtoull(arguments[i + 1], nullptr, 10);
    if (name == "--runs") {
      options.runs = value;
    } else if (name == "--seconds") {
      options.seconds = value;
    } else if (name == "--seed") {
      options.seed = value;
    } else if (name == "--only") {
      options.only = value;
    } else {
      return std::nullopt;
    }
  }
  if (count % 2 != 0) return std::nullopt;
  return options;
}

}  // namespace

int main(int count, char** arguments) {
  const std::optional<Options> options = parse(count, arguments);
  if (!options.has_value()) {
    std::fprintf(stderr, "usage: %s FOLDER [--runs N] [--seconds S] [--seed N] [--only N]\n",
                 arguments[0]);
    return EXIT_FAILURE;
  }
  const std::vector<Seed> seeds = read_folder(options->folder);
  if (seeds.empty()) {
    std::fprintf(stderr, "%s holds no file\n", options->folder.c_str());
    return EXIT_FAILURE;
  }
  watch_for_the_end();
  if (options->only.has_value()) {
    run_mutation(*options->only, *options, seeds);
    return EXIT_SUCCESS;
  }
  for (const Seed& seed : seeds) run(seed.bytes, seed.name);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{options->seconds};
  std::uint64_t number = 0;
  while (number < options->runs && std::chrono::steady_clock::now() < end) {
    run_mutation(number++, *options, seeds);
  }
  std::printf("%zu files and %llu mutations\n", seeds.size(),
              static_cast<unsigned long long>(number));
  return EXIT_SUCCESS;
}
