#!/usr/bin/env python3
"""Damages capture files at random and has flowloom read them: no crash, no hang, and whatever was
read is accounted for.

usage: mutate_captures.py FLOWLOOM [FOLDER] [--seconds S] [--seed N] [--keep DIR]

FOLDER: captures to damage instead of the project's sample as pcap and pcapng in both byte orders.
Each round takes one capture and one kind of damage; the round number and the seed make the round.
A file that flowloom fails on is left in DIR (default: the temporary folder) and named.
"""
import argparse
import json
import os
import pathlib
import random
import shutil
import struct
import subprocess
import sys
import tempfile
import time

SAMPLE = pathlib.Path(__file__).resolve().parents[2] / "samples" / "sample.pcap"
SAMPLE_PACKETS = 250        # of it: a round should take milliseconds
CAPTURE_BYTES_MAX = 2 << 20
HANG_SECONDS = 20           # also under a sanitizer on a busy machine
ACCEPTED = (0, 2, 3)        # read, unreadable, damaged
PCAP_HEADER = 24
RECORD_HEADER = 16


def records_of(path):
    """(seconds, microseconds, frame) of the first packets of a pcap file."""
    data = path.read_bytes()
    order = "<" if data[:4] == b"\xd4\xc3\xb2\xa1" else ">"
    at, records = PCAP_HEADER, []
    while at + RECORD_HEADER <= len(data) and len(records) < SAMPLE_PACKETS:
        seconds, fraction, captured, _ = struct.unpack_from(order + "4I", data, at)
        at += RECORD_HEADER
        records.append((seconds, fraction, data[at:at + captured]))
        at += captured
    return records


def sample_records():
    return records_of(SAMPLE)


def pcap(records, order):
    out = [struct.pack(order + "IHHiIII", 0xa1b2c3d4, 2, 4, 0, 0, 262144, 1)]
    for seconds, fraction, frame in records:
        out.append(struct.pack(order + "4I", seconds, fraction, len(frame), len(frame)) + frame)
    return b"".join(out)


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    length = struct.pack(order + "I", len(body) + 12)
    return struct.pack(order + "I", kind) + length + body + length


def pcapng(records, order):
    """Enhanced packets of two interfaces, one with nanoseconds; at the end a simple packet."""
    comment = b"made by the project"
    options = struct.pack(order + "HH", 1, len(comment)) + comment + bytes(-len(comment) % 4) + \
        struct.pack(order + "HH", 0, 0)
    nanoseconds = struct.pack(order + "HHBxxxHH", 9, 1, 9, 0, 0)
    out = [block(order, 0x0a0d0d0a, struct.pack(order + "IHHq", 0x1a2b3c4d, 1, 0, -1) + options),
           block(order, 1, struct.pack(order + "HHI", 1, 0, 0)),
           block(order, 1, struct.pack(order + "HHI", 1, 0, 65535) + nanoseconds)]
    for number, (seconds, fraction, frame) in enumerate(records):
        interface = number % 2
        stamp = seconds * 10**6 + fraction
        stamp *= 1000 if interface else 1
        out.append(block(order, 6, struct.pack(order + "5I", interface, stamp >> 32,
                                               stamp & 0xffffffff, len(frame), len(frame)) +
                         frame + bytes(-len(frame) % 4) + (options if number % 16 == 0 else b"")))
    last = records[-1][2]
    out.append(block(order, 3, struct.pack(order + "I", len(last)) + last))
    out.append(block(order, 5, struct.pack(order + "3I", 0, 0, 0)))
    return b"".join(out)


def made_captures():
    records = sample_records()
    return [("sample" + name, make(records, order)) for name, make, order in
            ((".pcap", pcap, "<"), ("-swapped.pcap", pcap, ">"),
             (".pcapng", pcapng, "<"), ("-swapped.pcapng", pcapng, ">"))]


def captures_of(folder):
    paths = sorted(path for path in folder.iterdir() if path.is_file() and
                   path.suffix != ".json" and path.stat().st_size <= CAPTURE_BYTES_MAX)
    return [(path.name, path) for path in paths]


# --- kinds of damage; each changes a bytearray in place


def noise(data, chance):
    """Other bytes here and there, as on a bad disk."""
    for _ in range(max(1, int(len(data) * 0.02))):
        data[chance.randrange(len(data))] = chance.randrange(256)


def noise_in_frames(data, chance):
    """The file stays readable longer: nothing near its beginning, little of the rest."""
    begin = min(len(data) - 1, 200)
    for _ in range(max(1, len(data) // 2000)):
        data[chance.randrange(begin, len(data))] = chance.randrange(256)


def bad_header(data, chance):
    end = min(len(data), 64)
    for _ in range(chance.randint(1, 8)):
        data[chance.randrange(4, max(5, end)) % len(data)] = chance.choice((0, 1, 0x7f, 0x80, 0xff))


def cut_short(data, chance):
    del data[chance.randrange(len(data)):]


def remove_a_piece(data, chance):
    at = chance.randrange(len(data))
    del data[at:at + chance.choice((1, 3, 4, 16, 100, 5000))]


def repeat_a_piece(data, chance):
    at = chance.randrange(len(data))
    data[at:at] = data[at:at + chance.choice((1, 4, 16, 100, 5000))]


def bad_length(data, chance):
    """A length field, if what is there looks like one, becomes an edge or a near miss."""
    order = chance.choice("<>")
    for _ in range(chance.randint(1, 4)):
        at = chance.randrange(max(1, len(data) - 4)) & ~3
        if at + 4 > len(data):
            return
        value, = struct.unpack_from(order + "I", data, at)
        edges = (0, 1, 11, 12, 13, 0x7fffffff, 0x80000000, 0xfffffffc, 0xffffffff, 1 << 18)
        value = chance.choice(edges + ((value + 1) & 0xffffffff, (value - 1) & 0xffffffff,
                                       (value * 2) & 0xffffffff))
        struct.pack_into(order + "I", data, at, value)


DAMAGES = (noise, noise_in_frames, noise_in_frames, bad_header, cut_short, remove_a_piece,
           repeat_a_piece, bad_length, bad_length)


def complaint(flowloom, path, out):
    """None, or what flowloom did wrong."""
    shutil.rmtree(out, ignore_errors=True)
    try:
        ran = subprocess.run([flowloom, "read", "-q", "--workers", "1", path, "-o", out],
                             capture_output=True, timeout=HANG_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return f"took more than {HANG_SECONDS} s"
    if ran.returncode not in ACCEPTED:
        return f"exit status {ran.returncode}: {ran.stderr.decode(errors='replace')[:2000]}"
    stats = out / "stats.json"
    if not stats.exists():
        return None if ran.returncode == 2 else "no stats.json"
    ledger = json.loads(stats.read_text())
    packets, payload = ledger["packets"], ledger["payload_bytes"]
    if packets["received"] != sum(packets["verdicts"].values()):
        return f"packets do not add up: {packets}"
    if payload["seen"] != sum(payload["fates"].values()):
        return f"payload bytes do not add up: {payload}"
    for line in (out / "flows.jsonl").read_text(encoding="utf-8").splitlines():
        json.loads(line)
    return None


def run_rounds(options, captures):
    """Returns (rounds, failures)."""
    failures, number = 0, 0
    end = time.monotonic() + options.seconds
    with tempfile.TemporaryDirectory() as folder:
        place = pathlib.Path(folder)
        while time.monotonic() < end or number < len(captures):
            chance = random.Random(options.seed * 1_000_003 + number)
            name, source = captures[number % len(captures)]
            data = bytearray(source.read_bytes() if isinstance(source, pathlib.Path) else source)
            damage = chance.choice(DAMAGES)
            if data:
                damage(data, chance)
            path = place / ("damaged-" + name)
            path.write_bytes(data)
            problem = complaint(options.flowloom, path, place / "out")
            if problem is not None:
                kept = pathlib.Path(options.keep) / f"{options.seed}-{number}-{name}"
                shutil.copy(path, kept)
                failures += 1
                print(f"FAILED round {number}, {name}, {damage.__name__}: {problem}\n  {kept}",
                      flush=True)
            path.unlink()
            number += 1
            if time.monotonic() > end + 60:
                break
    return number, failures


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", maxsplit=1)[0])
    parser.add_argument("flowloom", type=os.path.abspath)
    parser.add_argument("folder", nargs="?", type=pathlib.Path)
    parser.add_argument("--seconds", type=float, default=30)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--keep", default=tempfile.gettempdir())
    options = parser.parse_args()
    captures = captures_of(options.folder) if options.folder else made_captures()
    rounds, failures = run_rounds(options, captures)
    print(f"{rounds - failures} of {rounds} damaged captures were read as they should be")
    return 1 if failures or not rounds else 0


if __name__ == "__main__":
    sys.exit(main())
