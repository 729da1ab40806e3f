#!/usr/bin/env python3
"""The same packets give the same bytes, whatever the number of workers and the size of bursts.

Made captures (in order, damaged, tiny, half-open; IPv4 and IPv6) are read with 1, 2 and 4 workers
and bursts of 1, 7 and 32, through read and run, with and without digests: standard output and
every file must not differ in a byte, nothing is sorted. What they say is held against the
generator's ground truth. The same for stamps that step by hours.
usage: determinism_test.py FLOWLOOM GENERATOR
"""
import pathlib
import sys

from support import (ACK, PSH, Capture, Checks, Command, Talk, balances, capture_of, check_truth,
                     contents, generate, records, same_contents, scratch, sha256, stats)

SETTINGS = [(workers, burst) for workers in (1, 2, 4) for burst in (1, 7, 32)]


def output(checks, ran, out, what):
    checks.equal((0, []), (ran.status, stats(out)["limits"]), f"{what}: status {ran.err.strip()}")
    found = contents(out)
    found["standard output"] = ran.out
    return found


def check_settings(checks, flowloom, path, out, name, *options):
    """All workers and bursts against one worker with bursts of 32, and that twice."""
    expected = None
    for workers, burst in [(1, 32), *SETTINGS]:
        what = f"{name} {' '.join(options)}, {workers} workers, bursts of {burst}"
        ran = flowloom.read([path], out, "-q", "--workers", workers, "--burst", burst, *options)
        found = output(checks, ran, out, what)
        expected = expected or found
        same_contents(checks, expected, found, what)
    return expected


def check_run(checks, flowloom, path, out, name, expected):
    for workers, burst in ((1, 32), (2, 7), (4, 1), (4, 32)):
        what = f"{name}, run, {workers} workers, bursts of {burst}"
        ran = flowloom.run([path], out, "-q", "--workers", workers, "--burst", burst)
        same_contents(checks, expected, output(checks, ran, out, what), what)


def delivered(side, data):
    """What of a stream with zeros for its gaps was delivered."""
    parts, at = [], 0
    for gap in side["gaps"]:
        parts.append(data[at:gap["offset"]])
        at = gap["offset"] + gap["length"]
    return b"".join(parts) + data[at:]


def check_zero_filled(checks, out, name):
    """Every file is as long as its stream with the gaps, and its digest is that of the rest."""
    wrong, gaps = [], 0
    for record in records(out):
        for side in (record["orig"], record["resp"]):
            if "file" not in side:
                continue
            gaps += len(side["gaps"])
            data = (pathlib.Path(out) / side["file"]).read_bytes()
            if len(data) != side["stream_bytes"] + side["gap_bytes"] or \
                    sha256(delivered(side, data)) != side["sha256"]:
                wrong.append(side["file"])
    checks.that(not wrong and gaps > 0, f"{name}: {gaps} gaps; lengths or digests of {wrong[:3]}")


def check_steps(checks, flowloom, folder, out):
    """Hours pass between connections: each begins with the packet that makes the step."""
    talks = []
    for n in range(40):
        talk = Talk(n).open(7200 * (n + 1))
        for turn in range(n % 5 + n % 3):
            talk.say(7200 * (n + 1) + turn / 10, turn % 2, ACK | PSH, b"some text")
        talks.append(talk)
    path = capture_of(folder / "steps.pcap", *talks)
    expected = check_settings(checks, flowloom, path, out, "steps")
    check_run(checks, flowloom, path, out, "steps", expected)
    told = [(r["orig"]["packets"] + r["resp"]["packets"], r["history"][:3]) for r in records(out)]
    wanted = [(len(talk.packets), "ShA") for talk in talks]
    checks.equal(sorted(wanted), sorted(told), "connections behind a step of the clock")
    checks.equal([], [r for r in records(out) if r["close"] not in ("idle", "eof")], "their ends")


def main():
    flowloom, generator = Command(sys.argv[1]), sys.argv[2]
    checks = Checks()
    with scratch() as folder:
        out = pathlib.Path(folder) / "out"
        check_steps(checks, flowloom, pathlib.Path(folder), out)
        for kind, size, *options in (("many", "1/500"), ("messy", "1/250"),
                                     ("messy", "1/1000", "-6"), ("tiny", "1/500", "-6"),
                                     ("syn", "1/1000"), ("bulk", "1/500")):
            path = generate(generator, kind, f"{folder}/{kind}.pcap", size, *options)
            name = " ".join([kind, size, *options])
            expected = check_settings(checks, flowloom, path, out, name)
            checks.that(balances(stats(out)), f"{name}: the ledger")
            check_run(checks, flowloom, path, out, name, expected)
            if kind == "messy":
                check_settings(checks, flowloom, path, out, name, "--sha256", "--gap-fill", "zero")
                check_zero_filled(checks, out, name)
                Capture.load(path).without_fragments().save(path)
                flowloom.read([path], out, "-q", "--workers", 4)
            check_truth(checks, path, out, name)
    checks.finish()


if __name__ == "__main__":
    main()
