#!/usr/bin/env python3
"""Holds the instructions that a packet costs against a committed count.

A time depends on the machine and on who else uses it; how many instructions a fixed input costs
does not. flowloom reads made captures under valgrind (callgrind), once whole and once next to
nothing of it, so that starting up falls out of the difference. Processors differ in what the C
library and the checksum choose for them: valgrind knows nothing beyond AVX2, so all come to the
same.

  scripts/instruction_gate.py --flowloom F --gen G             compares; exit status 1 where a
                                                               packet costs more than it may
  scripts/instruction_gate.py --flowloom F --gen G --update    writes what is counted now
"""
import argparse
import collections
import json
import pathlib
import re
import subprocess
import sys
import tempfile

BASELINE = pathlib.Path(__file__).resolve().parents[1] / "perf" / "instructions.json"
TOLERANCE = 0.02
# Kinds of the generator, and sizes that make some 50,000 packets of each.
WORKLOADS = {"many": "1/40", "bulk": "1/20", "tiny": "1/60", "messy": "1/40", "syn": "1/100"}
NEXT_TO_NOTHING = "1/10000"
# So small a table that SYNs wait in compact form, and are evicted.
OPTIONS = {"syn": ["--max-flows", "20000"]}

Row = collections.namedtuple("Row", "kind counted allowed")


def instructions_in(report):
    """The total that callgrind prints."""
    found = re.search(r"Collected : (\d+)", report)
    if not found:
        raise SystemExit(f"callgrind counted nothing:\n{report[-2000:]}")
    return int(found[1])


def count(flowloom, capture, options, folder):
    command = ["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/callgrind.out",
               flowloom, "read", "--write", "none", "--workers", "1", "-q", *options, capture]
    ran = subprocess.run(command, check=False, capture_output=True, text=True, timeout=300)
    if ran.returncode != 0:
        raise SystemExit(f"{' '.join(command)}: exit {ran.returncode}\n{ran.stderr[-2000:]}")
    return instructions_in(ran.stderr)


def make(gen, kind, size, folder):
    """A capture, and how many packets it has."""
    path = f"{folder}/{kind}-{size.replace('/', '-')}.pcap"
    subprocess.run([gen, kind, path, "-n", size], check=True, stdout=subprocess.DEVNULL)
    return path, json.loads(pathlib.Path(path + ".truth.json").read_text())["packets"]


def per_packet(flowloom, gen, kind, folder):
    whole, packets = make(gen, kind, WORKLOADS[kind], folder)
    little, few = make(gen, kind, NEXT_TO_NOTHING, folder)
    options = OPTIONS.get(kind, [])
    more = count(flowloom, whole, options, folder) - count(flowloom, little, options, folder)
    return more / (packets - few)


def judge(counted, baseline, tolerance=TOLERANCE):
    """Rows of what was counted, and the complaints about them."""
    rows, complaints = [], []
    for kind, value in counted.items():
        allowed = baseline.get(kind)
        rows.append(Row(kind, value, allowed))
        if allowed is None:
            complaints.append(f"{kind}: no committed count; --update writes one")
        elif value > allowed * (1 + tolerance):
            complaints.append(f"{kind}: {value:.0f} instructions a packet, "
                              f"{100 * (value / allowed - 1):.1f} % above the committed "
                              f"{allowed:.0f} (allowed {100 * tolerance:.0f} %)")
    return rows, complaints


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flowloom", required=True)
    parser.add_argument("--gen", required=True)
    parser.add_argument("--update", action="store_true")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="flowloom-gate-") as folder:
        counted = {kind: per_packet(options.flowloom, options.gen, kind, folder)
                   for kind in WORKLOADS}
    if options.update:
        BASELINE.write_text(json.dumps({k: round(v) for k, v in counted.items()}, indent=2) + "\n")
    rows, complaints = judge(counted, json.loads(BASELINE.read_text()))
    print(f"{'workload':<10}{'counted':>9}{'committed':>11}   instructions a packet")
    for row in rows:
        print(f"{row.kind:<10}{row.counted:>9.1f}{row.allowed or 0:>11}")
    for complaint in complaints:
        print(f"FAILED {complaint}")
    print(f"{len(rows) - len(complaints)} checks passed, {len(complaints)} failed")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
