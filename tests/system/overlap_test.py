#!/usr/bin/env python3
"""What contradicting segments come to with the whole program: every name of a policy, the bytes
that win, where the record says they differ, and the evidence, however many workers there are.
usage: overlap_test.py FLOWLOOM
"""
import json
import pathlib
import re
import sys

from support import (ACK, PSH, Checks, Command, Talk, balances, capture_of, fresh, scratch, stats)

# Positions from 1 on behind a hole, by name: A[1,5) B[5,9) C[3,7) under each algorithm.
SEAM = {"bsd": b"AAAACCBB", "first": b"AAAABBBB", "last": b"AACCCCBB", "freebsd-12": b"AAAABBBB",
        "linux": b"AAAACCBB", "linux-modern": b"AAAABBBB", "old-linux": b"AAAACCBB",
        "solaris": b"AAAABBBB", "solaris-snort": b"AACCBBBB"}
ALIASES = {"bsd-right": "bsd", "hpux10": "bsd", "hpux11": "solaris", "irix": "bsd", "macos": "bsd",
           "old-solaris": "solaris", "vista": "first", "win2k3": "bsd", "windows": "bsd",
           "windows-modern": "first"}
WORKERS = (1, 2, 4)
COMPARABLE = 2048  # docs/tcp.md, kComparablePackets


def segment(talk, position, payload):
    """Payload at a position of the originator's stream."""
    return segment_at(talk, 1, position, payload)


def segment_at(talk, stamp, position, payload):
    return talk.say(stamp, 0, ACK | PSH, payload, seq=1001 + position)


def seam(number, mid_stream=False):
    talk = Talk(number)
    if not mid_stream:
        talk.open(1)
    talk.next[0] = 1001
    for position, payload in ((1, b"AAAA"), (5, b"BBBB"), (3, b"CCCC"), (0, b"0")):
        segment(talk, position, payload)
    return talk


def lines_of(path):
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def run(checks, flowloom, capture, out, *options):
    ran = flowloom("read", capture, "-q", "-o", fresh(out), *options)
    what = " ".join(map(str, options))
    checks.equal(0, ran.status, f"exit status with {what}: {ran.err}")
    checks.that(balances(stats(out)), f"the ledger balances with {what}")
    return {r["uid"]: r for r in lines_of(out / "flows.jsonl")}


def check_names(checks, flowloom, folder):
    """Every name, after a handshake and picked up mid-stream."""
    capture = capture_of(folder / "seam.pcap", seam(1), seam(2, mid_stream=True))
    shown = flowloom("read", "--help").out.decode()
    for name in [*SEAM, *ALIASES]:
        found = run(checks, flowloom, capture, folder / "out", "--overlap", name)
        for record in found.values():
            side = record["orig"]
            wanted = b"0" + SEAM[ALIASES.get(name, name)]
            checks.equal(wanted, (folder / "out" / side["file"]).read_bytes(), f"bytes of {name}")
            checks.equal(1, side["overlap_conflicts"], f"segments that conflict with {name}")
            checks.equal((3, 7), (min(c["offset"] for c in side["conflicts"]),
                                  max(c["offset"] + c["length"] for c in side["conflicts"])),
                         f"conflicts of {name}")
        checks.that(re.search(rf"[ ,]{name}[, ]", shown.replace("\n", " ")), f"--help has {name}")
    checks.that(not (folder / "out/evidence.jsonl").exists(), "no evidence unless asked for")
    checks.that(flowloom("read", capture, "--overlap", "windows-3.1").status != 0, "no other name")


def check_evidence(checks, flowloom, folder):
    """Both versions, the same for any number of workers; what is cut is counted."""
    big = Talk(9).open(1)
    big.say(1, 1, ACK)  # its window is the first that is scaled
    for at in range(0, 80_000, 1000):
        segment(big, 1 + at, b"x" * 1000)
        segment(big, 1 + at, b"y" * 1000)
    capture = capture_of(folder / "two.pcap", seam(1), seam(2, mid_stream=True), big)
    texts = set()
    for workers in WORKERS:
        found = run(checks, flowloom, capture, folder / "out", "--overlap-evidence", "--overlap",
                    "linux", "--workers", workers)
        texts.add((folder / "out/evidence.jsonl").read_text(encoding="utf-8"))
    checks.equal(1, len(texts), "different evidence files")
    lines = lines_of(folder / "out/evidence.jsonl")
    for uid, record in found.items():
        mine = [line for line in lines if line["uid"] == uid]
        side = record["orig"]
        if side["payload_bytes"] < 1000:
            checks.equal([("orig", 3, 2, "held", "4141", "4343"),
                          ("orig", 5, 2, "arrived", "4242", "4343")],
                         [(line["side"], line["offset"], line["length"], line["winner"],
                           line["held"], line["arrived"]) for line in mine], "evidence")
            continue
        kept = sum(len(line.get("held", "") + line.get("arrived", "")) // 2 for line in mine)
        checks.equal(65_536, kept, "bytes of evidence")
        checks.equal(16, len(side["conflicts"]), "listed conflicts")
        checks.equal(64, side["conflicts_unlisted"], "conflicts that are not listed")
        told = sum("offset" in line for line in mine)
        checks.equal(80, told + mine[-1]["conflicts_unlisted"], "conflicts in all")
    checks.that(flowloom("read", capture, "--overlap-evidence").status != 0, "needs a folder")


def check_repeated(checks, flowloom, folder):
    """Delivered bytes that are repeated otherwise, near and far, for any workers and bursts."""
    talks = [Talk(n).open(1 + n / 1000) for n in range(60)]
    wanted = {talk.ports[0]: [] for talk in talks}
    sent = []  # (packet, talk, position, payload), in the order of the capture
    number = 3 * len(talks)
    for turn in range(90):
        for n, talk in enumerate(talks):
            now = 2 + turn + n / 100
            payload = bytes([65 + (turn + n) % 26]) * (20 + n % 9)
            sent.append((number := number + 1, talk, talk.next[0] - 1001, payload))
            talk.say(now, 0, ACK | PSH, payload)
            if (turn * 61 + n) % 7:
                continue
            back = (turn * 13 + n * 7) * 16 % len(sent)
            then, old, position, payload = sent[-1 - back]
            segment_at(old, now + 0.005, position, payload[:3] + b"##" + payload[5:])
            number += 1
            if number - then < COMPARABLE:
                wanted[old.ports[0]].append({"offset": position + 3, "length": 2})
    near = sum(map(len, wanted.values()))
    checks.that(100 < near, f"{near} repetitions that are near enough")
    capture = capture_of(folder / "repeated.pcap", *talks)
    texts = set()
    for workers in WORKERS:
        for burst in (1, 32):
            found = run(checks, flowloom, capture, folder / "out", "--overlap-evidence",
                        "--workers", workers, "--burst", burst)
            texts.add((folder / "out/flows.jsonl").read_text(encoding="utf-8") +
                      (folder / "out/evidence.jsonl").read_text(encoding="utf-8"))
    checks.equal(1, len(texts), "different records and evidence of repetitions")
    for record in found.values():
        side = record["orig"]
        told = wanted[side["port"]]
        checks.equal(told[:16], side.get("conflicts", []), "conflicts of repetitions")
        checks.equal(len(told), record["anomalies"].get("rexmit_inconsistency", 0), "the anomaly")
        checks.equal(len(told), side["overlap_conflicts"], "segments that conflict")
        checks.that(b"#" not in (folder / "out" / side["file"]).read_bytes(), "what stays")
    fates = stats(folder / "out")["payload_bytes"]["fates"]
    checks.equal(2 * near, fates["overlap"], "bytes that lost")


def main():
    flowloom = Command(sys.argv[1])
    checks = Checks()
    with scratch() as name:
        check_names(checks, flowloom, pathlib.Path(name))
        check_evidence(checks, flowloom, pathlib.Path(name))
        check_repeated(checks, flowloom, pathlib.Path(name))
    checks.finish()


if __name__ == "__main__":
    main()
