#!/usr/bin/env python3
"""One capture in every wrapping gives one result: compressed, pcapng, other byte order,
nanoseconds, standard input, and cut into a thousand files with few descriptors.
usage: formats_test.py FLOWLOOM GENERATOR
"""
import bz2
import gzip
import lzma
import pathlib
import resource
import struct
import sys

from support import (SAMPLE, Capture, Checks, Command, contents, fresh, generate, same_contents,
                     scratch)

FILES, DESCRIPTORS = 1000, 256


# Frames of zstd (RFC 8878) and lz4 that store instead of compressing: enough to be read.

def zstd(data):
    block = 1 << 16
    frame = struct.pack("<IBB", 0xFD2FB528, 0x00, 0x70)  # a window of 16 MiB, no content size
    pieces = [data[i:i + block] for i in range(0, len(data), block)]
    for i, piece in enumerate(pieces):
        last = i + 1 == len(pieces)
        frame += struct.pack("<I", len(piece) << 3 | last)[:3] + piece
    return frame


def xxh32_short(data):
    """xxHash of less than 16 bytes, seed 0."""
    prime = 2654435761, 2246822519, 3266489917, 668265263, 374761393
    mask = 0xFFFFFFFF

    def rotate(value, bits):
        return (value << bits | value >> (32 - bits)) & mask
    h = (prime[4] + len(data)) & mask
    for byte in data:
        h = rotate((h + byte * prime[4]) & mask, 11) * prime[0] & mask
    h = (h ^ h >> 15) * prime[1] & mask
    h = (h ^ h >> 13) * prime[2] & mask
    return h ^ h >> 16


def lz4(data):
    block = 1 << 16
    descriptor = b"\x60\x40"  # version 1, independent blocks of at most 64 KiB
    frame = struct.pack("<I", 0x184D2204) + descriptor + bytes([xxh32_short(descriptor) >> 8 & 255])
    for i in range(0, len(data), block):
        piece = data[i:i + block]
        frame += struct.pack("<I", len(piece) | 1 << 31) + piece
    return frame + struct.pack("<I", 0)


# The capture in other formats

def pcap(capture, order, nanoseconds):
    """Classic pcap in a byte order, with stamps of micro- or nanoseconds."""
    scale, magic = (1000, 0xA1B23C4D) if nanoseconds else (1, 0xA1B2C3D4)
    parts = [struct.pack(order + "IHHIIII", magic, 2, 4, 0, 0, 262144, 1)]
    for (seconds, micros), record in capture.packets:
        _, _, captured, length = struct.unpack_from("=IIII", record)
        parts.append(struct.pack(order + "IIII", seconds, micros * scale, captured, length))
        parts.append(record[16:])
    return b"".join(parts)


def block(order, kind, body):
    body += b"\0" * (-len(body) % 4)
    size = 12 + len(body)
    return struct.pack(order + "II", kind, size) + body + struct.pack(order + "I", size)


def pcapng(capture, order, resolution):
    """pcapng with an interface whose stamps are in units of 10**-resolution seconds."""
    option = struct.pack(order + "HHB3xHH", 9, 1, resolution, 0, 0)
    parts = [block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1)),
             block(order, 1, struct.pack(order + "HHI", 1, 0, 0) + option),
             block(order, 0x0BAD, b"a block of no known kind")]
    for (seconds, micros), record in capture.packets:
        _, _, captured, length = struct.unpack_from("=IIII", record)
        units = (seconds * 10 ** 6 + micros) * 10 ** (resolution - 6)
        parts.append(block(order, 6, struct.pack(order + "IIIII", 0, units >> 32,
                                                 units & 0xFFFFFFFF, captured, length)
                           + record[16:]))
    return b"".join(parts)


def wrappings(data, capture):
    yield "gzip", gzip.compress(data)
    yield "gzip in two members", gzip.compress(data[:9999]) + gzip.compress(data[9999:])
    yield "xz", lzma.compress(data)
    yield "bzip2", bz2.compress(data)
    yield "zstd", zstd(data)
    yield "lz4", lz4(data)
    for order, name in (("<", "little"), (">", "big")):
        yield f"pcap, {name} endian", pcap(capture, order, nanoseconds=False)
        yield f"pcap of nanoseconds, {name} endian", pcap(capture, order, nanoseconds=True)
        yield f"pcapng, {name} endian", pcapng(capture, order, 6)
        yield f"pcapng of nanoseconds, {name} endian", pcapng(capture, order, 9)
    yield "pcapng in zstd", zstd(pcapng(capture, "<", 9))


def check_wrappings(checks, flowloom, folder):
    out, capture, data = folder / "out", Capture.load(SAMPLE), SAMPLE.read_bytes()

    def output(what, *arguments, **options):
        ran = flowloom("read", "-q", *arguments, "-o", fresh(out), **options)
        checks.equal((0, ""), (ran.status, ran.err), what)
        return contents(out) | {"standard output": ran.out}
    expected = output("the sample", SAMPLE)
    for name, wrapped in wrappings(data, capture):
        path = folder / "wrapped"
        path.write_bytes(wrapped)
        same_contents(checks, expected, output(name, path), name)
        with open(path, "rb") as stdin:
            found = output(f"{name}, standard input", "-", stdin=stdin)
        same_contents(checks, expected, found, f"{name}, standard input")
    # The end of compressed data is missing: all that there is counts, and one is told.
    for name, wrapped in wrappings(data, capture):
        if name in ("gzip", "xz", "zstd", "pcapng, little endian"):
            path.write_bytes(wrapped[:-199])
            ran = flowloom("read", "-q", path)
            checks.equal((3, 1), (ran.status, ran.err.count("flowloom: ")), f"{name}, cut")


# case: M09
def check_rotation(checks, flowloom, generator, folder):
    """A thousand files, of them at most a few open at a time, and a thousand of interleaved ones
    with many streams that grow at the same time."""
    whole = generate(generator, "messy", folder / "whole.pcap", "1/250")
    capture = Capture.load(whole)
    flowloom.read([whole], folder / "expected", "-q")
    expected = contents(folder / "expected")

    def few_descriptors():
        resource.setrlimit(resource.RLIMIT_NOFILE, (DESCRIPTORS, DESCRIPTORS))
    for name, files in (("rotated", capture.cut(folder, "rotated", FILES)),
                        ("interleaved", capture.deal(folder, "dealt", FILES))):
        for workers in (1, 2):
            ran = flowloom.read(files, folder / "out", "-q", "--workers", workers,
                                preexec_fn=few_descriptors)
            checks.equal((0, ""), (ran.status, ran.err), f"{FILES} {name} files")
            same_contents(checks, expected, contents(folder / "out"), f"{FILES} {name} files")


def main():
    flowloom = Command(sys.argv[1])
    checks = Checks()
    with scratch() as folder:
        check_wrappings(checks, flowloom, pathlib.Path(folder))
        check_rotation(checks, flowloom, sys.argv[2], pathlib.Path(folder))
    checks.finish()


if __name__ == "__main__":
    main()
