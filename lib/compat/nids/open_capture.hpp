// The capture that nids_params names: a file, an interface, or what the program has opened itself.
#pragma once

#include <pcap.h>

namespace flowloom::nids {

/// Null where it cannot be opened; nids_errbuf says why.
pcap_t* open_capture();

/// Whether open_capture() opened an interface.
bool is_live();

}  // namespace flowloom::nids
