#!/bin/bash
# Records samples/scans/*.pcap.gz: nmap's scans over a virtual link between two network namespaces,
# one capture for each kind, named after it. Nothing leaves the namespaces; both are gone at the
# end, however the script ends. Needs root, and the packages of setup.sh's group sample.
#
# usage: make_scans.sh [FOLDER]

set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/samples/scans}
scanner_ns=flowloom-scanner-$$
target_ns=flowloom-target-$$
target4=192.0.2.1 target6=2001:db8::1
silent_net=198.51.100.0/24 # behind the target, which drops everything for it
ports=1-60                 # 22 and 53 are open, all others refuse
work=

fail() {
  echo "make_scans.sh: $*" >&2
  exit 1
}

cleanup() {
  local ns pid
  for ns in "$scanner_ns" "$target_ns"; do
    # Only this run's programs live in its namespaces.
    for pid in $(ip netns pids "$ns" 2>/dev/null); do
      kill "$pid" 2>/dev/null || true
    done
    ip netns del "$ns" 2>/dev/null || true
  done
  if [ -n "$work" ]; then rm -rf "$work"; fi
}

make_end() { # namespace, its addresses
  ip -n "$1" link set lo up
  ip -n "$1" addr add "$2/24" dev link0
  ip -n "$1" addr add "$3/64" dev link0 nodad
  ip netns exec "$1" ethtool -K link0 tx off rx off tso off gso off gro off >/dev/null
  ip -n "$1" link set link0 up
}

make_link() {
  ip netns add "$scanner_ns"
  ip netns add "$target_ns"
  ip -n "$scanner_ns" link add link0 type veth peer name link0 netns "$target_ns"
  make_end "$scanner_ns" 192.0.2.10 2001:db8::10
  make_end "$target_ns" "$target4" "$target6"
  ip -n "$scanner_ns" route add "$silent_net" via "$target4"
  ip -n "$target_ns" route add blackhole "$silent_net"
  ip netns exec "$target_ns" sysctl -qw net.ipv4.ip_forward=1
}

start_servers() {
  local port
  for port in 22 53; do
    ip netns exec "$target_ns" python3 -c "
import socket
s = socket.create_server(('::', $port), family=socket.AF_INET6, dualstack_ipv6=True)
while True:
    s.accept()[0].recv(1)" &
  done
  sleep 0.5
}

record() { # name, then the arguments of nmap
  local name=$1 recorder
  shift
  ip netns exec "$target_ns" tcpdump -n -i link0 -w "$work/$name.pcap" -Z root -U \
    --immediate-mode tcp or ip6 or 'ip[6:2] & 0x3fff != 0' 2>"$work/log" &
  recorder=$!
  until grep -q "listening on" "$work/log"; do sleep 0.05; done
  ip netns exec "$scanner_ns" nmap -n -Pn --max-retries 1 "$@" >"$work/nmap.log" ||
    fail "nmap $*: $(cat "$work/nmap.log")"
  sleep 0.5
  kill -TERM "$recorder"
  wait "$recorder" || true
  grep -q "^0 packets dropped by kernel" "$work/log" || fail "tcpdump lost packets of $name"
  gzip -9n "$work/$name.pcap"
  mv "$work/$name.pcap.gz" "$out/"
}

[ "$(id -u)" = 0 ] || fail "needs root, to make network namespaces"
trap cleanup EXIT
work=$(mktemp -d)
mkdir -p "$out"
make_link
start_servers
record syn -sS -p $ports $target4
record connect -sT -p $ports $target4
record fin -sF -p $ports $target4
record null -sN -p $ports $target4
record xmas -sX -p $ports $target4
record maimon -sM -p $ports $target4
record ack -sA -p $ports $target4
record window -sW -p $ports $target4
record syn-ipv6 -6 -sS -p $ports $target6
record syn-fragments -f -sS -p $ports $target4
record syn-silent -sS -p $ports 198.51.100.7
record connect-silent -sT -p $ports 198.51.100.7
record ack-silent -sA -p $ports 198.51.100.7
record fin-silent -sF -p $ports 198.51.100.7
record syn-hosts -sS -p 80 198.51.100.0/26
record connect-hosts -sT -p 80 198.51.100.0/26
record syn-few -sS -p 1-10 $target4
