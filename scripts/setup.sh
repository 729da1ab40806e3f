#!/bin/sh
# Installs what flowloom needs on Debian 12, and is the only place that installs packages.
# A second run finds everything in place, changes nothing and ends at once.

set -eu

usage() {
  cat <<'USAGE'
usage: scripts/setup.sh [--check] [GROUP...]

Installs the packages of the named groups (default: all) on Debian 12.

  build    compiler, build system and the libraries flowloom is made of
  run      what a built flowloom loads when it starts
  test     the test and benchmark libraries, and tools that tests call
  sample   the programs whose traffic scripts/make_sample.sh records
  compare  what perf/ measures flowloom against

  --check  only print what is missing; exit status 1 if anything is
USAGE
}

# A line: packages, then the reason they are here.
packages_of() {
  case $1 in
    build) cat <<'LIST'
g++ meson ninja-build pkg-config   # the compiler and the build
libdpdk-dev                        # packet I/O, rings
libpcap-dev                        # kernel interfaces, the filter compiler
libtbb-dev                         # oneTBB: the writers' heavy work
libarchive-dev zlib1g-dev          # gzip, xz, zstd and lz4 captures
libssl-dev                         # digests
libcurl4-openssl-dev               # the writer couchdb
libxxhash-dev libzstd-dev          # packed streams: checksums, compression
prometheus-cpp-dev                 # --metrics
libcap-ng-dev                      # giving up privileges
libboost-dev                       # Boost.Intrusive, headers only
libcli11-dev                       # the command line
libfmt-dev libspdlog-dev           # text and log
rapidjson-dev                      # JSON lines
scdoc                              # the manual page
python3-dev pybind11-dev           # the Python modules
LIST
      ;;
    run) cat <<'LIST'
librte-bus-vdev23                  # --vdev
librte-mempool-ring23              # the plugin without which no packet pool can be made
librte-net-pcap23                  # net_pcap: replay of captures
librte-net-ring23                  # net_ring: traffic from memory
librte-net-null23                  # net_null: the floor of a measurement
librte-net-af-packet23             # net_af_packet: a kernel interface as a DPDK port
libcurl4                           # the writer couchdb loads it
libprometheus-cpp-pull1.0          # --metrics
libcap-ng0                         # giving up privileges
LIST
      ;;
    test) cat <<'LIST'
libgtest-dev libgmock-dev          # unit, property, script and golden tests
libbenchmark-dev                   # perf/
python3                            # lints and helpers, standard library only
iproute2 ethtool                   # virtual links of the live tests
nginx-light curl openssl iperf3    # whose traffic they capture
gzip xz-utils zstd lz4             # made captures in every compression
libnids1.21 binutils               # what the drop-in is held against
python3-scapy python3-dpkt         # second opinions on the Python module (GPL, BSD)
dsniff tcpslice                    # programs that run on it
valgrind                           # counts instructions a packet
prometheus                         # promtool, which checks the metrics
LIST
      ;;
    sample) cat <<'LIST'
python3 iproute2 ethtool           # the two namespaces and their link
tcpdump                            # the recorder
nmap                               # the scans of make_scans.sh
tshark                             # checks that the recording lost nothing
nginx-light curl openssl           # web and TLS traffic
netcat-openbsd                     # an echo service
LIST
      ;;
    compare) cat <<'LIST'
libnids-dev                        # GPL: only a client of its own is linked to it
python3-matplotlib                 # draws the curves
LIST
      ;;
    *)
      echo "setup.sh: unknown group '$1' (build, run, test, sample, compare)" >&2
      return 1
      ;;
  esac
}

# Prints the packages of the list that are not installed, one a line.
missing_of() {
  installed=$(dpkg-query -W -f='${db:Status-Abbrev} ${Package}\n' "$@" 2>/dev/null |
    sed -n 's/^.i  *//p') || true
  for package in "$@"; do
    printf '%s\n' "$installed" | grep -Fqx -- "$package" || printf '%s\n' "$package"
  done
}

become_root() {
  if [ "$(id -u)" -eq 0 ]; then
    as_root=
  elif command -v sudo >/dev/null 2>&1; then
    as_root=sudo
  else
    echo "setup.sh: packages are missing and neither root nor sudo is at hand. As root, run:" >&2
    echo "  apt-get update && apt-get install --no-install-recommends" "$@" >&2
    exit 1
  fi
}

# Debian starts a service as soon as it is installed; scripts and tests start their own, so those
# that came only for them stay off.
keep_services_off() {
  [ -d /run/systemd/system ] || return 0
  for service in nginx prometheus; do
    case " $* " in
      *" $service "* | *" $service-light "*)
        $as_root systemctl disable --now "$service.service" >/dev/null 2>&1 || true ;;
    esac
  done
}

# A CouchDB for the test of the writer couchdb, where Node.js is at hand. Without it that test has a
# server of its own alone, so a failure here is none of the setup.
install_pouchdb() {
  case " ${groups:-test} " in
    *" test "*) ;;
    *) return 0 ;;
  esac
  folder=${XDG_CACHE_HOME:-$HOME/.cache}/flowloom/npm
  if [ "$check_only" = yes ] || [ -x "$folder/node_modules/.bin/pouchdb-server" ] ||
      ! command -v npm >/dev/null 2>&1; then
    return 0
  fi
  echo "setup: installing pouchdb-server into $folder"
  npm install --prefix "$folder" --no-audit --no-fund --ignore-scripts --loglevel=error \
    pouchdb-server@4.2.0 || echo "setup: no pouchdb-server" >&2
}

check_only=no
groups=
for argument in "$@"; do
  case $argument in
    -h | --help) usage; exit 0 ;;
    --check) check_only=yes ;;
    -*) usage >&2; exit 1 ;;
    *) groups="$groups $argument" ;;
  esac
done

wanted=
for group in ${groups:-build run test sample compare}; do
  list=$(packages_of "$group") || exit 1
  wanted="$wanted $(printf '%s\n' "$list" | sed 's/#.*//')"
done

# The lists are words without blanks or globs; splitting them is the point from here on.
if ! command -v dpkg-query >/dev/null 2>&1; then
  # shellcheck disable=SC2086
  echo "setup.sh: this is not Debian; install the equivalents of:" $wanted >&2
  exit 1
fi

# shellcheck disable=SC2086
missing=$(missing_of $wanted | sort -u)

if [ -z "$missing" ]; then
  install_pouchdb
  echo "setup: nothing to install"
  exit 0
fi
if [ "$check_only" = yes ]; then
  printf '%s\n' "$missing"
  exit 1
fi

# shellcheck disable=SC2086
become_root $missing
# shellcheck disable=SC2086
echo "setup: installing" $missing
export DEBIAN_FRONTEND=noninteractive
$as_root apt-get -q update
# shellcheck disable=SC2086
$as_root env DEBIAN_FRONTEND=noninteractive \
  apt-get -q -y install --no-install-recommends $missing
# shellcheck disable=SC2086
keep_services_off $missing
install_pouchdb
echo "setup: done"
