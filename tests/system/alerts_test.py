#!/usr/bin/env python3
"""--write alerts: real scans of every kind are found and named, ordinary traffic raises nothing.

The scans of samples/scans were recorded by scripts/make_scans.sh and are named after what nmap was
told to do: that is the truth. Beside them stand made captures of traffic that comes close. The
lines must be the same, byte for byte, for any number of workers and size of bursts.
usage: alerts_test.py FLOWLOOM GENERATOR
"""
import json
import pathlib
import sys

from support import (ACK, FIN, PSH, ROOT, RST, SAMPLE, SYN, Checks, Command, Talk, balances,
                     capture_of, contents, generate, same_contents, scratch, stats)

SCANS = sorted((ROOT / "samples" / "scans").glob("*.pcap.gz"))
PORTS, HOSTS = 60, 64  # what the script asks for
NAMES = {"window": "ack"}  # the same packets


def alerts(out):
    text = (pathlib.Path(out) / "alerts.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def read(checks, flowloom, captures, out, *options):
    ran = flowloom.read(captures, out, "-q", "--write", "alerts", *options)
    checks.equal(0, ran.status, f"{captures[0]}: {ran.err}")
    checks.that(balances(stats(out)), f"{captures[0]}: the ledger")
    return alerts(out)


def check_recorded(checks, flowloom, out):
    checks.that(len(SCANS) >= 16, f"only {len(SCANS)} recorded scans")
    for path in SCANS:
        name = path.name.split(".")[0]
        found = read(checks, flowloom, [path], out)
        if name == "syn-few":
            checks.equal([], found, "ten ports are no scan")
            continue
        kind = name.split("-")[0]
        if not checks.equal(["port-scan", "port-scan-end"], [a["kind"] for a in found], name):
            continue
        alarm, end = found
        checks.equal(NAMES.get(kind, kind), alarm["scan"], f"{name}: kind")
        checks.equal("hosts" if "hosts" in name else "ports", alarm["across"], f"{name}: across")
        checks.equal("2001:db8::10" if "ipv6" in name else "192.0.2.10", alarm["source"], name)
        checks.equal((1, HOSTS) if "hosts" in name else (PORTS, 1),
                     (end["port_count"], end["target_count"]), f"{name}: totals")
        checks.equal(11, len(set(alarm["uids"])), f"{name}: uids")
        checks.that(alarm["first"] <= alarm["last"] == alarm["ts"] <= end["last"], name)
        silent = "silent" in name or "hosts" in name
        checks.equal(silent, list(end["answers"]) == ["silence"], f"{name}: {end['answers']}")


def check_determinism(checks, flowloom, out):
    """All scans in one run, beside ordinary traffic; and the other writers are not disturbed."""
    captures = [*SCANS, SAMPLE]
    expected = None
    for workers in (1, 2, 4):
        for burst in (1, 7, 32):
            options = ("-q", "--workers", workers, "--burst", burst)
            ran = flowloom.read(captures, out, *options, "--write", "alerts,flows,streams")
            found = contents(out)
            what = f"{workers} workers, bursts of {burst}"
            checks.equal((0, []), (ran.status, stats(out)["limits"]), what)
            expected = expected or found
            same_contents(checks, expected, found, what)
    flowloom.read(captures, out, "-q", "--write", "flows,streams")
    plain = contents(out)
    for found in (expected, plain):
        found.pop("alerts.jsonl", None)
        found.pop("stats.json")
    same_contents(checks, plain, expected, "with and without alerts")


def talk(number, source, target, port):
    made = Talk(number)
    made.addresses = bytes([10, 7, source >> 8, source & 255]), bytes([10, 8, target >> 8,
                                                                      target & 255])
    made.ports = 20000 + number % 40000, port
    return made


def refused(number, stamp, source=1, target=1, port=80):
    return talk(number, source, target, port).say(stamp, 0, SYN).say(stamp, 1, RST | ACK)


def check_thresholds(checks, flowloom, folder):
    out = f"{folder}/out"

    def count(name, pause, *options, ports=11):
        path = capture_of(f"{folder}/{name}.pcap", *(
            refused(n, 1 + n * pause, port=100 + n) for n in range(ports)))
        return len(read(checks, flowloom, [path], out, *options))

    checks.equal(2, count("quick", 0.1), "eleven ports")
    checks.equal(0, count("ten", 0.1, ports=10), "ten ports")
    checks.equal(2, count("ten", 0.1, "--scan-ports", 9, ports=10), "ten ports of nine")
    checks.equal(0, count("slow", 3.1, ports=40), "a pause ends the count")
    checks.equal(2, count("slow", 3.1, "--scan-delay", 4, ports=40), "longer pauses allowed")
    for option, value in (("--scan-ports", 0), ("--scan-hosts", 0), ("--scan-delay", 0)):
        ran = flowloom.read([SAMPLE], out, "--write", "alerts", option, value)
        checks.equal(1, ran.status, f"{option} {value}")


def browsing(first, stamp):
    """A page of forty hosts: used, refused now and then, opened in vain, closed by the server."""
    talks = []
    for n in range(40):
        t, at = talk(first + n, 2, n, 443), stamp + n * 0.05
        if n in (7, 23):
            talks.append(t.say(at, 0, SYN).say(at, 1, RST | ACK))
        elif n in (9, 31):
            talks.append(t.say(at, 0, SYN).say(at + 1, 0, SYN, seq=1000))  # a dead host
        elif n % 5 == 4:
            talks.append(t.open(at).close(at + 10))  # opened ahead of its use
        elif n % 5 == 3:
            t.open(at).say(at + 0.1, 1, FIN | ACK).say(at + 0.1, 0, FIN | ACK)
            talks.append(t.say(at + 0.1, 1, ACK))
        else:
            t.open(at).say(at, 0, PSH | ACK, b"hello").say(at, 1, PSH | ACK, b"world" * 200)
            talks.append(t.close(at + 0.5))
    return talks


def check_ordinary(checks, flowloom, generator, folder):
    out = f"{folder}/out"
    path = capture_of(f"{folder}/pages.pcap", *(
        t for page in range(5) for t in browsing(100 * page, 1 + 20 * page)))
    checks.equal([], read(checks, flowloom, [path], out), "browsing")
    # The end of connections that began before the capture: a server's and a client's.
    ends = [talk(n, 3, n, 443).say(1 + n / 100, 1, ACK).say(1.5, 1, FIN | ACK) for n in range(60)]
    ends += [talk(n, 4, n, 443).say(1 + n / 100, 0, ACK) for n in range(60)]
    path = capture_of(f"{folder}/ends.pcap", *ends)
    checks.equal([], read(checks, flowloom, [path], out), "ends of connections")
    checks.equal([], read(checks, flowloom, [SAMPLE], out), "the sample")
    for kind, size in (("many", "1/500"), ("messy", "1/250"), ("tiny", "1/500")):
        path = generate(generator, kind, f"{folder}/{kind}.pcap", size)
        checks.equal([], read(checks, flowloom, [path], out), f"generated {kind}")


def check_flood(checks, flowloom, folder):
    """One scanner among many senders of a single SYN."""
    flood = [talk(n, n % 65000, 1, 80).say(1 + n / 10000, 0, SYN) for n in range(20000)]
    scan = [refused(n, 1 + n / 100, source=65001, target=2, port=1000 + n) for n in range(200)]
    path = capture_of(f"{folder}/flood.pcap", *flood, *scan)
    found = read(checks, flowloom, [path], f"{folder}/out", "--scan-hosts", 256)
    alarms = [a["source"] for a in found if a["kind"] == "port-scan"]
    checks.equal(["10.7.253.233"], alarms, "a scanner in a flood")
    limits = [a for a in found if a["kind"] == "port-scan-limits"]
    checks.that(limits and limits[0]["sources_forgotten"] > 10000, f"what was forgotten: {limits}")


def main():
    flowloom, generator = Command(sys.argv[1]), sys.argv[2]
    checks = Checks()
    with scratch() as folder:
        check_recorded(checks, flowloom, f"{folder}/out")
        check_determinism(checks, flowloom, f"{folder}/out")
        check_thresholds(checks, flowloom, folder)
        check_ordinary(checks, flowloom, generator, folder)
        check_flood(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
