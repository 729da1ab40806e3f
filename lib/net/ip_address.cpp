#include "net/ip_address.hpp"

#include <arpa/inet.h>

namespace flowloom {

std::string to_string(const IpAddress& address) {
  // glibc writes IPv6 as RFC 5952 asks: lower case, the first longest run of zeros shortened.
  std::array<char, INET6_ADDRSTRLEN> text{};
  const bool v4 = address.is_v4();
  inet_ntop(v4 ? AF_INET : AF_INET6, address.bytes.data() + (v4 ? 12 : 0), text.data(),
            text.size());
  return text.data();
}

}  // namespace flowloom
