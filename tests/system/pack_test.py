#!/usr/bin/env python3
"""Packed streams: unpacked they are the files that the writer streams makes, `show` says the same
of a pack as of files, a reader written from docs/pack.md alone agrees, and a killed run leaves a
pack.
usage: pack_test.py FLOWLOOM GENERATOR
"""
import os
import pathlib
import shutil
import signal
import struct
import subprocess
import sys
import time

from support import (ACK, FIN, PSH, SAMPLE, Checks, Command, Talk, capture_of, contents, fresh,
                     generate, records, same_contents, scratch, stats)

CLOSE, FIRST, IPV6, END = 1, 2, 4, 64
CLOSES = ["open", "fin", "rst", "idle", "syn-timeout", "evicted", "reused", "eof"]
COUNTS = ["packets", "ip_bytes", "payload_bytes", "stream_bytes", "gap_bytes", "gap_count",
          "duplicate_bytes", "overlap_conflicts", "conflict_count", "out_of_order",
          "retransmissions", "urgent_bytes"]


class Fields:
    """The encoded values of docs/pack.md, taken off the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        self.at += count
        assert self.at <= len(self.data)
        return self.data[self.at - count:self.at]

    def varint(self):
        value = shift = 0
        while True:
            byte = self.take(1)[0]
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                return value

    def zigzag(self):
        value = self.varint()
        return value >> 1 ^ -(value & 1)


def blocks(path, kind):
    """(position, raw bytes) of every block of a file without compression."""
    data = path.read_bytes()
    assert data[:8] == b"FLOWPACK" and struct.unpack_from("<II", data, 8) == (1, kind)
    at = 32
    while at < len(data):
        magic, codec, stored, raw, position, _ = struct.unpack_from("<4sIIIQQ", data, at)
        assert magic == b"PCKB" and codec == 0 and stored == raw
        yield position, data[at + 32:at + 32 + stored]
        at += 32 + stored


def read_side(fields, ipv6):
    side = {"addr": fields.take(16 if ipv6 else 4)}
    side["port"] = struct.unpack("<H", fields.take(2))[0]
    side |= {name: fields.varint() for name in COUNTS}
    fields.zigzag()
    for _ in range(min(side["urgent_bytes"], 8)):
        fields.zigzag()
    return side


def read_entry(fields):
    flags = fields.varint()
    if flags & END:
        return None
    entry = {"flags": flags, "number": fields.varint(), "uid": fields.take(19).decode()}
    fields.take(4)
    entry["reuse"] = fields.varint()
    entry["start"], entry["end"] = struct.unpack("<qq", fields.take(16))
    entry["close"], entry["state"] = CLOSES[fields.take(1)[0]], fields.take(1)[0]
    entry["history"] = fields.take(fields.varint()).decode()
    for _ in range(fields.varint()):
        fields.take(1), fields.varint()
    entry["sides"] = [read_side(fields, flags & IPV6) for _ in range(2)]
    entry["anomalies"] = {fields.take(fields.varint()).decode(): fields.varint()
                          for _ in range(fields.varint())}
    entry["data"], entry["gaps"] = [], []
    for _ in range(2):
        fields.zigzag()
        entry["data"].append((fields.varint(), fields.varint()))
        entry["gaps"].append([(fields.zigzag(), fields.zigzag(), fields.take(1)[0])
                              for _ in range(fields.varint())])
    entry["conflicts"] = [(fields.zigzag(), fields.zigzag(), fields.take(1)[0])
                          for _ in range(fields.varint())]
    return entry


def read_pack(folder):
    """uid -> (close entry, bytes of both directions, gaps of both), by docs/pack.md."""
    data = {}
    for path in sorted(folder.glob("data-*")):
        data.update(blocks(path, 2))
    everything = b"".join(data[position] for position in sorted(data))
    found, ended = {}, False
    for _, raw in blocks(folder / "index", 1):
        outer = Fields(raw)
        while outer.at < len(raw):
            inner = Fields(outer.take(struct.unpack("<I", outer.take(4))[0]))
            entry = read_entry(inner)
            assert inner.at == len(inner.data)
            if entry is None:
                ended = True
                continue
            last, parts, gaps = found.get(entry["uid"], (None, [b"", b""], [[], []]))
            assert (last is None) == bool(entry["flags"] & FIRST)
            for side, (at, count) in enumerate(entry["data"]):
                parts[side] += everything[at:at + count]
                gaps[side] += entry["gaps"][side]
            found[entry["uid"]] = entry, parts, gaps
    assert ended
    return found


def check_format(checks, out, pack, what):
    found = read_pack(pack / "pack")
    wrong = []
    for record in records(out):
        entry, parts, gaps = found.pop(record["uid"])
        if entry["close"] != record["close"] or entry["history"] != record["history"] or \
                entry["anomalies"] != record["anomalies"]:
            wrong.append(record["uid"])
        for side, name in enumerate(("orig", "resp")):
            expected = record[name]
            file = (out / expected["file"]).read_bytes() if "file" in expected else b""
            listed = [(g["offset"], g["length"]) for g in expected["gaps"]]
            if file != parts[side] or listed != [g[:2] for g in gaps[side]] or \
                    any(entry["sides"][side][n] != expected[n] for n in COUNTS if n in expected):
                wrong.append(f"{record['uid']} {name}")
    checks.that(not wrong, f"{what}: {len(wrong)} differ, such as {wrong[:2]}")
    checks.equal({}, found, f"{what}: connections without a record")


def without_ledger(folder):
    return {n: b for n, b in contents(folder).items() if n != "stats.json"}


def check_capture(checks, flowloom, capture, folder, what):
    files, lines = folder / "files", None
    plain = flowloom.read([capture], files, "-q", "--sha256")
    expected = without_ledger(files)
    packs = []
    for workers, writer in ((1, "pack"), (2, "pack"), (1, "pack=zstd:3")):
        pack = folder / f"pack{workers}{writer[4:]}"
        ran = flowloom.read([capture], pack, "-q", "--write", writer, "--workers", workers)
        checks.equal(0, ran.status, f"{what} {writer}")
        checks.equal(plain.out, ran.out, f"{what} {writer}: lines")
        packs.append(contents(pack / "pack"))
        out = fresh(folder / "unpacked")
        ran = flowloom("unpack", pack, "-o", out, "--sha256")
        checks.equal((0, ""), (ran.status, ran.err), f"{what} {writer}: unpack")
        same_contents(checks, expected, contents(out), f"{what} {writer}: unpacked")
        checks.equal(0, flowloom("show", pack, "--check").status, f"{what} {writer}: check")
    same_contents(checks, packs[0], packs[1], f"{what}: the pack of 1 and of 2 workers")
    check_format(checks, files, folder / "pack1", what)
    check_show(checks, flowloom, files, folder / "pack1", plain.out, what)
    writer = stats(folder / "pack1")["writers"]["pack"]
    checks.equal((len(records(files)), 0), (writer["records"], writer["dropped"]),
                 f"{what}: stats.json")


def check_show(checks, flowloom, files, pack, lines, what):
    checks.equal(lines, flowloom("show", pack).out, f"{what}: lines of the pack")
    checks.equal(lines, flowloom("show", files).out, f"{what}: lines of the files")
    checks.equal((files / "flows.jsonl").read_bytes(), flowloom("show", files, "--json").out,
                 f"{what}: records of the files")
    for options in (("--print", "ascii"), ("--print", "hex", "--print-bytes", 0),
                    ("--print", "raw", "--print-bytes", 7), ("--port", 80), ("--gaps",),
                    ("--min-bytes", "2k"), ("--close", "rst"), ("--host", "10.0.0.1"),
                    ("--uid", records(files)[0]["uid"], "--print", "ascii", "--color", "always")):
        of_pack, of_files = flowloom("show", pack, *options), flowloom("show", files, *options)
        checks.equal((0, of_files.out), (of_pack.status, of_pack.out), f"{what}: show {options}")
    checks.that(flowloom("show", pack, "--port", 1).out == b"", f"{what}: nobody's port")


def check_mistakes(checks, flowloom, folder):
    for options in (("--write", "pack=lz4"), ("--write", "pack=zstd:99"), ("--write", "pack=zstd:"),
                    ("--write", "flows=x")):
        ran = flowloom.read([SAMPLE], folder / "wrong", *options)
        checks.equal((1, 1), (ran.status, ran.err.count("\n")), f"refuses {options}")
    for command in (("show", folder), ("unpack", folder, "-o", folder / "o"),
                    ("show", folder / "none")):
        ran = flowloom(*command)
        checks.equal((2, 1), (ran.status, ran.err.count("\n")), f"{command[0]} without a pack")
    flowloom.read([SAMPLE], folder / "p", "-q", "--write", "pack")
    os.truncate(folder / "p/pack/index", (folder / "p/pack/index").stat().st_size - 1)
    ran = flowloom("unpack", folder / "p", "-o", folder / "cut")
    checks.that(ran.status == 3 and "has no end" in ran.err, f"an index that is cut: {ran.err}")
    again = flowloom("read", SAMPLE, "-o", folder / "p", "-q", "--force")
    checks.that(again.status == 0 and not (folder / "p/pack").exists(), "--force removes a pack")


def check_kill(checks, flowloom, generator, folder):
    """kill -9 at several moments: everything that comes out is right, and most of it does."""
    capture = generate(generator, "many", folder / "many.pcap", "0.05")
    soon = ("--closed-timeout", "0.1")  # connections end while the capture is read
    flowloom.read([capture], folder / "whole", "-q", *soon)
    expected, sizes = contents(folder / "whole/streams"), []
    for delay in (0.05, 0.1, 0.2):
        pack = fresh(folder / "killed")
        with open(capture, "rb") as data:
            process = subprocess.Popen(
                [flowloom.path, "read", "-", "-o", pack, "-q", "--write", "pack", *soon],
                stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            process.stdin.write(data.read(30 << 20))
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        process.stdin.close()
        ran = flowloom("unpack", pack, "-o", fresh(folder / "rescued"))
        found = contents(folder / "rescued/streams")
        checks.that(ran.status == 3 and "has no end" in ran.err, f"killed: {ran.err}")
        wrong = [n for n, b in found.items()
                 if not n.endswith(".part") and expected.get(n) != b]
        checks.equal([], wrong[:3], "killed: what is rescued is right")
        sizes.append(len(found))
    checks.that(max(sizes) > 100, f"killed: {sizes} files were rescued")


def gaps_and_long_streams(path):
    talks = []
    for number in range(1, 5):
        talk = Talk(number).open(1)
        for i in range(200):
            talk.say(2 + i / 100, i % 2, ACK | PSH, bytes([65 + i % 26]) * 1400)
        talk.next[1] += 5000 * number  # bytes that the capture missed
        talk.say(5, 1, ACK | PSH, b"behind the gap")
        talk.say(5.1, 0, ACK)
        talks.append(talk.close(6) if number % 2 else talk)
    return capture_of(path, *talks)


def main():
    checks, flowloom = Checks(), Command(sys.argv[1])
    with scratch() as name:
        folder = pathlib.Path(name)
        captures = {"sample": SAMPLE, "gaps": gaps_and_long_streams(folder / "gaps.pcap"),
                    "random": generate(sys.argv[2], "random", folder / "random.pcap", "1",
                                       "--connections", "300")}
        for what, capture in captures.items():
            (folder / what).mkdir()
            check_capture(checks, flowloom, capture, folder / what, what)
            shutil.rmtree(folder / what)
        check_mistakes(checks, flowloom, folder)
        check_kill(checks, flowloom, sys.argv[2], folder)
    checks.finish()


if __name__ == "__main__":
    main()
