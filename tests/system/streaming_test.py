#!/usr/bin/env python3
"""flowloom while it runs: streams of ended connections are on disk while the input still comes,
an interrupt writes what is open, a second one aborts, and memory does not grow with the input.
usage: streaming_test.py FLOWLOOM GENERATOR
"""
import contextlib
import os
import pathlib
import resource
import signal
import subprocess
import sys
import time

from support import (ACK, PCAP_HEADER, PSH, RST, TIMEOUT, Checks, Command, Talk, balances,
                     capture_of, fresh, generate, records, scratch, stats)

SOON = 10       # seconds in which a running command must have reacted, on a busy machine
ABORTED = 130   # exit status after the second interrupt
GROWTH = 8      # MiB that peak memory may differ by between inputs of different size


def wait_for(condition):
    """Whether it becomes true soon."""
    deadline = time.monotonic() + SOON
    while time.monotonic() < deadline:
        if condition():
            return True
        time.sleep(0.02)
    return condition()


class Running:
    """flowloom read of a pipe that the test feeds."""

    def __init__(self, flowloom, out, *options):
        self.out = pathlib.Path(fresh(out))
        self.lines = open(f"{out}.lines", "wb")
        self.process = subprocess.Popen(
            [flowloom.path, "read", "-q", "-", "-o", self.out, *map(str, options)],
            stdin=subprocess.PIPE, stdout=self.lines, stderr=subprocess.PIPE)
        self.feed(PCAP_HEADER)

    def feed(self, data):
        self.process.stdin.write(data)
        self.process.stdin.flush()

    def say(self, *talks):
        packets = sorted((p for t in talks for p in t.packets), key=lambda p: p[0])
        self.feed(b"".join(record for _, record in packets))
        for talk in talks:
            talk.packets.clear()

    def printed(self):
        return pathlib.Path(self.lines.name).read_bytes()

    def end(self):
        """Exit status and standard error, the input ended or the process interrupted before."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        try:
            status = self.process.wait(SOON)
        except subprocess.TimeoutExpired:
            self.process.kill()
            status = f"killed after {SOON} s"
        self.lines.close()
        with self.process.stderr as err:
            return status, err.read().decode()


def stream_files(out):
    return sorted((p.name, p.read_bytes()) for p in (out / "streams").iterdir())


def check_streaming(checks, flowloom, folder, workers):
    what = f"a slow pipe, {workers} workers"
    running = Running(flowloom, folder / "slow", "--workers", workers)
    ended, reset, long = Talk(1), Talk(2), Talk(3)
    ended.open(1).say(1, 0, ACK | PSH, b"question").say(1, 1, ACK | PSH, b"answer").close(2)
    reset.open(1).say(1, 0, ACK | PSH, b"hello").say(2, 1, RST | ACK)
    long.open(1).say(50, 1, ACK | PSH, b"x" * 1000)
    running.say(ended, reset, long)
    # 100 s later by the packets' clock: the closed ones have lingered long enough.
    long.say(100, 0, ACK | PSH, b"later")
    running.say(long)
    checks.that(wait_for(lambda: (running.out / "streams").is_dir()
                         and len(stream_files(running.out)) == 3), f"{what}: streams are there")
    checks.equal([b"answer", b"hello", b"question"],
                 sorted(data for _, data in stream_files(running.out)), f"{what}: their bytes")
    checks.that(wait_for(lambda: running.printed().count(b"[+]") == 2), f"{what}: their lines")
    checks.that(wait_for(lambda: len(records(running.out)) == 2), f"{what}: their records")
    checks.equal(None, running.process.poll(), f"{what}: it is still running")
    # A long stream grows on disk before its connection ends.
    for i in range(200):
        long.say(101 + i / 100, 1, ACK | PSH, bytes([i]) * 1400).say(101 + i / 100, 0, ACK)
    running.say(long)
    checks.that(wait_for(lambda: any(name.endswith(".part") and len(data) >= 64 << 10
                                     for name, data in stream_files(running.out))),
                f"{what}: a long stream grows")
    status, err = running.end()
    checks.equal((0, ""), (status, err), f"{what}: the end")
    checks.equal(5, len(stream_files(running.out)), f"{what}: all streams")
    checks.that(not any(name.endswith(".part") for name, _ in stream_files(running.out)),
                f"{what}: no part is left")
    checks.that(balances(stats(running.out)), f"{what}: the ledger")


def check_interrupt(checks, flowloom, folder, number, workers, *options):
    what = f"{signal.Signals(number).name}, {workers} workers"
    running = Running(flowloom, folder / "interrupted", "--workers", workers, *options)
    talks = [Talk(i).open(1).say(2, 0, ACK | PSH, b"open" * 10) for i in range(20)]
    talks[0].say(3, 1, ACK | PSH, b"z" * 100)
    running.say(*talks)
    # Written only at the end, so nothing tells that all was read: half a second is ample.
    time.sleep(0.5)
    start = time.monotonic()
    running.process.send_signal(number)
    try:
        running.process.wait(SOON)
    except subprocess.TimeoutExpired:
        checks.that(False, f"{what}: it does not end")
    took = time.monotonic() - start
    status, err = running.end()
    checks.equal((0, ""), (status, err), f"{what}: status")
    checks.that(took < 5, f"{what}: took {took:.1f} s")
    found = records(running.out)
    checks.equal([20, {"eof"}], [len(found), {r["close"] for r in found}], f"{what}: records")
    checks.equal(21, len(stream_files(running.out)), f"{what}: streams of open connections")
    checks.that(balances(stats(running.out)), f"{what}: the ledger")


def check_second_interrupt(checks, flowloom, generator, folder):
    """Standard output is a pipe that nobody empties, so the first interrupt cannot finish."""
    path = generate(generator, "many", folder / "many.pcap", "1/50")
    process = subprocess.Popen([flowloom.path, "read", "-q", path], stdout=subprocess.PIPE,
                               stderr=subprocess.PIPE)
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    time.sleep(0.5)
    checks.equal(None, process.poll(), "the first interrupt waits for standard output")
    process.send_signal(signal.SIGINT)
    try:
        checks.equal(ABORTED, process.wait(SOON), "the second interrupt aborts")
    finally:
        process.kill()
        process.communicate()


def check_interrupt_of_run(checks, flowloom, folder, capture):
    """A port that never ends, ended by a signal."""
    out = fresh(folder / "run")
    process = subprocess.Popen(
        [flowloom.path, "run", f"--vdev=net_pcap0,rx_pcap={capture},infinite_rx=1", "--", "-q",
         "-o", out], stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    checks.that(wait_for((out / "flows.jsonl").exists), "run without end starts")
    time.sleep(0.5)
    checks.equal(None, process.poll(), "run without end goes on")
    process.send_signal(signal.SIGINT)
    try:
        err = process.communicate(timeout=SOON)[1].decode()
    except subprocess.TimeoutExpired:
        process.kill()
        err = process.communicate()[1].decode() + "killed"
    checks.equal(0, process.returncode, f"an interrupt ends run: {err}")
    if process.returncode == 0:
        checks.that(balances(stats(out)) and stats(out)["packets"]["received"] > 0,
                    "the ledger of an interrupted run")


# A child starts with the peak of its parent, and this script may be larger than what it measures.
SMALL_PARENT = """import resource, subprocess, sys
status = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL).returncode
print(status, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024)"""


def peak_memory(flowloom, *arguments):
    """(status, MiB) of a run."""
    ran = subprocess.run([sys.executable, "-S", "-c", SMALL_PARENT, flowloom.path,
                          *map(str, arguments)], stdout=subprocess.PIPE,
                         stderr=subprocess.DEVNULL, check=True, timeout=TIMEOUT)
    status, peak = ran.stdout.split()
    return int(status), float(peak)


def check_memory(checks, flowloom, generator, folder):
    """Four times the input, about the same memory: connections end and leave."""
    peaks = []
    for size in ("1/20", "1/5"):
        path = generate(generator, "many", folder / "memory.pcap", size)
        status, peak = peak_memory(flowloom, "read", "-q", path, "-o", fresh(folder / "memory"),
                                   "--closed-timeout", "2", "--max-flows", "20000",
                                   "--memory", "64M")
        checks.equal(0, status, f"memory, {size}: status")
        peaks.append(peak)
        print(f"peak memory of {os.path.getsize(path) >> 20} MiB: {peak:.0f} MiB", flush=True)
    checks.that(peaks[1] < peaks[0] + GROWTH, f"memory grows with the input: {peaks} MiB")


def check_held_bytes(checks, flowloom, folder):
    """Many connections whose first bytes never come hold no more than --memory."""
    talks = []
    for number in range(1, 400):
        talk = Talk(number).open(1)
        for i in range(1, 40):
            talk.say(2 + i / 100, 0, ACK | PSH, bytes(1400), seq=1001 + i * 1400)
        talks.append(talk)
    path = capture_of(folder / "holes.pcap", *talks)
    peaks = []
    for memory in ("2M", "1G"):
        out = fresh(folder / "holes")
        status, peak = peak_memory(flowloom, "read", "-q", path, "-o", out, "--memory", memory)
        checks.equal((0, True), (status, balances(stats(out))), f"--memory {memory}")
        peaks.append(peak)
    print(f"peak memory with --memory 2M and 1G: {peaks[0]:.0f} and {peaks[1]:.0f} MiB")
    held = 399 * 39 * 1400 >> 20  # what waits behind the holes; on its way to the writer is little
    checks.that(peaks[0] + held < peaks[1], f"--memory bounds what is held: {peaks} MiB")


def main():
    flowloom, generator = Command(sys.argv[1]), sys.argv[2]
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        for workers in (1, 2):
            check_streaming(checks, flowloom, folder, workers)
            check_interrupt(checks, flowloom, folder, signal.SIGINT, workers)
        check_interrupt(checks, flowloom, folder, signal.SIGTERM, 1, "--sha256")
        check_second_interrupt(checks, flowloom, generator, folder)
        check_interrupt_of_run(checks, flowloom, folder,
                               generate(generator, "many", folder / "loop.pcap", "1/1000"))
        check_memory(checks, flowloom, generator, folder)
        check_held_bytes(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
