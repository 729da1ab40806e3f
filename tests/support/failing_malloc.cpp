// Loaded before the C library (LD_PRELOAD): from when a program starts its first thread on,
// allocation number FAIL_AT fails, and FAIL_MORE more behind it. At the end it leaves in FAIL_COUNT
// how many it has seen.
#include <dlfcn.h>
#include <pthread.h>

#include <atomic>
#include <cerrno>
#include <cstdio>
#include <cstdlib>

extern "C" {
void* __libc_malloc(std::size_t size);
void* __libc_calloc(std::size_t count, std::size_t size);
void* __libc_realloc(void* old, std::size_t size);
}

namespace {

std::atomic<bool> started{false};
std::atomic<long> seen{0};
long first = -1;
long last = -1;

bool fails() {
  if (!started) return false;
  const long now = ++seen;
  if (now < first || now > last) return false;
  errno = ENOMEM;
  return true;
}

long number_from(const char* variable) {
  const char* const text = std::getenv(variable);
  return text == nullptr ? 0 : std::atol(text);
}

__attribute__((destructor)) void tell() {
  started = false;
  const char* const name = std::getenv("FAIL_COUNT");
  std::FILE* const file = name == nullptr ? nullptr : std::fopen(name, "w");
  if (file == nullptr) return;
  std::fprintf(file, "%ld\n", seen.load());
  std::fclose(file);
}

}  // namespace

extern "C" {

void* malloc(std::size_t size) { return fails() ? nullptr : __libc_malloc(size); }
void* calloc(std::size_t count, std::size_t size) {
  return fails() ? nullptr : __libc_calloc(count, size);
}
void* realloc(void* old, std::size_t size) { return fails() ? nullptr : __libc_realloc(old, size); }

int pthread_create(pthread_t* thread, const pthread_attr_t* attributes, void* (*run)(void*),
                   void* argument) {
  using Create = int (*)(pthread_t*, const pthread_attr_t*, void* (*)(void*), void*);
  static const auto real = reinterpret_cast<Create>(dlsym(RTLD_NEXT, "pthread_create"));
  if (!started && std::getenv("FAIL_AT") != nullptr) {
    first = number_from("FAIL_AT");
    last = first + number_from("FAIL_MORE");
  }
  started = true;
  return real(thread, attributes, run, argument);
}

}  // extern "C"
