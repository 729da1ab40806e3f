#!/bin/sh
# Runs what has several threads under the thread sanitizer: tests of export, runtime, writers and
# interfaces, then the program itself with 1, 2 and 4 workers over made captures and live. A report
# ends a program with a status of its own, which fails its test. Minutes, not seconds: not part of
# CI.
#
# usage: scripts/tsan.sh [CONVERSATIONS]
#   CONVERSATIONS   of the random captures (default 2000)

set -eu

cd "$(dirname "$0")/.."
case ${1:-} in
  -*) sed -n 's/^# \{0,1\}//; 2,9p' "$0" >&2; exit 1 ;;
esac
conversations=${1:-2000}
folder=build-tsan
tests="export_test engine_test hand_over_test runtime_test io_test sinks_test extractor_test"
tests="$tests compat_test"

if [ ! -f "$folder/build.ninja" ]; then
  meson setup "$folder" -Db_sanitize=thread -Db_lundef=false -Ddebug=true -Doptimization=1 \
    -Dcpp_args=-g1
fi
programs=
for name in $tests; do programs="$programs tests/$name"; done
# shellcheck disable=SC2086 # several words
ninja -C "$folder" app/flowloom perf/flowloom-gen $programs

options=halt_on_error=1:second_deadlock_stack=1:suppressions=$PWD/tests/tsan.supp
export TSAN_OPTIONS="${TSAN_OPTIONS:-$options}"
passed=0
failed=0
run() {
  echo "== $*"
  if "$@"; then passed=$((passed + 1)); else failed=$((failed + 1)); fi
}

for name in $tests; do run "$folder/tests/$name" --gtest_brief=1; done
flowloom=$folder/app/flowloom
generator=$folder/perf/flowloom-gen
run python3 -B tests/system/random_conversations_test.py "$flowloom" "$generator" 1 "$conversations"
for name in determinism live live_pressure pack packets; do
  run python3 -B "tests/system/${name}_test.py" "$flowloom" "$generator"
done
echo "$passed passed, $failed failed"
[ $failed -eq 0 ]
