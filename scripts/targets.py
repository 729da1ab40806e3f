#!/usr/bin/env python3
"""The aims that flowloom's speed is held against, each measured: what is asked for, what was seen.

`flowloom bench` and `flowloom run`, one core unless said otherwise; the least of several rounds in
turns, because noise of a shared machine only adds. Comparisons with other tools and what writing
costs have scripts of their own (compare_peers.py, compare_writing.py).

  scripts/targets.py --build BUILDDIR [--rounds 3] [--seconds 1] [--markdown PAGE]
"""
import argparse
import json
import os
import re
import subprocess
import sys
import tempfile

from curves import run_bench
from report_page import markdown_table, replace_blocks

HEADER = ("#", "measure", "asked for", "measured", "met")
BENCHES = {
    "small 1M": ("small", 1_000_000), "small 100k": ("small", 100_000),
    "small 10M": ("small", 10_000_000), "bulk": ("bulk", 1_000), "http": ("http", 100_000),
    "synflood": ("synflood", 1_000), "reorder": ("reorder", 1_000), "loss": ("loss", 1_000),
    "fragments": ("fragments", 1_000), "bulk copied": ("bulk", 1_000, "copied"),
}
TWO_QUEUES = {"memory 1": ("memory", 1), "memory 2": ("memory", 2), "ring 1": ("ring", 1),
              "ring 2": ("ring", 2)}
REPLAYS = ("tiny", "bulk")


class Machine:
    """Runs the programs of one build."""

    def __init__(self, options):
        self.build, self.seconds = options.build, options.seconds
        self.flowloom = os.path.join(options.build, "app/flowloom")

    def program(self, *arguments, where="perf"):
        """What it said, results and messages."""
        path = os.path.join(self.build, where, arguments[0])
        done = subprocess.run([path, *arguments[1:]], check=True, capture_output=True, text=True)
        return done.stdout or done.stderr

    def bench(self, traffic, flows, consume="in-place", source="memory", workers=1):
        return run_bench(self.flowloom, self.seconds, "--traffic", traffic, "--flows", flows,
                         "--consume", consume, "--source", source, "--workers", workers)

    def bench_memory(self, flows):
        """Resident at the peak, in bytes."""
        process = subprocess.Popen(
            [self.flowloom, "bench", "--seconds", "0.1", "--flows", str(flows)],
            stdout=subprocess.DEVNULL)
        return os.wait4(process.pid, 0)[2].ru_maxrss * 1024

    def replay(self, capture):
        """ns a packet of `flowloom run` over a capture, start-up not counted."""
        said = self.program("flowloom", "run", "--vdev", f"net_pcap0,rx_pcap={capture}", "--",
                            "--write", "none", where="app")
        return 1e3 / float(re.search(r"([\d.]+) Mpps", said)[1])

    def receive(self, capture):
        return json.loads(self.program("flowloom-rx-bound", capture))["ns_per_packet"]

    def steer(self):
        said = json.loads(self.program("steering_bench", "--benchmark_filter=/1$",
                                       "--benchmark_format=json"))
        row = said["benchmarks"][0]
        return row["cpu_time"] / 32


def keep_least(best, name, value, key=lambda run: run):
    if name not in best or key(value) < key(best[name]):
        best[name] = value


def measure(machine, rounds, captures):
    best = {}
    for _ in range(rounds):
        for name, arguments in BENCHES.items():
            keep_least(best, name, machine.bench(*arguments),
                       lambda run: run["ns_per_packet"])
        for name, (source, workers) in TWO_QUEUES.items():
            keep_least(best, name, machine.bench("small", 100_000, "in-place", source, workers),
                       lambda run: -run["mpps"])
        for kind, capture in captures.items():
            keep_least(best, f"replay {kind}", machine.replay(capture))
            keep_least(best, f"receive {kind}", machine.receive(capture))
        keep_least(best, "steer", machine.steer())
    few, many = 1_000, 1_000_000
    best["bytes"] = (machine.bench_memory(many) - machine.bench_memory(few)) / (many - few)
    return best


def copied_row(run):
    """memcpy of the same bytes is the limit; the worker's CPU time is what its core could do."""
    limit = 60
    by_cpu = run["gbps"] * run["ns_per_packet"] / run["cpu_ns_per_packet"]
    return (4, "1460-byte segments, copied to the writer core", f">= {limit} Gb/s",
            f"{run['gbps']:.4g} Gb/s ({by_cpu:.4g} by CPU time), "
            f"{run['copy_floor_ratio']:.3g} x memcpy", run["gbps"] >= limit)


def rows_of(best):
    """Number, measure, bound as text, measured as text, whether it is met."""
    ns = {name: best[name]["ns_per_packet"] for name in BENCHES}

    def at_most(number, what, value, limit, unit):
        return (number, what, f"<= {limit:.4g} {unit}", f"{value:.4g} {unit}", value <= limit)

    def at_least(number, what, value, limit, unit):
        return (number, what, f">= {limit:.4g} {unit}", f"{value:.4g} {unit}", value >= limit)

    yield at_most(1, "64-byte frames, 1 M connections", ns["small 1M"], 40, "ns")
    yield at_most(2, "the same, 100,000", ns["small 100k"], 25, "ns")
    yield at_most(3, "the same, 10 M, against 1 M", ns["small 10M"] / ns["small 1M"], 2, "x")
    yield at_least(4, "1460-byte segments, consumed in place", best["bulk"]["gbps"], 100, "Gb/s")
    yield copied_row(best["bulk copied"])
    yield at_least(5, "connections of ten packets",
                   best["http"]["connections_per_second"] / 1e6, 0.5, "M/s")
    yield at_least(6, "SYNs among 1,000 transfers", best["synflood"]["mpps"], 14.88, "M/s")
    yield at_most(7, "memory of an idle connection, the traffic's own included", best["bytes"],
                  256, "bytes")
    yield at_least(10, "a second worker on a second core",
                   best["memory 2"]["mpps"] / best["memory 1"]["mpps"], 1.8, "x")
    yield at_most(10, "steering, on the RX core", best["steer"], 15, "ns")
    for kind in ("reorder", "loss", "fragments"):
        yield at_most(11, f"{kind}, against bulk", ns[kind] / ns["bulk"], 1.5, "x")
    for kind in REPLAYS:
        engine = ns["small 100k" if kind == "tiny" else "bulk"]
        yield at_most(12, f"`run` over net_pcap, {kind}: the driver alone and 1.3 x the engine",
                      best[f"replay {kind}"], best[f"receive {kind}"] + 1.3 * engine, "ns")
    yield at_least(12, "net_ring, two queues on two lcores",
                   best["ring 2"]["mpps"] / best["ring 1"]["mpps"], 1.8, "x")


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", required=True, help="build folder with app/ and perf/")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=1, help="of each bench")
    parser.add_argument("--scale", type=float, default=1, help="of the replayed captures")
    parser.add_argument("--dir", default="/dev/shm", help="for captures; default: %(default)s")
    parser.add_argument("--markdown", metavar="PAGE", help="replaces the table in this page")
    options = parser.parse_args()
    machine = Machine(options)
    with tempfile.TemporaryDirectory(dir=options.dir, prefix="flowloom-targets-") as folder:
        captures = {}
        for kind in REPLAYS:
            captures[kind] = os.path.join(folder, f"{kind}.pcap")
            machine.program("flowloom-gen", kind, captures[kind], "-n", str(options.scale))
        rows = list(rows_of(measure(machine, options.rounds, captures)))
    table = markdown_table(HEADER, [(*row[:4], "yes" if row[4] else "**no**") for row in rows],
                           left=2)
    print(table)
    if options.markdown:
        replace_blocks(options.markdown, "targets", [("table", table)])


if __name__ == "__main__":
    sys.exit(main())
