#!/usr/bin/env python3
"""read and run give the same records, and those are what the programs of the sample sent.

The sample capture is held against the digests that its programs noted themselves; then captures in
one file, cut in time order and dealt out over several, through read and through DPDK's net_pcap,
must give the same standard output and the same files byte by byte.
usage: one_truth_test.py FLOWLOOM GENERATOR
"""
import json
import pathlib
import sys

from support import (SAMPLE, Capture, Checks, Command, balances, check_truth, contents, generate,
                     same_contents, scratch, sha256, stats, streams)

PIECES = 3


def check_sample(checks, out, what):
    truth = json.loads(SAMPLE.with_suffix(".truth.json").read_text(encoding="utf-8"))
    found = streams(out)
    for connection in truth["connections"]:
        ends = connection["client"], connection["server"]
        for direction, name in ((ends, "client_to_server"), (ends[::-1], "server_to_client")):
            parts = found.pop(direction, [])
            data = b"".join(part[2] for part in parts)
            checks.equal([1, connection[name]["bytes"], connection[name]["sha256"]],
                         [len(parts), len(data), sha256(data)], f"{what}: {direction}")
    checks.equal([], list(found), f"{what}: connections that nobody made")
    closes = {c["client"]: c["close"] for c in truth["connections"]}
    for direction, parts in streams(out).items():
        if direction[0] in closes:
            checks.equal(closes[direction[0]], parts[0][0]["close"], f"{what}: {direction} ends")


class Comparison:
    """Every way to read the same packets against the first one."""

    def __init__(self, checks, flowloom, folder, name):
        self.checks, self.flowloom, self.name = checks, flowloom, name
        self.out = pathlib.Path(folder) / "out"
        self.expected = None

    def way(self, label, *arguments, clean=True):
        ran = self.flowloom(*arguments)
        what = f"{self.name}, {label}"
        self.checks.equal((0, True), (ran.status, balances(stats(self.out))),
                          f"{what}: status and ledger ({ran.err.strip()})")
        found = contents(self.out)
        found["standard output"] = ran.out
        if self.expected is None:
            self.expected = found
        same_contents(self.checks, self.expected, found, what)


def vdev(number, *paths):
    return f"--vdev=net_pcap{number}," + ",".join(f"rx_pcap={path}" for path in paths)


def compare(checks, flowloom, folder, name, path):
    whole = Capture.load(path)
    comparison = Comparison(checks, flowloom, folder, name)
    out = ["-q", "--force", "-o", comparison.out]
    comparison.way("read of one file", "read", path, *out)
    comparison.way("run of one file", "run", vdev(0, path), "--", *out)
    cuts = whole.cut(folder, "cut", PIECES)
    hands = whole.deal(folder, "hand", PIECES)
    for label, files in (("cut", cuts), ("dealt", hands)):
        comparison.way(f"read, {label}", "read", *files, *out)
        comparison.way(f"run of several ports, {label}", "run",
                       *(vdev(i, f) for i, f in enumerate(files)), "--", *out)
        comparison.way(f"run of several queues, {label}", "run", vdev(0, *files), "--", *out)
    # Cut files follow each other in time, however they are named on the command line.
    comparison.way("read, cut, backwards", "read", *cuts[::-1], *out)
    comparison.way("read, dealt, 4 workers", "read", *hands, "--workers", "4", *out)
    comparison.way("run, dealt, 2 workers", "run", *(vdev(i, f) for i, f in enumerate(hands)),
                   "--", "--workers", "2", *out)
    return comparison.out


def main():
    flowloom, generator = Command(sys.argv[1]), sys.argv[2]
    checks = Checks()
    with scratch() as folder:
        check_sample(checks, compare(checks, flowloom, folder, "sample", SAMPLE), "sample")
        for kind, size, *options in (("many", "1/500"), ("tiny", "1/1000", "-6"),
                                     ("messy", "1/500"), ("messy", "1/1000", "-6")):
            path = generate(generator, kind, f"{folder}/{kind}.pcap", size, *options)
            Capture.load(path).without_fragments().save(path)
            name = " ".join([kind, size, *options])
            out = compare(checks, flowloom, folder, name, path)
            check_truth(checks, path, out, name)
    checks.finish()


if __name__ == "__main__":
    main()
