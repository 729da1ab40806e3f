#!/usr/bin/env python3
"""Holds the captures of flowloom-gen against their own ground truth.

Reads a capture with a reassembler of its own that is too simple to be wrong (a byte map per
direction, a dictionary of fragments), and compares lengths, gaps and CRCs with every line of
OUT.truth.jsonl and with the sums of OUT.truth.json. Checksums of IP and TCP are verified too.

usage: check_truth.py CAPTURE                    an existing capture
       check_truth.py --make GENERATOR [SIZE]    makes every kind in a temporary folder first
"""
import json
import os
import socket
import struct
import subprocess
import sys
import tempfile
import zlib

SYN, ACK = 0x02, 0x10


def ones_sum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def frames(path):
    with open(path, "rb") as f:
        magic, *_, link = struct.unpack("<IHHIIII", f.read(24))
        assert magic == 0xA1B2C3D4 and link == 1
        last = 0
        while header := f.read(16):
            seconds, micros, captured, length = struct.unpack("<IIII", header)
            stamp = seconds * 10**6 + micros
            assert captured == length and stamp >= last
            last = stamp
            yield f.read(captured)


class Datagrams:
    """IP packets of frames; fragments come out with their last piece."""

    def __init__(self):
        self.pieces = {}
        self.fragments = 0

    def take(self, frame):
        """(source, destination, TCP bytes), or None for a piece."""
        kind = struct.unpack_from("!H", frame, 12)[0]
        return self.take_v4(frame[14:]) if kind == 0x0800 else self.take_v6(frame[14:])

    def take_v4(self, ip):
        total, ident, field = struct.unpack_from("!HHH", ip, 2)
        assert ip[0] == 0x45 and ip[9] == 6 and ones_sum(ip[:20]) == 0xFFFF
        key = (ip[12:16], ip[16:20], ident)
        return self.join(key, (field & 0x1FFF) * 8, field & 0x2000, ip[20:total])

    def take_v6(self, ip):
        length, following = struct.unpack_from("!HB", ip, 4)
        body = ip[40:40 + length]
        if following == 6:
            return ip[8:24], ip[24:40], body
        assert following == 44
        following, field, ident = struct.unpack_from("!BxHI", body)
        assert following == 6
        return self.join((ip[8:24], ip[24:40], ident), field & 0xFFF8, field & 1, body[8:])

    def join(self, key, offset, more, body):
        if offset == 0 and not more:
            return key[0], key[1], body
        self.fragments += 1
        pieces = self.pieces.setdefault(key, {})
        pieces[offset] = (body, bool(more))
        at, data = 0, b""
        while at in pieces:
            body, more = pieces[at]
            data += body
            at += len(body)
            if not more:
                del self.pieces[key]
                return key[0], key[1], data
        return None


class Direction:
    def __init__(self):
        self.iss = None
        self.segments = []  # (sequence number, bytes)

    def stream(self, full):
        """The byte map: which positions are known, and what stands there."""
        known, data = bytearray(full), bytearray(full)
        for seq, payload in self.segments:
            at = (seq - self.iss - 1) & 0xFFFFFFFF
            assert at + len(payload) <= full
            for i in range(len(payload)):
                assert not known[at + i] or data[at + i] == payload[i], "copies differ"
            data[at:at + len(payload)] = payload
            known[at:at + len(payload)] = b"\1" * len(payload)
        return known, data


def read(path):
    directions, datagrams = {}, Datagrams()
    sums = {"packets": 0, "payload_bytes": 0, "connections": 0, "data_packets": 0}
    for frame in frames(path):
        sums["packets"] += 1
        datagram = datagrams.take(frame)
        if datagram is None:
            continue
        source, destination, tcp = datagram
        pseudo = source + destination + struct.pack("!HH", 6, len(tcp))
        assert ones_sum(pseudo + tcp) == 0xFFFF, "TCP checksum"
        sport, dport, seq, ack = struct.unpack_from("!HHII", tcp)
        flags, payload = tcp[13], tcp[(tcp[12] >> 4) * 4:]
        family = socket.AF_INET if len(source) == 4 else socket.AF_INET6
        name = [f"[{a}]:{p}" if ":" in a else f"{a}:{p}" for a, p in
                ((socket.inet_ntop(family, source), sport),
                 (socket.inet_ntop(family, destination), dport))]
        mine = directions.setdefault((name[0], name[1]), Direction())
        if flags & SYN:
            mine.iss = seq
            sums["connections"] += not flags & ACK
            if flags & ACK:
                directions.setdefault((name[1], name[0]), Direction()).iss = (ack - 1) % 2**32
        sums["payload_bytes"] += len(payload)
        sums["data_packets"] += bool(payload)
        if payload:
            mine.segments.append((seq, payload))
    sums["fragments"] = datagrams.fragments
    return directions, sums


def gaps_of(known):
    gaps, at = [], 0
    while (begin := known.find(0, at)) >= 0:
        end = known.find(1, begin)
        at = len(known) if end < 0 else end
        gaps.append([begin, at - begin])
    return gaps


def check(path):
    directions, sums = read(path)
    with open(path + ".truth.json") as f:
        totals = json.load(f)
    floods_with_syn = totals.get("flood_packets", 0) < sums["connections"]
    for name, value in sums.items():
        if name == "connections" and totals["lost_packets"]:
            continue  # lost SYNs
        if name == "connections" and totals["kind"] == "flood" and not floods_with_syn:
            value += totals["flood_packets"]
        assert totals[name] == value, (name, totals[name], value)
    checked = skipped = captured = 0
    with open(path + ".truth.jsonl") as f:
        for line in f:
            truth = json.loads(line)
            ends = (truth["client"], truth["server"])
            mine = directions.get(ends if truth["direction"] == "cts" else ends[::-1])
            captured += truth["captured_bytes"]
            if truth["captured_bytes"] == 0:
                assert mine is None or not mine.segments
                continue
            if mine.iss is None:
                skipped += 1  # its SYN was not captured: offsets are not known from outside
                continue
            known, data = mine.stream(truth["full_bytes"])
            seen = bytes(b for b, k in zip(data, known) if k) if 0 in known else bytes(data)
            assert gaps_of(known) == truth["gaps"], truth
            assert len(seen) == truth["captured_bytes"], truth
            assert f"{zlib.crc32(seen):08x}" == truth["crc32_captured"], truth
            if not truth["gaps"]:
                assert truth["crc32_full"] == truth["crc32_captured"]
            checked += 1
    assert captured == totals["captured_bytes"]
    outside = totals.get("flood_bytes", 0)
    assert totals["payload_bytes"] - totals["duplicate_bytes"] - outside == captured
    assert checked >= 30 * skipped
    print(f"{path}: {sums['packets']} packets, {checked} directions agree, {skipped} not checked")


def main():
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    if sys.argv[1] != "--make":
        return check(sys.argv[1])
    size = sys.argv[3] if len(sys.argv) > 3 else "1/1000"
    with tempfile.TemporaryDirectory() as folder:
        floods = [["flood", "--connections", "40", "--flood", name]
                  for name in ("syn", "ack", "psh", "none")]
        kinds = [["many"], ["bulk"], ["tiny"], ["messy"], ["syn"]] + floods
        for kind in kinds:
            for options in ([], ["-6", "-s", "7"], ["--no-pad"]):
                path = os.path.join(folder, kind[-1] + ".pcap")
                command = [sys.argv[2], kind[0], path, "-n", size, *kind[1:], *options]
                subprocess.run(command, check=True)
                check(path)
                with open(path, "rb") as f:
                    before = f.read()
                subprocess.run(command, check=True)
                with open(path, "rb") as f:
                    assert f.read() == before, "the same arguments, another capture"


if __name__ == "__main__":
    main()
