#!/usr/bin/env python3
"""Compiles every header of lib/ alone: each includes what it uses.

usage: check_headers.py [--root ROOT] [--jobs N] [--compiler WORD...] [HEADER...]

A header gets the flags of the packages that its room's row in lib/meson.build names, or that the
rooms below it name; so a header that leans on something its room may not use fails here, too.
"""

import argparse
import concurrent.futures
import os
import subprocess
import sys

import check_layers

PKG_CONFIG = {
    "dpdk": "libdpdk", "dpdk_ring": "libdpdk", "pcap": "libpcap", "archive": "libarchive",
    "tbb": "tbb", "crypto": "libcrypto", "fmt": "fmt", "spdlog": "spdlog",
    "rapidjson": "RapidJSON", "pybind11": "python3 pybind11",
}
FLAGS = ("-std=c++20", "-march=x86-64-v2", "-fsyntax-only", "-Wall", "-Wextra", "-Werror")


def headers(root):
    return [path for path in check_layers.sources(root)
            if path.startswith("lib/") and path.endswith((".hpp", ".h"))]


def packages_of(room, rooms):
    below, packages = rooms[room]
    return sorted(packages.union(*(rooms[other][1] for other in below)))


def package_flags(packages, known):
    """Compiler flags of `packages`; `known` keeps the answers of pkg-config."""
    flags = []
    for name in sorted({PKG_CONFIG[package] for package in packages if package in PKG_CONFIG}):
        if name not in known:
            found = subprocess.run(("pkg-config", "--cflags", *name.split()), check=True,
                                   capture_output=True, text=True)
            # The libraries' own headers are not ours to judge.
            known[name] = found.stdout.replace("-I", "-isystem ").split()
        flags += known[name]
    return flags


def complaint(root, header, compiler, flags):
    """The compiler's first words about `header` alone, or None."""
    # Included from an empty file, so that #pragma once has somebody to say it to.
    command = [*compiler, *flags, *FLAGS, "-I", os.path.join(root, "lib"),
               "-I", os.path.join(root, "lib", "api", "include"), "-x", "c++",
               "-include", os.path.join(root, header), os.devnull]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode == 0:
        return None
    return f"{header} does not compile alone:\n" + "\n".join(done.stderr.splitlines()[:6])


def check(root, chosen, compiler, jobs):
    with open(os.path.join(root, "lib", "meson.build"), encoding="utf-8") as source:
        rooms = check_layers.rooms_of(source.read())
    known = {}
    # Headers outside of every room are check_layers' complaint.
    work = [(header, package_flags(packages_of(header.split("/")[1], rooms), known))
            for header in chosen if header.split("/")[1] in rooms]
    with concurrent.futures.ThreadPoolExecutor(jobs) as pool:
        answers = pool.map(lambda one: complaint(root, one[0], compiler, one[1]), work)
        return len(work), [answer for answer in answers if answer]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--root", default=".")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--compiler", nargs="+", default=["g++"])
    parser.add_argument("header", nargs="*")
    options = parser.parse_args()
    count, complaints = check(options.root, options.header or headers(options.root),
                              options.compiler, options.jobs)
    for one in complaints:
        print(one)
    print(f"{count} headers, {len(complaints)} do not compile alone")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())
