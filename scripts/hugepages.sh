#!/bin/sh
# Shows, reserves and releases huge pages. flowloom runs without any; with them, a NIC's packet
# pools cost fewer TLB misses.
#
# usage: scripts/hugepages.sh [show]
#        scripts/hugepages.sh reserve SIZE [--page PAGE] [--node N]
#        scripts/hugepages.sh release [--page PAGE] [--node N]
#
#   SIZE      memory to have as huge pages in all, as 1G or 512M
#   --page    size of the pages, as 2M or 1G (default: the kernel's)
#   --node    of this NUMA node only: the one of the NIC

set -eu

# A test puts a folder of its own here.
sysfs=${FLOWLOOM_SYSFS:-/sys}

fail() {
  echo "hugepages.sh: $1" >&2
  exit 1
}

usage() {
  sed -n '2,/^$/s/^# \{0,1\}//p' "$0"
}

# Kilobytes of "512M", "1G", "2048K"; fails for anything else.
kilobytes() {
  number=${1%[KMG]}
  case $number in
    "" | *[!0-9]* | ??????????*) fail "'$1' is no size such as 512M or 1G" ;;
  esac
  case $1 in
    *K) echo "$number" ;;
    *M) echo $((number * 1024)) ;;
    *G) echo $((number * 1024 * 1024)) ;;
    *) fail "'$1' is no size such as 512M or 1G" ;;
  esac
}

show() {
  found=no
  for folder in "$sysfs"/kernel/mm/hugepages/hugepages-*kB; do
    [ -d "$folder" ] || continue
    found=yes
    size=${folder##*/hugepages-}
    printf '%12s: %s pages, %s free\n' "$size" "$(cat "$folder/nr_hugepages")" \
      "$(cat "$folder/free_hugepages")"
    for node in "$sysfs"/devices/system/node/node*/hugepages/hugepages-"$size"; do
      [ -d "$node" ] || continue
      name=${node%/hugepages/*}
      printf '%12s  %s: %s pages, %s free\n' "" "${name##*/}" "$(cat "$node/nr_hugepages")" \
        "$(cat "$node/free_hugepages")"
    done
  done
  [ "$found" = yes ] || echo "this kernel has no huge pages"
  awk '$3 == "hugetlbfs" { print "  mounted on " $2; found = 1 }
       END { if (!found) print "  not mounted (not needed with --in-memory)" }' \
    /proc/mounts
}

set_pages() { # count; page size in kB and node are set
  if [ -n "$node" ]; then
    folder=$sysfs/devices/system/node/node$node/hugepages
    [ -d "$folder" ] || fail "there is no NUMA node $node with huge pages"
  else
    folder=$sysfs/kernel/mm/hugepages
  fi
  target=$folder/hugepages-${page}kB/nr_hugepages
  [ -e "$target" ] || fail "this kernel has no pages of $page kB"
  [ -w "$target" ] || fail "setting pages needs root"
  if ! (echo "$1" >"$target") 2>/dev/null; then fail "the kernel refused $1 pages"; fi
  got=$(cat "$target")
  if [ "$1" -eq 0 ] && [ "$got" -ne 0 ]; then
    fail "$got pages are in use and stay; they go when their user ends"
  fi
  # Memory that is in use in small pieces cannot become large pages.
  if [ "$got" -lt "$1" ]; then
    fail "the kernel gave $got of $1 pages; try again soon after a reboot"
  fi
}

command=${1:-show}
[ $# -eq 0 ] || shift
size='' page='' node=''
if [ "$command" = reserve ]; then
  [ $# -gt 0 ] || fail "how much? such as: scripts/hugepages.sh reserve 1G"
  size=$(kilobytes "$1")
  shift
fi
while [ $# -gt 0 ]; do
  [ $# -gt 1 ] || fail "'$1' is no option, or has no value; see --help"
  case $1 in
    --page) page=$(kilobytes "$2") ;;
    --node) node=$2 ;;
    *) fail "there is no option '$1'; see --help" ;;
  esac
  shift 2
done
case $node in *[!0-9]*) fail "'$node' is no NUMA node" ;; esac
if [ -z "$page" ]; then
  page=$(awk '$1 == "Hugepagesize:" { print $2 }' /proc/meminfo)
  [ -n "$page" ] || fail "this kernel has no huge pages"
fi

case $command in
  show) show ;;
  reserve)
    set_pages $(((size + page - 1) / page))
    show
    ;;
  release)
    set_pages 0
    show
    ;;
  -h | --help) usage ;;
  *) fail "there is no command '$command'; see --help" ;;
esac
