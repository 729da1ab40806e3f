// libcurl, loaded when a writer needs it: it brings some thirty libraries, which would cost every
// start of the program more than everything else that is loaded.
#pragma once

#include <curl/curl.h>

namespace flowloom {

/// The functions in use, under their names in libcurl without "curl_".
struct CurlLibrary {
  decltype(&curl_easy_init) easy_init = nullptr;
  decltype(&curl_easy_cleanup) easy_cleanup = nullptr;
  decltype(&curl_easy_reset) easy_reset = nullptr;
  decltype(&curl_easy_setopt) easy_setopt = nullptr;
  decltype(&curl_easy_perform) easy_perform = nullptr;
  decltype(&curl_easy_getinfo) easy_getinfo = nullptr;
  decltype(&curl_easy_strerror) easy_strerror = nullptr;
  decltype(&curl_slist_append) slist_append = nullptr;
  decltype(&curl_slist_free_all) slist_free_all = nullptr;

  /// Loads it once; nullptr where it is not installed. Stays loaded.
  static const CurlLibrary* find();
};

}  // namespace flowloom
