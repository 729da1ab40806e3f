#!/bin/sh
# Installs what is missing, builds twice (as shipped, and with the sanitizers), runs all tests and
# closes with `N passed, N failed`. The exit status is 0 only if nothing failed.
#
# usage: scripts/test.sh [--quick]
#   --quick   one build, without the sanitizers, for the time between two edits

set -eu

cd "$(dirname "$0")/.."
quick=no
case ${1:-} in
  "") ;;
  --quick) quick=yes ;;
  *) sed -n 's/^# \{0,1\}//; 2,6p' "$0" >&2; exit 1 ;;
esac

# A build that fails is a test that failed: it counts, and the rest still runs.
broken=0

build() { # folder, meson's options
  folder=$1
  shift
  if [ ! -f "$folder/build.ninja" ]; then
    meson setup "$folder" "$@" || return 1
  fi
  ninja -C "$folder"
}

run_tests() { # folder, options of `meson test`
  folder=$1
  shift
  # What an earlier run left must not count for a test that dies before it reports.
  rm -f "$folder"/*.xml "$folder"/meson-logs/testlog*
  meson test -C "$folder" --no-rebuild --print-errorlogs "$@" || true
}

# After this, sum_tests.py speaks the last line even if nothing could be built.
folders=
if ! scripts/setup.sh build run test; then
  echo "0 passed, 1 failed"
  exit 1
fi

# -g1: lines for a stack trace. Variables too would cost a third of the compiler's time.
if build build-test --buildtype=debugoptimized -Dcpp_args=-g1; then
  run_tests build-test
  folders=build-test
else
  broken=$((broken + 1))
fi

if [ "$quick" = no ]; then
  if build build-asan -Db_sanitize=address,undefined -Db_lundef=false -Dperf=false \
    -Ddebug=true -Doptimization=1 -Dcpp_args="-D_GLIBCXX_ASSERTIONS -g1"; then
    ASAN_OPTIONS=${ASAN_OPTIONS:-detect_stack_use_after_return=1:strict_string_checks=1} \
    UBSAN_OPTIONS=${UBSAN_OPTIONS:-halt_on_error=1:print_stacktrace=1} \
      run_tests build-asan --no-suite lint --timeout-multiplier 4
    folders="$folders build-asan"
  else
    broken=$((broken + 1))
  fi
fi

echo
# The folders are two words at most, none with a blank.
# shellcheck disable=SC2086
exec python3 -B scripts/sum_tests.py --extra-failed "$broken" $folders
