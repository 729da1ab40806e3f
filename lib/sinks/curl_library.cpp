// See curl_library.hpp.
#include "sinks/curl_library.hpp"

#include <dlfcn.h>

#include <optional>

namespace flowloom {
namespace {

/// The name of version 4 of its interface, as every distribution has it.
constexpr const char* kSoname = "libcurl.so.4";

template <class Function>
bool look_up(void* library, const char* name, Function& function) {
  function = reinterpret_cast<Function>(dlsym(library, name));
  return function != nullptr;
}

std::optional<CurlLibrary> load() {
  void* const library = dlopen(kSoname, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) return std::nullopt;
  CurlLibrary curl;
  const bool complete = look_up(library, "curl_easy_init", curl.easy_init) &&
                        look_up(library, "curl_easy_cleanup", curl.easy_cleanup) &&
                        look_up(library, "curl_easy_reset", curl.easy_reset) &&
                        look_up(library, "curl_easy_setopt", curl.easy_setopt) &&
                        look_up(library, "curl_easy_perform", curl.easy_perform) &&
                        look_up(library, "curl_easy_getinfo", curl.easy_getinfo) &&
                        look_up(library, "curl_easy_strerror", curl.easy_strerror) &&
                        look_up(library, "curl_slist_append", curl.slist_append) &&
                        look_up(library, "curl_slist_free_all", curl.slist_free_all);
  if (!complete) return std::nullopt;
  return curl;
}

}  // namespace

const CurlLibrary* CurlLibrary::find() {
  static const std::optional<CurlLibrary> curl = load();
  return curl ? &*curl : nullptr;
}

}  // namespace flowloom
