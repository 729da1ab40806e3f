// The comparison's reference peer: Debian's libnids doing what `flowloom read --write none` does,
// following every connection and adding up the delivered bytes of both directions. The payload is
// not looked at here; libnids itself copies it. With a third argument the bytes also go to files of
// that folder, one per direction, for scripts/compare_bytes.py. A separate program: libnids is GPL
// and is never linked to flowloom.
#include <nids.h>

#include <arpa/inet.h>

#include <array>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <string>

namespace {

struct Counts {
  unsigned long established = 0;
  unsigned long closed = 0;
  unsigned long reset = 0;
  unsigned long timed_out = 0;
  unsigned long exiting = 0;
  unsigned long long to_server = 0;
  unsigned long long to_client = 0;
};

Counts counts;
std::string folder;  // empty: no files

std::string endpoint(unsigned address, unsigned port) {
  in_addr bytes{};
  bytes.s_addr = address;
  std::array<char, INET_ADDRSTRLEN> text{};
  inet_ntop(AF_INET, &bytes, text.data(), text.size());
  return std::string(text.data()) + "." + std::to_string(port);
}

/// Appends what `half` received. The file's name ends in a number of the connection's own, since
/// end points are used again.
void append(const std::string& sender, const std::string& receiver, const half_stream& half,
            unsigned long number) {
  const std::string path =
      folder + "/" + sender + "-" + receiver + "-" + std::to_string(number);
  std::FILE* const file = std::fopen(path.c_str(), "ab");
  if (file == nullptr) {
    std::perror(path.c_str());
    std::exit(1);
  }
  std::fwrite(half.data, 1, static_cast<std::size_t>(half.count_new), file);
  std::fclose(file);
}

void save_data(const tcp_stream& stream) {
  const std::string client = endpoint(stream.addr.saddr, stream.addr.source);
  const std::string server = endpoint(stream.addr.daddr, stream.addr.dest);
  const auto number = reinterpret_cast<unsigned long>(stream.user);
  if (stream.server.count_new > 0) append(client, server, stream.server, number);
  if (stream.client.count_new > 0) append(server, client, stream.client, number);
}

void on_data(const tcp_stream& stream) {
  if (!folder.empty()) save_data(stream);
  // The half that received: its count_new bytes are new and in order.
  if (stream.server.count_new > 0) {
    counts.to_server += static_cast<unsigned long long>(stream.server.count_new);
  }
  if (stream.client.count_new > 0) {
    counts.to_client += static_cast<unsigned long long>(stream.client.count_new);
  }
}

void on_tcp(tcp_stream* stream, void**) {
  switch (stream->nids_state) {
    case NIDS_JUST_EST:
      ++counts.established;
      stream->user = reinterpret_cast<void*>(counts.established);
      stream->client.collect = 1;
      stream->server.collect = 1;
      break;
    case NIDS_DATA:
      on_data(*stream);
      break;
    case NIDS_CLOSE:
      ++counts.closed;
      break;
    case NIDS_RESET:
      ++counts.reset;
      break;
    case NIDS_TIMED_OUT:
      ++counts.timed_out;
      break;
    case NIDS_EXITING:
      ++counts.exiting;
      break;
    default:
      break;
  }
}

void ignore_event(int, int, ip*, void*) {}

void print_counts() {
  std::printf(
      "{\"established\":%lu,\"closed\":%lu,\"reset\":%lu,\"timed_out\":%lu,"
      "\"exiting\":%lu,\"to_server_bytes\":%llu,\"to_client_bytes\":%llu,"
      "\"delivered_bytes\":%llu}\n",
      counts.established, counts.closed, counts.reset, counts.timed_out, counts.exiting,
      counts.to_server, counts.to_client, counts.to_server + counts.to_client);
}

}  // namespace

int main(int argc, char** argv) {
  // libnids tracks 3/4 of this many streams and evicts live ones beyond; its default, 1040, loses
  // most bytes of a capture with 4096 concurrent connections.
  constexpr int kStreams = 1'000'000;
  if (argc < 2) {
    std::fprintf(stderr, "usage: nids_count CAPTURE [n_tcp_streams [FOLDER]]\n");
    return 1;
  }
  nids_params.filename = argv[1];
  nids_params.n_tcp_streams = argc > 2 ? std::atoi(argv[2]) : kStreams;
  if (argc > 3) folder = argv[3];
  nids_params.scan_num_hosts = 0;
  nids_params.syslog = reinterpret_cast<decltype(nids_params.syslog)>(ignore_event);
  static nids_chksum_ctl no_checksums{};
  no_checksums.netaddr = 0;
  no_checksums.mask = 0;
  no_checksums.action = NIDS_DONT_CHKSUM;
  if (nids_init() == 0) {
    std::fprintf(stderr, "nids_count: %s\n", nids_errbuf);
    return 1;
  }
  nids_register_chksum_ctl(&no_checksums, 1);
  nids_register_tcp(reinterpret_cast<void*>(on_tcp));
  nids_run();
  nids_exit();
  print_counts();
  return 0;
}
