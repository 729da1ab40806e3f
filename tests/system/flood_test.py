#!/usr/bin/env python3
"""Floods of SYNs, bare ACKs and single bytes from invented addresses, with real transfers among
them, in tables that are far too small: the transfers stay exact, nothing is uncounted, memory is
what was announced, and it stays flat however long it goes on.
usage: flood_test.py FLOWLOOM GENERATOR
"""
import json
import os
import re
import subprocess
import sys

from support import (Checks, Command, balances, check_truth, fresh, generate, records, scratch,
                     stats)

PACKETS = "1/100"      # of 10 million
TRANSFERS = 100
FLOWS = (3000, 10000)
MEMORY = "4M"
BASE_MIB = 64          # program, libraries and buffers; a sanitizer's come on top
SUMMARY_KEYS = ["record", "start", "end", "close", "connections", "kinds", "packets", "ip_bytes",
                "payload_bytes", "senders", "receivers"]
KIND = {"syn": "syn", "ack": "ack", "psh": "data"}
# A sanitizer remembers of every address what it may be used for.
SANITIZED = any(name in os.environ for name in ("ASAN_OPTIONS", "TSAN_OPTIONS"))


def peak_of(flowloom, *arguments):
    """(exit status, standard error, peak of resident memory in MiB) of a process of its own."""
    program = ("import resource, subprocess, sys; "
               "ran = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL); "
               "print('peak', resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss, "
               "file=sys.stderr); sys.exit(ran.returncode)")
    ran = subprocess.run([sys.executable, "-c", program, flowloom.path, *map(str, arguments)],
                         stderr=subprocess.PIPE, stdin=subprocess.DEVNULL, check=False)
    err = ran.stderr.decode()
    return ran.returncode, err, int(re.search(r"^peak (\d+)$", err, re.M)[1]) / 1024


def check_summaries(checks, out, truth, kind, what):
    """Records and summaries together are all connections; returns the transfers' records."""
    ledger = stats(out)
    lines = records(out)
    summaries = [line for line in lines if "record" in line]
    single = [line for line in lines if "record" not in line]
    checks.that(balances(ledger), f"{what}: the ledger balances")
    summed = sum(one["connections"] for one in summaries)
    checks.equal(ledger["connections"]["created"], len(single) + summed, f"{what}: connections")
    evicted = ledger["connections"]["evicted"]
    checks.equal(evicted["unconfirmed"], summed, f"{what}: evicted")
    checks.equal([0, 0], [evicted["half_open"], evicted["open"]], f"{what}: confirmed ones stay")
    checks.equal(sum(evicted.values()), ledger["connections"]["closed"]["evicted"], what)
    for one in summaries:
        checks.equal(SUMMARY_KEYS, list(one), f"{what}: keys of a summary")
        checks.equal(one["connections"], sum(one["kinds"].values()), f"{what}: kinds")
        checks.that(one["packets"] >= one["connections"], f"{what}: packets of a summary")
    of_flood = sum(one["kinds"][KIND[kind]] for one in summaries)
    checks.that(of_flood > truth["flood_packets"] * 0.7, f"{what}: only {of_flood} of the flood")
    starts = [one["start"][:19] for one in summaries]
    checks.that(len(set(starts)) >= len(starts) - 1, f"{what}: one summary a second")
    fates = ledger["payload_bytes"]["fates"]
    checks.equal(0, fates["cut_memory"], f"{what}: nothing is cut for want of memory")
    checks.equal(sum(one["payload_bytes"] for one in summaries), fates["cut_eviction"],
                 f"{what}: bytes of those without a record")
    checks.equal(truth["payload_bytes"], fates["delivered"] + fates["cut_eviction"],
                 f"{what}: every byte")
    transfers = [line for line in single if line["close"] == "fin"]
    checks.equal(TRANSFERS, len(transfers), f"{what}: transfers")
    return transfers


def check_flood(checks, flowloom, generator, folder, kind):
    capture = generate(generator, "flood", f"{folder}/{kind}.pcap", PACKETS, "--flood", kind,
                       "--connections", str(TRANSFERS))
    truth = stats_of(capture)
    for flows in FLOWS:
        for workers in (1, 2):
            what = f"{kind}, {flows} flows, {workers} workers"
            out = fresh(f"{folder}/out")
            status, err, peak = peak_of(flowloom, "read", "-v", "--workers", workers,
                                        "--max-flows", flows, "--memory", MEMORY, "-o", out,
                                        capture)
            checks.equal(0, status, f"{what}: {err[:300]}")
            check_summaries(checks, out, truth, kind, what)
            check_truth(checks, capture, strip_summaries(out), what)
            reserved = float(re.search(r"([\d.]+) MiB reserved", err)[1])
            checks.that(SANITIZED or peak <= reserved * 1.05 + BASE_MIB,
                        f"{what}: {peak:.0f} MiB of {reserved:.0f} and {BASE_MIB}")
            checks.that("evicted     " in err, f"{what}: standard error tells of evictions")
    shown = flowloom("show", out)
    checks.equal((0, b""), (shown.status, b"" if b":80" in shown.out else b"none"),
                 f"{kind}: show passes over summaries: {shown.err}")


def stats_of(capture):
    with open(f"{capture}.truth.json", encoding="utf-8") as file:
        return json.load(file)


def strip_summaries(out):
    """Leaves the records of connections, which is what the truth speaks of."""
    path = f"{out}/flows.jsonl"
    with open(path, encoding="utf-8") as file:
        lines = [line for line in file if not line.startswith('{"record"')]
    with open(path, "w", encoding="utf-8") as file:
        file.writelines(lines)
    return out


def check_flat(checks, flowloom, generator, folder):
    """Four times the flood takes no more memory: CI-sized soak."""
    peaks = []
    for size in ("1/200", "1/50"):
        capture = generate(generator, "flood", f"{folder}/soak.pcap", size, "--flood", "psh",
                           "--connections", "40")
        status, err, peak = peak_of(flowloom, "read", "-q", "--workers", 1, "--max-flows", 1000,
                                    "--memory", MEMORY, "-o", fresh(f"{folder}/out"), capture)
        checks.equal(0, status, f"soak of {size}: {err[:300]}")
        peaks.append(peak)
    growth = peaks[1] - peaks[0]
    checks.that(growth <= (16 if SANITIZED else 2), f"memory grows by {growth:.1f} MiB: {peaks}")


def check_without_memory(checks, flowloom, capture):
    """Tables that cannot be had: one sentence at the start, and nothing is made."""
    for options in (["--max-flows", "100000000", "--memory", "1G"],
                    ["--max-flows", "1000", "--memory", "900G"]):
        ran = subprocess.run(["sh", "-c", 'ulimit -v 3000000; exec "$@"', "sh", flowloom.path,
                              "read", "--write", "none", *options, capture],
                             capture_output=True, check=False)
        err = ran.stderr.decode()
        checks.that(SANITIZED or ran.returncode == 1, f"{options}: status {ran.returncode}")
        checks.that(SANITIZED or "cannot be reserved" in err and err.count("\n") == 1,
                    f"{options}: {err[:300]}")


def main():
    flowloom, generator = Command(sys.argv[1]), sys.argv[2]
    checks = Checks()
    with scratch() as folder:
        for kind in KIND:
            check_flood(checks, flowloom, generator, folder, kind)
        check_flat(checks, flowloom, generator, folder)
        check_without_memory(checks, flowloom, f"{folder}/syn.pcap")
    checks.finish()


if __name__ == "__main__":
    main()
