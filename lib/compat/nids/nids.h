/* The C interface of libnids 1.26 as flowloom's drop-in offers it: the same names, values and
 * layouts, so that a program built against either header runs with either library. What the calls
 * do is described in docs/libnids.md. Plain C; installed as <nids.h>. */
#pragma once

#include <netinet/in_systm.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <netinet/tcp.h>
#include <pcap.h>
#include <sys/types.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NIDS_MAJOR 1
#define NIDS_MINOR 26

/* First argument of nids_params.syslog. */
enum {
  NIDS_WARN_IP = 1,
  NIDS_WARN_TCP = 2,
  NIDS_WARN_UDP = 3,
  NIDS_WARN_SCAN = 4
};

/* Second argument of nids_params.syslog; also the index of its text in nids_warnings. */
enum {
  NIDS_WARN_UNDEFINED = 0,
  NIDS_WARN_IP_OVERSIZED = 1,
  NIDS_WARN_IP_INVLIST = 2,
  NIDS_WARN_IP_OVERLAP = 3,
  NIDS_WARN_IP_HDR = 4,
  NIDS_WARN_IP_SRR = 5,
  NIDS_WARN_TCP_TOOMUCH = 6,
  NIDS_WARN_TCP_HDR = 7,
  NIDS_WARN_TCP_BIGQUEUE = 8,
  NIDS_WARN_TCP_BADFLAGS = 9
};

/* tcp_stream.nids_state. */
#define NIDS_JUST_EST 1
#define NIDS_DATA 2
#define NIDS_CLOSE 3
#define NIDS_RESET 4
#define NIDS_TIMED_OUT 5
#define NIDS_EXITING 6

/* nids_chksum_ctl.action. */
#define NIDS_DO_CHKSUM 0
#define NIDS_DONT_CHKSUM 1

/* Ports in host order, addresses in network order. */
struct tuple4 {
  u_short source;
  u_short dest;
  u_int saddr;
  u_int daddr;
};

/* What flows to one side: `client` holds what the server sent. */
struct half_stream {
  char state;
  char collect;         /* raise it in NIDS_JUST_EST to be given this side's data */
  char collect_urg;     /* the same for its urgent bytes */
  char *data;           /* count - offset bytes */
  int offset;           /* where in the stream data[0] stands */
  int count;            /* bytes that arrived in order since the connection began */
  int count_new;        /* of them, new with this call */
  int bufsize;
  int rmem_alloc;       /* what early segments are charged */
  int urg_count;
  u_int acked;
  u_int seq;
  u_int ack_seq;
  u_int first_data_seq;
  u_char urgdata;
  u_char count_new_urg; /* 1: urgdata is new with this call */
  u_char urg_seen;
  u_int urg_ptr;
  u_short window;
  u_char ts_on;
  u_char wscale_on;
  u_int curr_ts;
  u_int wscale;
  struct skbuff *list;
  struct skbuff *listtail;
};

struct tcp_stream {
  struct tuple4 addr;
  char nids_state;
  struct lurker_node *listeners;
  struct half_stream client;
  struct half_stream server;
  struct tcp_stream *next_node;
  struct tcp_stream *prev_node;
  int hash_index;
  struct tcp_stream *next_time;
  struct tcp_stream *prev_time;
  int read;
  struct tcp_stream *next_free;
  void *user;           /* the program's own */
  long ts;
};

/* To be set before nids_init(). */
struct nids_prm {
  int n_tcp_streams;
  int n_hosts;
  char *device;
  char *filename;
  int sk_buff_size;
  int dev_addon;
  void (*syslog)();
  int syslog_level;
  int scan_num_hosts;
  int scan_delay;
  int scan_num_ports;
  void (*no_mem)(char *);
  int (*ip_filter)();
  char *pcap_filter;
  int promisc;
  int one_loop_less;
  int pcap_timeout;
  int multiproc;
  int queue_limit;
  int tcp_workarounds;
  pcap_t *pcap_desc;
  int tcp_flow_timeout;
};

struct tcp_timeout {
  struct tcp_stream *a_tcp;
  struct timeval timeout;
  struct tcp_timeout *next;
  struct tcp_timeout *prev;
};

struct nids_chksum_ctl {
  u_int netaddr;
  u_int mask;
  u_int action;
  u_int reserved;
};

int nids_init(void);
void nids_exit(void);

int nids_run(void);
int nids_dispatch(int count);
int nids_next(void);
int nids_getfd(void);
void nids_pcap_handler(u_char *user, struct pcap_pkthdr *header, u_char *data);

void nids_register_ip_frag(void *callback);
void nids_unregister_ip_frag(void *callback);
void nids_register_ip(void *callback);
void nids_unregister_ip(void *callback);
void nids_register_tcp(void *callback);
void nids_unregister_tcp(void *callback);
void nids_register_udp(void *callback);
void nids_unregister_udp(void *callback);

void nids_discard(struct tcp_stream *stream, int bytes);
void nids_killtcp(struct tcp_stream *stream);
struct tcp_stream *nids_find_tcp_stream(struct tuple4 *end_points);
void nids_free_tcp_stream(struct tcp_stream *stream);
void nids_register_chksum_ctl(struct nids_chksum_ctl *rules, int count);

extern struct nids_prm nids_params;
extern char *nids_warnings[];
extern char nids_errbuf[];
extern struct pcap_pkthdr *nids_last_pcap_header;
extern u_char *nids_last_pcap_data;
extern u_int nids_linkoffset;
extern struct tcp_timeout *nids_tcp_timeouts;

#ifdef __cplusplus
}
#endif
