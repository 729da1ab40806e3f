// What the Python module needs beyond nids.h: the capture at hand, and packets of the program's own
// whose link type it names itself.
#pragma once

#include <pcap.h>

namespace flowloom::nids {

/// Null where nids_init() has not opened one.
pcap_t* current_capture();

/// As nids_pcap_handler(), for a frame of this link type. False where the type cannot be read.
/// Preconditions: current_capture() is not null.
bool feed(int link_type, const pcap_pkthdr& header, u_char* data);

}  // namespace flowloom::nids
