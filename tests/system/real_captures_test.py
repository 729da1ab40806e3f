#!/usr/bin/env python3
"""Real captures against what tshark and an independent reference make of them.

Reads the folder that FLOWLOOM_CAPTURES names (X.expect.json beside each capture X). Where the
variable is not set there is nothing to compare with and the test says so. Every capture must be
read without a crash and with a balanced ledger; each direction of a stream is compared as the
verdict of its expectation allows: solid ones by length and SHA-256.
usage: real_captures_test.py FLOWLOOM [CAPTURE-NAME...]
"""
import collections
import hashlib
import json
import os
import pathlib
import subprocess
import sys
import tempfile

EMPTY = hashlib.sha256(b"").hexdigest()
# Reasons of the expectation that are a matter of policy; with them the reference is one of
# several right answers (docs/tcp.md says which one is ours).
POLICY = {"data-after-rst", "overlap-policy", "conflicting-overlap", "before-isn", "several-isns",
          "data-after-fin", "data-on-syn", "handshake-out-of-order", "urgent", "one-sided",
          "several-vlans-one-stream", "tuple-reused-without-close", "endpoint-mix", "snapped",
          "only-quoted-in-icmp", "starts-out-of-order"}


def endpoint(side):
    address = side["addr"]
    return f"[{address}]:{side['port']}" if ":" in address else f"{address}:{side['port']}"


def directions(out):
    """Delivered bytes per (sender, receiver): the streams of all connections of that tuple."""
    found = collections.defaultdict(list)
    with open(out / "flows.jsonl", encoding="utf-8") as records:
        for line in records:
            record = json.loads(line)
            sides = (record["orig"], record["resp"])
            for me, other in (sides, sides[::-1]):
                data = (out / me["file"]).read_bytes() if "file" in me else b""
                found[endpoint(me), endpoint(other)].append((record, me, data))
    return found


def check_direction(expected, candidates, why):
    """None where it is right, otherwise what is wrong."""
    reference = expected["ref"]
    hashes = {hashlib.sha256(data).hexdigest(): len(data) for _, _, data in candidates}
    if not candidates:
        hashes = {EMPTY: 0}
    wanted = {reference["sha256"]}
    if "bad_tcp_checksums" in expected:
        wanted.add(expected["ref_without_bad_checksum_packets"]["sha256"])
    if "conflicting-overlap" in why or "overlap-policy" in why:
        wanted.add(reference["sha256_last"])
    if wanted & set(hashes):
        return None
    if "gap" in why or "missing-before-fin" in why:
        length = reference["prefix_bytes"]
        for _, _, data in candidates:
            if hashlib.sha256(data[:length]).hexdigest() == reference["prefix_sha256"]:
                return None
    return f"{expected['src']} -> {expected['dst']}: {sorted(hashes.values())} bytes, " \
           f"expected {reference['bytes']} ({','.join(sorted(why)) or 'solid'})"


def check_capture(flowloom, capture, expectation):
    wrong, policy = [], []
    with tempfile.TemporaryDirectory() as folder:
        out = pathlib.Path(folder) / "out"
        run = subprocess.run([flowloom, "read", "-q", capture, "-o", out], capture_output=True,
                             text=True, timeout=120, check=False)
        if run.returncode not in (0, 3):
            return [f"exit status {run.returncode}: {run.stderr.strip()}"], []
        stats = json.loads((out / "stats.json").read_text())
        if stats["packets"]["received"] != expectation["frames"] and run.returncode == 0:
            wrong.append(f"{stats['packets']['received']} packets of {expectation['frames']}")
        found = directions(out)
        for stream in expectation["streams"]:
            for index, expected in enumerate(stream["dirs"]):
                why = {reason.split(":")[-1] for reason in stream.get("why", [])
                       if ":" not in reason or reason.startswith(f"{index}:")}
                complaint = check_direction(expected, found[expected["src"], expected["dst"]], why)
                if complaint is None:
                    continue
                complaints = policy if why & POLICY else wrong
                complaints.append(f"stream {stream['stream']}, {complaint}")
    return wrong, policy


def main():
    flowloom = os.path.abspath(sys.argv[1])
    folder = os.environ.get("FLOWLOOM_CAPTURES")
    if not folder:
        print("FLOWLOOM_CAPTURES is not set: no real captures to compare with")
        return 0
    failed = total = 0
    for path in sorted(pathlib.Path(folder).glob("*.expect.json")):
        capture = path.with_name(path.name.removesuffix(".expect.json"))
        if sys.argv[2:] and capture.name not in sys.argv[2:]:
            continue
        total += 1
        wrong, policy = check_capture(flowloom, capture, json.loads(path.read_text()))
        failed += bool(wrong)
        print(f"{'FAIL' if wrong else 'ok':4} {capture.name}")
        for line in wrong:
            print(f"       {line}")
        for line in policy:
            print(f"       by policy: {line}")
    print(f"{total - failed} of {total} captures are right")
    return 1 if failed or total == 0 else 0


if __name__ == "__main__":
    sys.exit(main())
