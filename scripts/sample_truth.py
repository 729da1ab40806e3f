#!/usr/bin/env python3
"""Gathers what the sample's programs say they sent and received, and checks the recording.

usage: sample_truth.py collect RECORDS TRUTH      records of a folder -> one JSON file
       sample_truth.py check CAPTURE TRUTH        the capture against it, by tshark

RECORDS holds *.json (sample_talk.py) and, for curl and openssl, NAME.meta.json beside NAME.curl
(curl --trace) or NAME.openssl (s_client -debug), from which the bytes on the socket are taken.
"""

import glob
import hashlib
import json
import os
import re
import subprocess
import sys

TROUBLE = ("tcp.analysis.retransmission || tcp.analysis.lost_segment || "
           "tcp.analysis.out_of_order || tcp.analysis.ack_lost_segment || "
           "tcp.checksum.status == 0 || ip.checksum.status == 0")


def hex_bytes(line, start, count):
    """The bytes of one dump line: pairs at fixed columns from `start`."""
    text = line[start:start + 3 * count]
    return bytes.fromhex(text.replace("-", " "))


def dumped(lines, is_block, line_start, bytes_per_line=16):
    """Yields (direction, bytes) of each block; `is_block` gives (direction, size) or None."""
    position = 0
    while position < len(lines):
        block = is_block(lines[position])
        position += 1
        if block is None:
            continue
        direction, size = block
        data = b""
        while len(data) < size:
            line = lines[position]
            position += 1
            if line.startswith(f"{len(data):04x}"):  # else the program's own output, in between
                data += hex_bytes(line, line_start, min(bytes_per_line, size - len(data)))
        yield direction, data


CURL_BLOCK = re.compile(r"(=>|<=) (?:Send|Recv) (?:header|data), (\d+) bytes")
OPENSSL_BLOCK = re.compile(r"(write to|read from) \S+ \[\S+\] \(-?\d+ bytes => (-?\d+)")


def curl_block(line):
    match = CURL_BLOCK.match(line)
    return match and (match[1], int(match[2]))


def openssl_block(line):
    match = OPENSSL_BLOCK.match(line)
    return match and ("=>" if match[1] == "write to" else "<=", max(0, int(match[2])))


def both_directions(path, is_block, line_start):
    with open(path, encoding="latin-1", newline="\n") as lines:
        blocks = list(dumped(lines.read().split("\n"), is_block, line_start))
    return tuple(b"".join(data for where, data in blocks if where == direction)
                 for direction in ("=>", "<="))


def traced_record(meta_path):
    """The record of a connection whose program left a trace instead of hashes."""
    with open(meta_path, encoding="ascii") as source:
        row = json.load(source)
    base = meta_path.removesuffix(".meta.json")
    sent = received = b""
    if os.path.exists(base + ".curl"):
        sent, received = both_directions(base + ".curl", curl_block, len("0000: "))
    elif os.path.exists(base + ".openssl"):
        sent, received = both_directions(base + ".openssl", openssl_block, len("0000 - "))
    for key, data in (("client_to_server", sent), ("server_to_client", received)):
        row[key] = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    return row


def collect(folder, truth_path):
    rows = {}
    for path in sorted(glob.glob(os.path.join(folder, "*.json"))):
        if path.endswith(".meta.json"):
            row = traced_record(path)
        else:
            with open(path, encoding="ascii") as source:
                row = json.load(source)
        known = rows.setdefault((row["client"], row["server"]), row)
        if known != row:  # both ends of one connection recorded it
            raise SystemExit(f"sample_truth: the two ends disagree:\n{known}\n{row}")
    with open(truth_path, "w", encoding="ascii") as out:
        json.dump({"connections": sorted(rows.values(), key=lambda row: row["client"])},
                  out, indent=1)
        out.write("\n")


def tshark(capture, *options):
    done = subprocess.run(
        ("tshark", "-n", "-r", capture, "-o", "tcp.check_checksum:TRUE",
         "-o", "ip.check_checksum:TRUE", *options),
        check=True, capture_output=True, text=True)
    return done.stdout


def streams_of(capture):
    """(client, server) -> tshark's stream number, from the SYNs."""
    fields = ("ip.src", "ipv6.src", "tcp.srcport", "ip.dst", "ipv6.dst", "tcp.dstport",
              "tcp.stream")
    options = [word for field in fields for word in ("-e", field)]
    syns = tshark(capture, "-Y", "tcp.flags.syn == 1 && tcp.flags.ack == 0",
                  "-T", "fields", *options)
    streams = {}
    for line in syns.splitlines():
        src4, src6, sport, dst4, dst6, dport, stream = line.split("\t")
        client = f"[{src6}]:{sport}" if src6 else f"{src4}:{sport}"
        server = f"[{dst6}]:{dport}" if dst6 else f"{dst4}:{dport}"
        streams[client, server] = stream
    return streams


def followed(capture, stream):
    """The two directions of a stream as tshark follows it (replies are indented)."""
    text = tshark(capture, "-q", "-z", f"follow,tcp,raw,{stream}")
    sides = {"": b"", "\t": b""}
    for line in text.splitlines():
        match = re.fullmatch(r"(\t?)((?:[0-9a-f]{2})+)", line)
        if match:
            sides[match[1]] += bytes.fromhex(match[2])
    return sides[""], sides["\t"]


def complaints(capture, truth):
    trouble = tshark(capture, "-Y", TROUBLE)
    if trouble:
        yield "tshark sees losses, repetitions or wrong checksums:\n" + trouble
    streams = streams_of(capture)
    named = {(row["client"], row["server"]) for row in truth}
    for pair in set(streams) ^ named:
        yield f"only in one of capture and truth: {pair}"
    families = {"[" in client for client, _ in streams}
    if families != {True, False}:
        yield "not both address families"
    for row in truth:
        stream = streams.get((row["client"], row["server"]))
        if stream is None:
            continue
        for key, data in zip(("client_to_server", "server_to_client"),
                             followed(capture, stream)):
            if hashlib.sha256(data).hexdigest() != row[key]["sha256"]:
                yield (f"{row['client']} {key}: tshark has {len(data)} bytes, "
                       f"the program had {row[key]['bytes']}, or they differ")


def check(capture, truth_path):
    with open(truth_path, encoding="ascii") as source:
        truth = json.load(source)["connections"]
    found = list(complaints(capture, truth))
    for complaint in found:
        print("sample_truth:", complaint, file=sys.stderr)
    if found:
        raise SystemExit(1)
    print(f"sample_truth: {len(truth)} connections, every byte as the programs had it")


def main():
    commands = {"collect": collect, "check": check}
    if len(sys.argv) != 4 or sys.argv[1] not in commands:
        raise SystemExit(__doc__)
    commands[sys.argv[1]](*sys.argv[2:])


if __name__ == "__main__":
    main()
