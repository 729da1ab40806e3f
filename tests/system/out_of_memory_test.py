#!/usr/bin/env python3
"""Memory that is not to be had while a run goes on: each allocation fails in turn, alone and with
all that follow. The run does without, and then its output is the same as ever; or it ends with a
sentence and a status of its own, and what it has written is whole. It never crashes, nor hangs.
usage: out_of_memory_test.py FLOWLOOM FAILING_MALLOC
"""
import os
import pathlib
import subprocess
import sys

from support import SAMPLE, Checks, contents, fresh, scratch

PATIENCE = 30
RUNS = 120  # of each kind: CI's share of all allocations there are
ALL_FURTHER = 1_000_000_000


def run(flowloom, library, out, options, **environment):
    environment = {key: str(value) for key, value in environment.items()}
    return subprocess.run([flowloom, "read", SAMPLE, "-q", "-o", fresh(out), *options], check=False,
                          env=os.environ | {"LD_PRELOAD": library} | environment,
                          stdin=subprocess.DEVNULL, capture_output=True, timeout=PATIENCE)


def check_options(checks, flowloom, library, folder, options):
    out, counted = folder / "out", folder / "count"
    what = " ".join(options)
    expected = run(flowloom, library, out, options, FAIL_COUNT=counted)
    files, allocations = contents(out), int(counted.read_text(encoding="ascii"))
    checks.equal(0, expected.returncode, f"{what}: nothing fails: {expected.stderr}")
    checks.that(allocations > 50, f"{what}: {allocations} allocations")
    statuses = {}
    for number in range(1, allocations + 1, max(1, allocations // RUNS)):
        for more in (0, ALL_FURTHER):
            name = f"{what}, allocation {number}, {more} more"
            ran = run(flowloom, library, out, options, FAIL_AT=number, FAIL_MORE=more)
            statuses[ran.returncode] = statuses.get(ran.returncode, 0) + 1
            if ran.returncode == 0:
                checks.that(ran.stdout == expected.stdout and contents(out) == files,
                            f"{name}: as if nothing had been")
                continue
            checks.that(ran.returncode in (1, 2, 3, 4), f"{name}: {ran.returncode}, {ran.stderr}")
            checks.that(ran.stderr.startswith(b"flowloom: "), f"{name}: says {ran.stderr}")
            check_part(checks, out, files, name)
    checks.that(statuses.get(4, 0) > 0, f"{what}: no failure was seen: {statuses}")
    print(f"{what}: {allocations} allocations, statuses {statuses}")


def check_part(checks, out, files, name):
    """What is there of the records is theirs, line by line; the last may have been cut."""
    path = pathlib.Path(out) / "flows.jsonl"
    if not path.exists():
        return
    lines = path.read_bytes().split(b"\n")[:-1]
    checks.that(set(lines) <= set(files["flows.jsonl"].split(b"\n")), f"{name}: records")


def main():
    flowloom, library = (os.path.abspath(name) for name in sys.argv[1:])
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        for options in (["--workers", "1"],
                        ["--workers", "2", "--sha256", "--write", "flows,pack,alerts,pcap"]):
            check_options(checks, flowloom, library, folder, options)
    checks.finish()


if __name__ == "__main__":
    main()
