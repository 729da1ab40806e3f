#!/usr/bin/env python3
"""Files that are begun anew while records are written: by signal, by size and by time. All files
together hold the records of a run without rotation, byte for byte, each once and in order.
usage: rotation_test.py FLOWLOOM
"""
import os
import pathlib
import pty
import signal
import subprocess
import sys
import threading
import time

from support import (ACK, PCAP_HEADER, PSH, Checks, Command, Talk, balances, capture_of, contents,
                     fresh, scratch, stats)

SOON = 20              # seconds in which a signal must have done its work, on a busy machine
HANGUPS = 1000
TALKS_PER_HANGUP = 3
STEP = 0.05            # seconds of packet time between two connections
OPTIONS = ("--closed-timeout", "0.1", "--write", "flows,pack")


def make_talks(count):
    """Packets of short connections one after the other; each ends soon by the packets' clock."""
    for number in range(1, count + 1):
        talk, at = Talk(number), 1 + number * STEP
        talk.open(at).say(at, 0, ACK | PSH, b"q%d" % number).say(at, 1, ACK | PSH, b"a" * 50)
        yield talk.close(at)


def all_records(folder, name="flows"):
    """The numbered files in their order, then the one without a number."""
    folder = pathlib.Path(folder)
    numbered = sorted(folder.glob(f"{name}-*.jsonl"))
    return b"".join(p.read_bytes() for p in [*numbered, folder / f"{name}.jsonl"])


def wait_for(condition):
    deadline = time.monotonic() + SOON
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.01)
    return condition()


class Feeder(threading.Thread):
    """Writes connections into a pipe, no more than some ahead of what is allowed."""

    def __init__(self, pipe, talks):
        super().__init__()
        self.pipe, self.talks, self.allowed, self.fed = pipe, talks, threading.Semaphore(50), []
        self.over = False

    def run(self):
        for talk in self.talks:
            while not self.allowed.acquire(timeout=0.1):
                if self.over:
                    return
            if self.over:
                return
            self.fed.append(talk)
            self.pipe.write(b"".join(record for _, record in talk.packets))
            self.pipe.flush()


def hang_up(process, feeder, out, count):
    """Sends SIGHUP `count` times, each as soon as the one before showed; how often it did."""
    for number in range(1, count + 1):
        process.send_signal(signal.SIGHUP)
        deadline = time.monotonic() + SOON
        for _ in range(TALKS_PER_HANGUP):
            feeder.allowed.release()
        while not (out / f"flows-{number:06}.jsonl").exists():
            if time.monotonic() > deadline or process.poll() is not None:
                return number - 1
            # The signal came while the file was empty: that is no reason for a new one.
            time.sleep(0.001)
            process.send_signal(signal.SIGHUP)
            feeder.allowed.release()
    return count


def check_signals(checks, flowloom, folder, workers, count):
    what = f"{count} SIGHUP, {workers} workers"
    out = pathlib.Path(fresh(folder / "signalled"))
    process = subprocess.Popen(
        [flowloom.path, "read", "-q", "-", "-o", out, "--workers", str(workers), *OPTIONS],
        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    process.stdin.write(PCAP_HEADER)
    feeder = Feeder(process.stdin, make_talks(count * 100))
    feeder.start()
    checks.that(wait_for((out / "flows.jsonl").exists), f"{what}: it started")
    checks.equal(count, hang_up(process, feeder, out, count), f"{what}: rotations that showed")
    feeder.over = True
    feeder.join()
    _, err = process.communicate(timeout=SOON)
    checks.equal((0, b""), (process.returncode, err), f"{what}: status")
    ledger = stats(out)
    files = len(list(out.glob("flows-*.jsonl")))
    checks.equal(files, ledger["writers"]["flows"]["rotations"], f"{what}: files")
    checks.equal(len(feeder.fed), ledger["connections"]["created"], f"{what}: connections")
    checks.that(balances(ledger), f"{what}: the ledger")
    capture = capture_of(folder / "fed.pcap", *feeder.fed)
    plain = folder / "plain"
    ran = flowloom.read([capture], plain, "-q", *OPTIONS)
    checks.equal(0, ran.status, f"{what}: the run without signals")
    checks.equal(len(feeder.fed), all_records(plain).count(b"\n"), f"{what}: records without")
    checks.that(all_records(plain) == all_records(out), f"{what}: the same records")
    shown = [flowloom("show", where, "--json").out for where in (plain / "pack", out / "pack")]
    checks.that(shown[0] == shown[1] and shown[0], f"{what}: the same pack")
    checks.that(flowloom("show", out, "--check").status == 0, f"{what}: a whole pack")


def check_limits(checks, flowloom, folder):
    """--rotate cuts at the same records for any workers and bursts."""
    capture = capture_of(folder / "limits.pcap", *make_talks(400))
    flowloom.read([capture], folder / "whole", "-q")
    whole = all_records(folder / "whole")
    shown = flowloom("show", folder / "whole").out
    for when, least in (("4K", 20), ("2s", 8), ("2s,4K", 25)):
        first = None
        for workers, burst in ((1, 32), (1, 1), (3, 7)):
            what = f"--rotate {when}, {workers} workers, burst {burst}"
            out = folder / "cut"
            ran = flowloom.read([capture], out, "-q", "--rotate", when, "--workers", workers,
                                "--burst", burst)
            checks.equal(0, ran.status, f"{what}: status")
            found = {name: data for name, data in contents(out).items() if "flows" in name}
            checks.that(len(found) >= least, f"{what}: only {len(found)} files")
            checks.that(all_records(out) == whole, f"{what}: all records")
            checks.equal(shown, flowloom("show", out).out, f"{what}: show")
            first = first or found
            checks.that(first == found, f"{what}: the same files")
        sizes = [len(data) for name, data in first.items() if "-" in name]
        if "K" in when:
            checks.that(max(sizes) < 4096 + 1024, f"--rotate {when}: sizes up to {max(sizes)}")
    ran = flowloom("read", capture, "-o", folder / "cut", "--force", "-q")
    checks.equal((0, []), (ran.status, list((folder / "cut").glob("*-0*"))),
                 "--force takes numbered files away")


def start(flowloom, *arguments):
    """flowloom read of a pipe that already holds one whole connection."""
    process = subprocess.Popen([flowloom.path, "read", "-", "--closed-timeout", "0.1", *arguments],
                               stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    process.stdin.write(PCAP_HEADER)
    feed(process, 1, 2)
    return process


def feed(process, *numbers):
    for talk in make_talks(max(numbers)):
        if talk.ports[0] - 20000 in numbers:
            process.stdin.write(b"".join(record for _, record in talk.packets))
    process.stdin.flush()


def check_logrotate(checks, flowloom, folder):
    """Somebody else moves the file and says so."""
    out = pathlib.Path(fresh(folder / "moved"))
    process = start(flowloom, "-q", "-o", out, "--write", "flows")
    flows = out / "flows.jsonl"
    for number in range(1, 4):
        feed(process, 3 * number, 3 * number + 10)
        checks.that(wait_for(lambda: flows.exists() and flows.stat().st_size > 0),
                    f"records of round {number}")
        flows.rename(out / f"flows.jsonl.{number}")
        if number == 2:
            flows.touch()  # logrotate's `create`
        process.send_signal(signal.SIGHUP)
        checks.that(wait_for(flows.exists), f"a new file in round {number}")
    _, err = process.communicate(timeout=SOON)
    checks.equal((0, b""), (process.returncode, err), "moved files: status")
    found = b"".join((out / f"flows.jsonl.{number}").read_bytes() for number in range(1, 4))
    found += flows.read_bytes()
    checks.equal(8, found.count(b"\n"), "moved files: records")
    checks.equal(8, len(set(found.splitlines())), "moved files: each once")
    checks.equal([], list(out.glob("flows-*")), "moved files: none is numbered")


def check_other_signals(checks, flowloom, folder):
    process = start(flowloom, "-v", "-o", fresh(folder / "asked"))
    checks.that(b"worker" in process.stderr.readline(), "it started")
    deadline, packets = time.monotonic() + SOON, ""
    while packets != f"packets     {2 * 8} ({2 * 8} tcp)\n" and time.monotonic() < deadline:
        process.send_signal(signal.SIGUSR1)
        lines = [process.stderr.readline().decode() for _ in range(4)]
        packets = lines[0]
    checks.equal(["packets", "connections", "payload", "time"],
                 [line.split(" ")[0] for line in lines], "SIGUSR1 prints statistics")
    checks.equal(f"packets     {2 * 8} ({2 * 8} tcp)\n", packets, "its packets")
    checks.equal(None, process.poll(), "SIGUSR1 ends nothing")
    process.communicate(timeout=SOON)
    checks.equal(0, process.returncode, "SIGUSR1: status")
    # Without files to begin anew, the end of the terminal is the end of the run.
    process = start(flowloom, "-v")
    checks.that(b"worker" in process.stderr.readline(), "it started without -o")
    process.send_signal(signal.SIGHUP)
    out, _ = process.communicate(timeout=SOON)
    checks.equal((0, 2), (process.returncode, out.count(b"[+]")), "SIGHUP without -o ends in order")


def check_closed_terminal(checks, flowloom, folder):
    """The terminal goes: a run that was started on it ends in order, although it has files."""
    out, fifo = pathlib.Path(fresh(folder / "closed")), folder / "fifo"
    os.mkfifo(fifo)
    child, terminal = pty.fork()
    if child == 0:
        os.execv(flowloom.path, [flowloom.path, "read", str(fifo), "-o", str(out)])
    with open(fifo, "wb") as pipe:
        pipe.write(PCAP_HEADER)
        for talk in make_talks(3):
            pipe.write(b"".join(record for _, record in talk.packets))
        pipe.flush()
        checks.that(wait_for((out / "flows.jsonl").exists), "on a terminal: it started")
        text = b""
        deadline = time.monotonic() + SOON
        while b"3 connections" not in text and time.monotonic() < deadline:
            text += os.read(terminal, 4096)
        os.close(terminal)
        checks.that(wait_for((out / "stats.json").exists), "a closed terminal: it ends in order")
    os.waitpid(child, 0)
    checks.equal(3, all_records(out).count(b"\n"), "a closed terminal: records")


def main():
    flowloom = Command(sys.argv[1])
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        check_signals(checks, flowloom, folder, 2, HANGUPS)
        check_signals(checks, flowloom, folder, 1, HANGUPS // 5)
        check_limits(checks, flowloom, folder)
        check_logrotate(checks, flowloom, folder)
        check_other_signals(checks, flowloom, folder)
        check_closed_terminal(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
