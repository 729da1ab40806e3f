#include "compat/nids/open_capture.hpp"

#include <net/if.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <array>
#include <memory>
#include <string_view>

#include "compat/nids/abi.hpp"

namespace flowloom::nids {

namespace {

constexpr int kSnapLength = 16384;

struct FreeInterfaces {
  void operator()(pcap_if_t* list) const { pcap_freealldevs(list); }
};

/// The pseudo-interface of all of them has no promiscuous mode: each is switched by itself.
void make_all_promiscuous() {
  const int descriptor = socket(AF_INET, SOCK_DGRAM, 0);
  if (descriptor < 0) return;
  std::array<char, PCAP_ERRBUF_SIZE> error;
  pcap_if_t* found = nullptr;
  if (pcap_findalldevs(&found, error.data()) == 0) {
    const std::unique_ptr<pcap_if_t, FreeInterfaces> list(found);
    for (const pcap_if_t* one = found; one != nullptr; one = one->next) {
      ifreq request{};
      const std::size_t bytes = strlen(one->name) + 1;
      if (bytes > sizeof request.ifr_name) continue;
      memcpy(request.ifr_name, one->name, bytes);
      if (ioctl(descriptor, SIOCGIFFLAGS, &request) < 0) continue;
      request.ifr_flags = static_cast<short>(request.ifr_flags | IFF_PROMISC);
      ioctl(descriptor, SIOCSIFFLAGS, &request);
    }
  }
  close(descriptor);
}

pcap_t* open_device(const char* device, int promiscuous) {
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  pcap_t* const pcap =
      pcap_open_live(device, kSnapLength, promiscuous, nids_params.pcap_timeout, error.data());
  if (pcap == nullptr) set_error(error.data());
  return pcap;
}

pcap_t* open_interface() {
  if (nids_params.device != nullptr && std::string_view{nids_params.device} == "all") {
    if (nids_params.promisc != 0) make_all_promiscuous();
    return open_device("any", 0);
  }
  if (nids_params.device != nullptr) return open_device(nids_params.device, nids_params.promisc);
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  pcap_if_t* found = nullptr;
  if (pcap_findalldevs(&found, error.data()) != 0 || found == nullptr) {
    set_error(error[0] != '\0' ? error.data() : "no suitable device found");
    return nullptr;
  }
  const std::unique_ptr<pcap_if_t, FreeInterfaces> list(found);
  // libnids leaves the name where the program finds it.
  nids_params.device = strdup(found->name);
  return open_device(nids_params.device, nids_params.promisc);
}

}  // namespace

bool is_live() {
  return nids_params.pcap_desc == nullptr && nids_params.filename == nullptr;
}

pcap_t* open_capture() {
  if (nids_params.pcap_desc != nullptr) return nids_params.pcap_desc;
  if (nids_params.filename == nullptr) return open_interface();
  std::array<char, PCAP_ERRBUF_SIZE> error{};
  pcap_t* const pcap = pcap_open_offline(nids_params.filename, error.data());
  if (pcap == nullptr) set_error(error.data());
  return pcap;
}

}  // namespace flowloom::nids
