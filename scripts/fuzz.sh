#!/bin/sh
# Hunts with hostile bytes under the address and undefined-behaviour sanitizers: libFuzzer where
# clang has it, else the driver that the tests use. Starts from tests/fuzz/corpus; what libFuzzer
# learns stays in build-fuzz/corpus. An input that breaks something is left in build-fuzz/found.
#
# usage: scripts/fuzz.sh [SECONDS] [TARGET...]
#   SECONDS   for each target (default 120)
#   TARGET    decode, defragment, segments, pipeline, capture, pack, scans, nids (default: all)

set -eu

cd "$(dirname "$0")/.."
case ${1:-} in
  -*) sed -n 's/^# \{0,1\}//; 2,8p' "$0" >&2; exit 1 ;;
esac
seconds=${1:-120}
[ $# -eq 0 ] || shift
[ $# -gt 0 ] || set -- decode defragment segments pipeline capture pack scans nids

folder=build-fuzz
probe=$(mktemp -d)
trap 'rm -rf "$probe"' EXIT
printf 'extern "C" int LLVMFuzzerTestOneInput(const char*, unsigned long) { return 0; }\n' \
  > "$probe/probe.cpp"
driver=libfuzzer
clang++ -fsanitize=fuzzer,address "$probe/probe.cpp" -o "$probe/probe" 2> "$probe/why" ||
  driver=standalone

set_up() { # arguments of the compiler, further options of meson
  arguments=$1
  shift
  meson setup "$folder" -Db_sanitize=address,undefined -Db_lundef=false -Dperf=false \
    -Ddebug=true -Doptimization=1 -Dcpp_args="-D_GLIBCXX_ASSERTIONS $arguments" "$@"
}

if [ ! -f "$folder/build.ninja" ]; then
  if [ $driver = libfuzzer ]; then
    CXX=clang++ set_up -fsanitize=fuzzer-no-link -Dlibfuzzer=true
  else
    set_up ""
  fi
fi

export ASAN_OPTIONS="${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1}"
export UBSAN_OPTIONS="${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1}"
mkdir -p "$folder/found"
failed=0
for target in "$@"; do
  ninja -C "$folder" "tests/fuzz/${target}_fuzz"
  program=$folder/tests/fuzz/${target}_fuzz
  seeds=tests/fuzz/corpus/$target
  echo "== $target: $seconds s, $driver"
  if [ $driver = libfuzzer ]; then
    mkdir -p "$folder/corpus/$target"
    "$program" "$folder/corpus/$target" "$seeds" -max_total_time="$seconds" -max_len=16384 \
      -timeout=20 -rss_limit_mb=4096 -print_final_stats=1 -verbosity=0 \
      -artifact_prefix="$folder/found/$target-" || failed=$((failed + 1))
  else
    "$program" "$seeds" --runs 1000000000 --seconds "$seconds" --seed "$(date +%s)" ||
      failed=$((failed + 1))
  fi
done
echo "$# targets, $failed failed"
[ $failed -eq 0 ]
