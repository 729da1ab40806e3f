#!/usr/bin/env python3
"""flowloom live with a writer that is too slow: its standard output is a pipe that nobody reads.
Packets must not wait for it. Bytes are cut out of their streams, each record says which, and what
is not cut is exact; captures in files wait instead, and lose nothing.

usage: live_pressure_test.py FLOWLOOM
"""
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

from live_support import PATIENCE, SERVER, SERVER6, Link, Live, enter_namespaces, serve
from support import ACK, PSH, Checks, Talk, balances, capture_of, records, scratch, stats

PORT = 8080
MANY = 900  # connections whose records fill the buffer before the pipe, and the pipe
LARGE = 12  # connections of many bytes
SIZE = 2_000_000
OFFLINE = 2000  # connections of a capture
# A host whose FIN crossed the other's sends it again after 0.2 s: it must find its connection.
LINGER = 0.5

CLIENTS = f"""
import random, socket, sys
def talk(n, size):
    with socket.create_connection((["{SERVER}", "{SERVER6}"][n % 2], {PORT})) as s:
        s.sendall(n.to_bytes(4, "big") + size.to_bytes(4, "big") + random.Random(n).randbytes(size))
        s.recv(1)
for n in range(int(sys.argv[1]), int(sys.argv[2])):
    talk(n, int(sys.argv[3]))
"""


def content(n, size):
    return n.to_bytes(4, "big") + size.to_bytes(4, "big") + random.Random(n).randbytes(size)


def take_all(server):
    """Reads what clients send, and hangs up."""
    while True:
        connection = server.accept()[0]
        with connection:
            head = connection.recv(8, socket.MSG_WAITALL)
            left = int.from_bytes(head[4:], "big")
            while left > 0:
                left -= len(connection.recv(min(left, 1 << 18)))


def talk(link, first, last, size):
    subprocess.run(link.there(sys.executable, "-c", CLIENTS, str(first), str(last), str(size)),
                   check=True, timeout=PATIENCE)


def start(flowloom, link, out, workers):
    """flowloom with its writer stuck: one that wants to print more than a pipe takes."""
    live = Live(flowloom, out, "--json", "--workers", str(workers), "--max-flows", "5000",
                "--memory", "8M", "--closed-timeout", str(LINGER), stdout=subprocess.PIPE)
    talk(link, 0, MANY, 10)
    time.sleep(LINGER + 0.2)
    talk(link, MANY, MANY + 1, 10)  # its packets end the others
    return live


def check_cuts(checks, flowloom, link, folder, workers):
    what = f"{workers} workers"
    out = f"{folder}/slow{workers}"
    live = start(flowloom, link, out, workers)
    talk(link, MANY + 1, MANY + LARGE, SIZE)
    time.sleep(0.2)
    live.process.send_signal(signal.SIGINT)
    printed, err = live.process.communicate(timeout=PATIENCE)
    checks.equal(0, live.process.returncode, f"{what}: {err}")
    checks.that("too slow" in err, f"{what}: said so: {err}")
    ledger = stats(out)
    checks.equal(0, ledger["packets"]["missed"], f"{what}: packets waited for the writer")
    checks.that(balances(ledger), f"{what}: the ledger")
    checks.that("writers" in ledger["limits"], f"{what}: the limit: {ledger['limits']}")
    found = records(out)
    checks.equal(MANY + LARGE, len(found), f"{what}: records")
    checks.equal(len(found), len(printed.splitlines()), f"{what}: lines")
    checks.equal({json.loads(line)["uid"] for line in printed.splitlines()},
                 {r["uid"] for r in found}, f"{what}: the same connections")
    cut = sum(check_stream(checks, out, record, what) for record in found)
    checks.that(cut > LARGE * SIZE / 2, f"{what}: {cut} bytes cut")
    checks.equal(cut, ledger["payload_bytes"]["fates"]["cut_writer"], f"{what}: bytes cut")
    checks.equal({"bytes": cut, "records": 0, "packets": 0, "probes": 0}, ledger["shed"],
                 f"{what}: what was shed")


def check_stream(checks, out, record, what):
    """What was sent, but for what the record's gaps name. Returns how much that is."""
    side = record["orig"]
    data = (pathlib.Path(out) / side["file"]).read_bytes() if "file" in side else b""
    total = side["stream_bytes"] + side["gap_bytes"]
    starts = not side["gaps"] or side["gaps"][0]["offset"] >= 8
    sent = content(*(int.from_bytes(data[at:at + 4], "big") for at in (0, 4))) if starts else None
    left, at = b"", 0
    for gap in side["gaps"]:
        checks.equal("cut", gap["cause"], f"{what}: the cause")
        left += sent[at:gap["offset"]] if starts else b""
        at = gap["offset"] + gap["length"]
    if starts:
        checks.that(data == left + sent[at:] and total == len(sent), f"{what}: {record['uid']}")
    checks.equal(side["payload_bytes"] - side["duplicate_bytes"], total,
                 f"{what}: every byte is somewhere")
    checks.equal(("SF", 0), (record["state"], record["resp"]["gap_bytes"]),
                 f"{what}: tracked to its end")
    return side["gap_bytes"]


def check_abort(checks, flowloom, link, folder):
    """With a writer that never goes on, the first Ctrl-C gives it some time; the second none."""
    # The thread sanitizer would report the threads that it leaves behind.
    os.environ["TSAN_OPTIONS"] = os.environ.get("TSAN_OPTIONS", "") + ":report_thread_leaks=0"
    live = start(flowloom, link, f"{folder}/abort", 1)
    live.process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    checks.equal(None, live.process.poll(), "the first Ctrl-C waits for the writer")
    live.process.send_signal(signal.SIGINT)
    checks.equal(130, live.process.wait(PATIENCE), "the second Ctrl-C")
    live.process.communicate()


def start_reading(flowloom, capture, out, stderr):
    """The same of a capture; returns when the pipe is full."""
    process = subprocess.Popen([flowloom, "read", capture, "-o", out, "--json", "--memory", "2M",
                                "--workers", "2"], stdout=subprocess.PIPE, stderr=stderr)
    time.sleep(0.5)
    return process


def offline_capture(folder, count=OFFLINE):
    talks = [Talk(n).open(n).say(n, 0, PSH | ACK, random.Random(n).randbytes(1400)).close(n)
             for n in range(1, count + 1)]
    return capture_of(f"{folder}/many.pcap", *talks)


def check_offline(checks, flowloom, folder):
    """The same pipe: read waits, and nothing is cut."""
    process = start_reading(flowloom, offline_capture(folder), f"{folder}/read",
                            subprocess.DEVNULL)
    printed = process.communicate(timeout=PATIENCE)[0]
    checks.equal(0, process.returncode, "read with a slow pipe")
    ledger = stats(f"{folder}/read")
    checks.that("shed" not in ledger and balances(ledger), "read sheds nothing")
    checks.equal(0, ledger["payload_bytes"]["fates"]["cut_writer"], "read cuts nothing")
    checks.equal(OFFLINE, len(printed.splitlines()), "read: lines")
    checks.equal(OFFLINE * 1400, ledger["payload_bytes"]["fates"]["delivered"], "read: bytes")


def main():
    enter_namespaces()
    flowloom = os.path.abspath(sys.argv[1])
    checks = Checks()
    with scratch() as folder, Link() as link:
        serve(PORT, take_all)
        for workers in (1, 2):
            check_cuts(checks, flowloom, link, folder, workers)
        check_abort(checks, flowloom, link, folder)
        check_offline(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
