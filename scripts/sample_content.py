#!/usr/bin/env python3
"""Writes the files that the sample's web server serves: the same bytes on every run.

usage: sample_content.py FOLDER
"""

import os
import random
import struct
import sys
import zlib

SEED = 9293  # the number of TCP's RFC; any fixed one does
MTIME = 1_700_000_000  # Last-Modified and ETag stay the same, too
PICTURE_WIDTH = 480
PICTURE_HEIGHT = 380

WORDS = ("segment window acknowledgement sequence stream offset burst ring lane "
         "frame datagram order delivery gap timer").split()


def words(rng, count):
    """Lines of eight words each, `count` words in all."""
    chosen = [rng.choice(WORDS) for _ in range(count)]
    lines = [" ".join(chosen[i:i + 8]) for i in range(0, count, 8)]
    return "\n".join(lines) + "\n"


def png(rng, width, height):
    """A greyscale picture of noise: a real PNG that no compression makes smaller."""
    def chunk(kind, body):
        checksum = zlib.crc32(kind + body)
        return struct.pack(">I", len(body)) + kind + body + struct.pack(">I", checksum)

    rows = b"".join(b"\0" + rng.randbytes(width) for _ in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    stored = zlib.compress(rows, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", stored)
            + chunk(b"IEND", b""))


def files(rng):
    page = ("<!doctype html>\n<title>flowloom sample</title>\n"
            "<link rel=stylesheet href=style.css>\n<h1>Two programs talking</h1>\n"
            "<img src=picture.png alt=noise>\n<pre>\n" + words(rng, 240) + "</pre>\n")
    return {
        "index.html": page.encode(),
        "style.css": b"body { font: 16px/1.5 serif; margin: 2em auto; max-width: 40em }\n",
        "notes.txt": words(rng, 2400).encode(),
        "empty.txt": b"",
        "one.txt": words(rng, 80).encode(),
        "two.txt": words(rng, 160).encode(),
        "three.txt": words(rng, 320).encode(),
        "picture.png": png(rng, PICTURE_WIDTH, PICTURE_HEIGHT),
    }


def main():
    folder = sys.argv[1]
    for name, content in files(random.Random(SEED)).items():
        path = os.path.join(folder, name)
        with open(path, "wb") as out:
            out.write(content)
        os.utime(path, (MTIME, MTIME))


if __name__ == "__main__":
    main()
