#!/bin/sh
# From a fresh Debian 12 to streams on disk: installs what is missing, builds, and runs the main
# job, the DPDK data path, on the shipped sample capture.

set -eu

cd "$(dirname "$0")/.."
sample=samples/sample.pcap
out=out/sample
flowloom=build/app/flowloom

scripts/setup.sh build run

if [ ! -f build/build.ninja ]; then
  # Meson's long report is of interest only when it failed.
  if ! report=$(meson setup build --buildtype=release -Dtests=false -Dperf=false 2>&1); then
    printf '%s\n' "$report" >&2
    exit 1
  fi
fi
ninja -C build app/flowloom

echo
echo "\$ $flowloom run --vdev net_pcap0,rx_pcap=$sample -- -o $out --force"
status=0
$flowloom run --vdev "net_pcap0,rx_pcap=$sample" -- -o "$out" --force || status=$?
if [ "$status" -ne 0 ]; then
  echo "run.sh: flowloom ended with status $status" >&2
  exit "$status"
fi

cat <<TEXT

Written:
  $out/streams/      one file per connection and direction
  $out/flows.jsonl   one record per connection
  $out/stats.json    what became of every packet and byte

For everyday use, without root, hugepages or a NIC:
  $flowloom read CAPTURE... -o DIR
TEXT
