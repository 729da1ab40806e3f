#!/bin/sh
# Shows or sets the number of huge pages. flowloom runs without any; with them, a NIC's packet
# pools cost fewer TLB misses.
#
# usage: scripts/hugepages.sh                       shows what there is
#        scripts/hugepages.sh set COUNT [SIZE_KB]   COUNT pages of SIZE_KB (default: the kernel's)

set -eu

sizes=/sys/kernel/mm/hugepages

show() {
  for folder in "$sizes"/hugepages-*kB; do
    [ -d "$folder" ] || { echo "this kernel has no huge pages"; return 0; }
    size=${folder##*/hugepages-}
    printf '%12s: %s pages, %s free\n' "$size" "$(cat "$folder/nr_hugepages")" \
      "$(cat "$folder/free_hugepages")"
  done
  awk '$3 == "hugetlbfs" { print "  mounted on " $2; found = 1 }
       END { if (!found) print "  not mounted (not needed with --in-memory)" }' \
    /proc/mounts
}

is_number() {
  case $1 in
    "" | *[!0-9]*) return 1 ;;
  esac
}

set_pages() { # count, size in kB
  target=$sizes/hugepages-${2}kB/nr_hugepages
  if [ ! -e "$target" ]; then
    echo "hugepages.sh: this kernel has no pages of $2 kB" >&2
    exit 1
  fi
  if [ -w "$target" ]; then
    echo "$1" >"$target"
  elif command -v sudo >/dev/null 2>&1; then
    echo "$1" | sudo tee "$target" >/dev/null
  else
    echo "hugepages.sh: setting pages needs root" >&2
    exit 1
  fi
  got=$(cat "$target")
  if [ "$got" -ne "$1" ]; then
    # Memory that is in use in small pieces cannot become large pages.
    echo "hugepages.sh: the kernel gave $got of $1 pages; try after a reboot" >&2
    exit 1
  fi
}

case ${1:-show} in
  show) show ;;
  set)
    default=$(awk '$1 == "Hugepagesize:" { print $2 }' /proc/meminfo)
    count=${2:-} size=${3:-$default}
    if ! is_number "$count" || ! is_number "$size"; then
      echo "usage: scripts/hugepages.sh set COUNT [SIZE_KB]" >&2
      exit 1
    fi
    set_pages "$count" "$size"
    show
    ;;
  *) echo "usage: scripts/hugepages.sh [show | set COUNT [SIZE_KB]]" >&2; exit 1 ;;
esac
