#!/usr/bin/env python3
"""Measures what writing costs: flowloom's outputs beside what they cannot do without.

For each capture, in turns: the run that only counts (--write none), the one that packs
(--write pack), and the one with a file per direction (the default). CPU time (user and system) of
the whole process, medians over the rounds. `bound` is the same folder made again by a program that
does nothing else (flowloom-write-bound). Captures and output lie on tmpfs. The host of a virtual
machine takes free memory away, and who needs it next pays for that: flowloom's runs find what the
files of the round before left, and the bound takes its own before it is measured.

  scripts/compare_writing.py --build BUILDDIR [--rounds 5] [--scale 1] [--markdown PAGE]
"""
import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile

import compare_peers
from report_page import markdown_table, replace_blocks

KINDS = ("many", "bulk")
OUTPUTS = {"none": ["--write", "none"], "pack": ["--write", "pack"], "files": []}
HEADER = ("capture", "output", "files", "CPU s", "+-", "bound s", "x none", "x bound")


def flowloom_run(options, output, capture, folder):
    """CPU seconds of one run into `folder`."""
    process = subprocess.Popen(
        [os.path.join(options.build, "app/flowloom"), "read", "--workers", "1", "-q",
         *OUTPUTS[output], "-o", folder, capture], stdout=subprocess.DEVNULL)
    _, status, usage = os.wait4(process.pid, 0)
    if os.waitstatus_to_exitcode(status) != 0:
        sys.exit(f"flowloom failed with --write {output}")
    return usage.ru_utime + usage.ru_stime


def bound_run(options, folder, copy):
    """What the same files cost at least: {"files", "bytes", "cpu_s"}."""
    program = os.path.join(options.build, "perf/flowloom-write-bound")
    done = subprocess.run([program, folder, copy], check=True, capture_output=True, text=True)
    return json.loads(done.stdout)


def measure(options, capture, place):
    """Per output: the runs, and those of the bound."""
    runs = {output: [] for output in OUTPUTS}
    bounds = {output: [] for output in OUTPUTS if output != "none"}
    for _ in range(options.rounds):
        for output in OUTPUTS:
            folder, copy = (os.path.join(place, name) for name in ("out", "copy"))
            runs[output].append(flowloom_run(options, output, capture, folder))
            if output in bounds:
                bounds[output].append(bound_run(options, folder, copy))
            for name in (folder, copy):
                shutil.rmtree(name, ignore_errors=True)
    return runs, bounds


def rows_of(kind, runs, bounds):
    none = statistics.median(runs["none"])
    for output, seconds in runs.items():
        cpu = statistics.median(seconds)
        spread = statistics.median(abs(s - cpu) for s in seconds)
        bound = statistics.median(b["cpu_s"] for b in bounds[output]) if output in bounds else None
        files = f"{bounds[output][0]['files']:,}" if bound else "-"
        yield (kind, output, files, f"{cpu:.2f}", f"{spread:.2f}",
               f"{bound:.2f}" if bound else "-", f"{cpu / none:.2f}",
               f"{cpu / bound:.2f}" if bound else "-")


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", metavar="DIR", required=True)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--scale", type=float, default=1.0, help="size of the captures")
    parser.add_argument("--kinds", default=",".join(KINDS), help="default: %(default)s")
    parser.add_argument("--dir", default="/dev/shm", help="default: %(default)s")
    parser.add_argument("--markdown", metavar="FILE", help="page whose table is replaced")
    options = parser.parse_args()
    options.kinds = options.kinds.split(",")
    options.gen, options.ipv6 = None, False
    return options


def main():
    options = parse_options()
    rows = []
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="flowloom-writing-") as place:
        for kind, capture in compare_peers.make_captures(options, place).items():
            rows += rows_of(kind, *measure(options, capture, place))
    print(markdown_table(HEADER, rows, left=2))
    if options.markdown:
        replace_blocks(options.markdown, "writing", [("table", markdown_table(HEADER, rows, 2))])
    return 0


if __name__ == "__main__":
    sys.exit(main())
