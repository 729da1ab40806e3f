#!/usr/bin/env python3
"""Measures the Python module beside dpkt reassembly and the command, on a made capture of many
short connections. Wall and CPU time of whole processes, medians over the rounds; the bytes found
are held against each other. dpkt reads the first part of the capture only (--dpkt-part), since it
takes minutes for all; its time is scaled by the bytes of the capture.

  perf/python_speed.py --build BUILDDIR                 the full capture (0.64 GB), 5 rounds
  perf/python_speed.py --build BUILDDIR --size 1/10     a tenth of it
  perf/python_speed.py --build BUILDDIR --write pack    the command's writer to compare with
"""
import argparse
import fractions
import os
import pathlib
import resource
import shutil
import statistics
import struct
import subprocess
import sys
import tempfile
import time

PYTHON = "/usr/bin/python3"
FLOWLOOM = """
import flowloom, sys
count = total = 0
for stream in flowloom.streams(sys.argv[1]):
    count += 1
    total += len(stream.client_data) + len(stream.server_data)
print(count, total)
"""
EVENTS = """
import flowloom, sys
total = 0
for event in flowloom.events(sys.argv[1]):
    if event.kind == "data":
        total += len(event.data)
print("-", total)
"""
# What such scripts do: segments per direction by sequence number, joined at the end.
DPKT = """
import dpkt, sys
parts = {}
with open(sys.argv[1], "rb") as file:
    for _, frame in dpkt.pcap.Reader(file):
        ip = dpkt.ethernet.Ethernet(frame).data
        if not isinstance(ip, dpkt.ip.IP) or not isinstance(ip.data, dpkt.tcp.TCP):
            continue
        tcp = ip.data
        one = parts.setdefault((ip.src, tcp.sport, ip.dst, tcp.dport), {})
        if tcp.data:
            one.setdefault(tcp.seq, tcp.data)
total = 0
for one in parts.values():
    data = b"".join(one[seq] for seq in sorted(one))
    total += len(data)
print(len(parts) // 2, total)
"""


def measured(command):
    """(wall, CPU, last line of standard output)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    start = time.monotonic()
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    wall = time.monotonic() - start
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    return wall, cpu, done.stdout.strip().rpartition("\n")[2]


def first_part(source, target, share):
    """The packets in the first `share` of a classic capture; returns what share they really are."""
    data = source.read_bytes()
    end, wanted = 24, len(data) * share
    while end < wanted:
        end += 16 + struct.unpack_from("=I", data, end + 8)[0]
    target.write_bytes(data[:end])
    return end / len(data)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--build", required=True)
    parser.add_argument("--size", default="1")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--write", default="none")
    parser.add_argument("--dpkt-part", type=fractions.Fraction, default=fractions.Fraction(1, 20))
    options = parser.parse_args()
    build = pathlib.Path(options.build).resolve()
    os.environ["PYTHONPATH"] = str(build / "lib" / "compat" / "python")
    memory = "/dev/shm" if os.path.isdir("/dev/shm") else None
    with tempfile.TemporaryDirectory(prefix="flowloom-", dir=memory) as name:
        folder = pathlib.Path(name)
        capture, part = folder / "many.pcap", folder / "part.pcap"
        subprocess.run([build / "perf" / "flowloom-gen", "many", capture, "-n", options.size],
                       check=True, stderr=subprocess.DEVNULL)
        share = first_part(capture, part, options.dpkt_part)
        out = folder / "out"
        command = [build / "app" / "flowloom", "read", capture, "-q", "--write", options.write]
        if options.write != "none":
            command += ["-o", out, "--force"]
        rows = {
            f"flowloom read --write {options.write}": (command, 1),
            "python: streams()": ([PYTHON, "-c", FLOWLOOM, capture], 1),
            "python: events()": ([PYTHON, "-c", EVENTS, capture], 1),
            "python: dpkt": ([PYTHON, "-c", DPKT, part], share),
        }
        found = {row: [] for row in rows}
        for _ in range(options.rounds):
            for row, (words, _) in rows.items():
                shutil.rmtree(out, ignore_errors=True)
                found[row].append(measured(words))
        print(f"{capture.stat().st_size / 1e6:.0f} MB, {options.rounds} rounds; dpkt reads "
              f"{share:.1%} of it")
        print(f"{'':34}{'wall s':>9}{'CPU s':>9}   streams, bytes")
        for row, (_, of_all) in rows.items():
            wall = statistics.median(one[0] for one in found[row]) / of_all
            cpu = statistics.median(one[1] for one in found[row]) / of_all
            print(f"{row:34}{wall:9.2f}{cpu:9.2f}   {found[row][0][2]}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
