#!/bin/bash
# Records samples/sample.pcap: real programs talking over a virtual link between two network
# namespaces, and samples/sample.truth.json: what those programs say they sent and received.
# Nothing leaves the namespaces; both are gone at the end, however the script ends.

set -euo pipefail

root=$(cd "$(dirname "$0")/.." && pwd)
out=${1:-$root/samples}
client_ns=flowloom-client-$$
server_ns=flowloom-server-$$
client4=192.0.2.10 server4=192.0.2.1
client6=2001:db8::10 server6=2001:db8::1
work=

fail() {
  echo "make_sample.sh: $*" >&2
  exit 1
}

cleanup() {
  local ns pid
  for ns in "$client_ns" "$server_ns"; do
    # Only this run's programs live in its namespaces.
    for pid in $(ip netns pids "$ns" 2>/dev/null); do
      kill "$pid" 2>/dev/null || true
    done
    ip netns del "$ns" 2>/dev/null || true
  done
  if [ -n "$work" ]; then rm -rf "$work"; fi
}

client() { ip netns exec "$client_ns" "$@"; }
server() { ip netns exec "$server_ns" "$@"; }
# In the background, the program itself and no shell around it: what $! names can be killed.
serve() { exec ip netns exec "$server_ns" "$@"; }

make_end() { # namespace, its addresses
  local ns=$1 four=$2 six=$3
  ip -n "$ns" link set lo up
  ip -n "$ns" addr add "$four/24" dev link0
  ip -n "$ns" addr add "$six/64" dev link0 nodad
  # Real checksums and frames no larger than the wire's: all offloads off.
  ip netns exec "$ns" ethtool -K link0 tx off rx off tso off gso off gro off >/dev/null
  ip -n "$ns" link set link0 up
}

make_link() {
  ip netns add "$client_ns"
  ip netns add "$server_ns"
  ip -n "$client_ns" link add link0 type veth peer name link0 netns "$server_ns"
  make_end "$client_ns" "$client4" "$client6"
  make_end "$server_ns" "$server4" "$server6"
}

wait_for() { # a description, then the command that must succeed within 5 s
  local what=$1
  shift
  for _ in $(seq 100); do
    if "$@" >/dev/null 2>&1; then return 0; fi
    sleep 0.05
  done
  fail "$what did not come up"
}

# Looks at the socket table, so that no probe becomes a connection of the sample.
listens() { server ss -Hltn "sport = :$1" | grep -q .; }

start_recorder() {
  serve tcpdump -n -i link0 -w "$work/sample.pcap" -Z root -U --immediate-mode \
    2>"$work/tcpdump.log" &
  recorder=$!
  wait_for tcpdump grep -q "listening on" "$work/tcpdump.log"
}

stop_recorder() {
  sleep 0.5 # the last FINs
  kill -TERM "$recorder"
  wait "$recorder" || true
  grep -q "^0 packets dropped by kernel" "$work/tcpdump.log" || fail "tcpdump lost packets"
}

start_web_server() {
  mkdir "$work/www" "$work/nginx"
  python3 "$root/scripts/sample_content.py" "$work/www"
  cat >"$work/nginx.conf" <<CONF
user root; daemon off; master_process off; pid $work/nginx/pid; error_log $work/nginx/error;
events {}
http {
  access_log off; server_tokens off; gzip on; gzip_types text/plain;
  types { text/html html; text/css css; text/plain txt; image/png png; }
  client_body_temp_path $work/nginx/body; proxy_temp_path $work/nginx/proxy;
  fastcgi_temp_path $work/nginx/fastcgi; uwsgi_temp_path $work/nginx/uwsgi;
  scgi_temp_path $work/nginx/scgi;
  server { listen $server4:80; listen [$server6]:80; root $work/www; }
}
CONF
  serve nginx -e "$work/nginx/error" -p "$work/nginx" -c "$work/nginx.conf" &
  wait_for nginx listens 80
}

start_tls_server() {
  openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=sample.example \
    -keyout "$work/key.pem" -out "$work/cert.pem" 2>/dev/null
  serve openssl s_server -accept "$server4:443" -rev -quiet \
    -key "$work/key.pem" -cert "$work/cert.pem" >/dev/null 2>&1 &
  wait_for "openssl s_server" listens 443
}

start_echo() {
  mkfifo "$work/echo"
  # The pipe is the echo; opened for both at once, because opening one end waits for the other.
  serve nc -l "$server4" 7 <>"$work/echo" >&0 &
  wait_for nc listens 7
}

# A connection whose program leaves a trace: name, ports, description, how it ends.
describe() { # name, client, server, what, close
  printf '{"client": "%s", "server": "%s", "what": "%s", "close": "%s"}\n' \
    "$2" "$3" "$4" "$5" >"$work/truth/$1.meta.json"
}

fetch4() { # local port, curl's arguments
  local port=$1
  shift
  describe "curl$port" "$client4:$port" "$server4:80" "curl ${*//http:\/\/$server4/}" fin
  client curl -sS --noproxy '*' --interface "$client4" --local-port "$port" \
    --trace "$work/truth/curl$port.curl" "$@" >"$work/body$port"
}

fetch6() {
  local port=$1
  shift
  describe "curl$port" "[$client6]:$port" "[$server6]:80" "curl ${*//http:\/\/\[$server6\]/}" fin
  client curl -sS --noproxy '*' --interface "$client6" --local-port "$port" \
    --trace "$work/truth/curl$port.curl" "$@" >"$work/body$port"
}

web_traffic() {
  local v4=http://$server4 v6="http://[$server6]"
  fetch4 40001 -H "Connection: close" "$v4/index.html"
  fetch4 40002 "$v4/index.html" "$v4/style.css" "$v4/notes.txt" "$v4/missing.html" \
    "$v4/empty.txt"
  fetch4 40003 "$v4/picture.png"
  cmp "$work/body40003" "$work/www/picture.png" || fail "curl got another picture"
  fetch6 40004 "$v6/index.html" "$v6/style.css"
  fetch6 40005 --compressed "$v6/notes.txt"
  cmp "$work/body40005" "$work/www/notes.txt" || fail "curl got other notes"
  # Three at once, so that connections interleave in the capture.
  local running=()
  fetch4 40006 "$v4/one.txt" & running+=($!)
  fetch6 40007 "$v6/two.txt" & running+=($!)
  fetch6 40008 -I "$v6/three.txt" & running+=($!)
  wait "${running[@]}"
}

refused_traffic() {
  describe refused "[$client6]:40009" "[$server6]:81" "curl, connection refused" rst
  if client curl -s --noproxy '*' --interface "$client6" --local-port 40009 \
    "http://[$server6]:81/"; then
    fail "port 81 answered"
  fi
}

tls_traffic() {
  describe tls "$client4:40010" "$server4:443" "openssl s_client to s_server -rev" fin
  { printf 'never odd or even\n'; sleep 0.3; printf 'a stream of bytes\n'; sleep 0.3; } |
    client stdbuf -oL openssl s_client -connect "$server4:443" -bind "$client4:40010" -debug \
      >"$work/truth/tls.openssl" 2>/dev/null
}

own_traffic() {
  local talk=$root/scripts/sample_talk.py served
  client python3 "$talk" call "$server4" 7 reset "$work/truth/reset.json" "$client4" 40011

  serve python3 "$talk" serve "$server6" 7001 upload "$work/truth/upload.server.json" &
  served=$!
  wait_for "the upload server" listens 7001
  client python3 "$talk" call "$server6" 7001 upload "$work/truth/upload.json" "$client6" 40012
  wait "$served"

  serve python3 "$talk" serve "$server4" 7002 dialog "$work/truth/dialog.server.json" &
  served=$!
  wait_for "the dialog server" listens 7002
  client python3 "$talk" call "$server4" 7002 dialog "$work/truth/dialog.json" "$client4" 40013
  wait "$served"
}

main() {
  [ "$(id -u)" -eq 0 ] || fail "needs root for network namespaces: sudo scripts/make_sample.sh"
  for tool in ip ss ethtool tcpdump tshark nginx curl openssl nc python3; do
    command -v "$tool" >/dev/null || fail "'$tool' is missing: scripts/setup.sh sample"
  done
  trap cleanup EXIT
  trap 'exit 130' INT TERM
  work=$(mktemp -d)
  mkdir "$work/truth"
  make_link
  start_web_server
  start_tls_server
  start_echo
  start_recorder
  web_traffic
  refused_traffic
  tls_traffic
  own_traffic
  stop_recorder
  python3 "$root/scripts/sample_truth.py" collect "$work/truth" "$work/truth.json"
  python3 "$root/scripts/sample_truth.py" check "$work/sample.pcap" "$work/truth.json" ||
    fail "the recording is not kept; a busy machine makes TCP repeat, so try again"
  mkdir -p "$out"
  cp "$work/sample.pcap" "$out/sample.pcap"
  cp "$work/truth.json" "$out/sample.truth.json"
  echo "make_sample: $out/sample.pcap, $(stat -c %s "$out/sample.pcap") bytes"
}

main
