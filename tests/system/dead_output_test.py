#!/usr/bin/env python3
"""Ctrl-C while standard output is a pipe that nobody will ever read: of flowloom live and of read,
and where their messages go to that pipe as well. The run ends all the same; a live one also by
itself, when it has captured as long or as much as it was to.

usage: dead_output_test.py FLOWLOOM
"""
import contextlib
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time

from live_pressure_test import (MANY, PORT, offline_capture, start, start_reading, take_all,
                                talk)
from live_support import PATIENCE, Link, Live, enter_namespaces, serve
from service_test import Manager
from support import Checks, balances, records, scratch, stats

STORED = 800  # connections of a capture: more records than buffer and pipe hold
UNATTENDED = 20  # connections, where the pipe is full before the first


def check_dead(checks, flowloom, link, folder):
    """Nobody ever reads. Some seconds after the first Ctrl-C the pipe has failed: what it did not
    take is lost and counted, and everything else is written."""
    capture = offline_capture(folder, STORED)
    outs = [f"{folder}/dead{n}" for n in range(3)]
    live = start(flowloom, link, outs[0], 2)
    # The last one's messages go to the dead pipe as well.
    readers = [start_reading(flowloom, capture, outs[1], subprocess.PIPE),
               start_reading(flowloom, capture, outs[2], subprocess.STDOUT)]
    processes = [live.process, *readers]
    begin = time.monotonic()
    for process in processes:
        process.send_signal(signal.SIGINT)
    errors = []
    for out, process in zip(outs, processes):
        checks.equal(4, process.wait(PATIENCE), f"{out}: the status")
        errors.append(str(process.stderr.read() if process.stderr else ""))
        checks.that(time.monotonic() - begin > 4, f"{out}: it waited first")
        check_dead_folder(checks, out, len(process.stdout.read().splitlines()))
    for err in errors[:2]:
        checks.that("the writer stdout failed: it took nothing for" in err, f"said so: {err}")
        checks.equal(1, err.count("are lost"), f"one sentence: {err}")
    checks.equal(MANY + 1, len(records(outs[0])), "dead: all connections have their record")


def full_pipe():
    """(one end that nobody reads, one that takes nothing)."""
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    with contextlib.suppress(BlockingIOError):
        while os.write(writing, bytes(1)):
            os.write(writing, bytes(4096))
    os.set_blocking(writing, True)
    return reading, writing


def listen(manager, told):
    """When it is said that all is well."""
    while True:
        if manager.socket.recv(4096).startswith(b"WATCHDOG=1"):
            told.append(time.monotonic())


def check_unattended(checks, flowloom, link, folder):
    """--duration and --packets: nobody is there who would press Ctrl-C. On an interface of the
    kernel by one thread and by several, and on a port of DPDK. The service manager's watchdog hears
    of the first one, until it is over."""
    pipe, manager = full_pipe(), Manager(f"{folder}/manager")
    told = []
    threading.Thread(target=lambda: listen(manager, told), daemon=True).start()
    runs = []
    for name, options in (("port", ["--duration", "5", "--workers", "1"]),
                          ("seconds", ["--duration", "5"]),
                          ("seconds2", ["--duration", "5", "--workers", "2"]),
                          ("packets", ["--packets", str(UNATTENDED * 6)])):
        interface = "net_af_packet0,iface=link0" if name == "port" else "link0"
        out = f"{folder}/{name}"
        service = {"NOTIFY_SOCKET": manager.name, "WATCHDOG_USEC": "1000000"}
        environment = service if name == "seconds" else {}
        runs.append((out, Live(flowloom, out, "--json", "--max-flows", "5000", "--memory", "8M",
                               "-v", "--closed-timeout", "0.1", *options, interfaces=[interface],
                               stdout=pipe[1], **environment)))
    for out, live in runs:
        while "reserved" not in (line := live.process.stderr.readline()):
            checks.that(line, f"{out}: it starts")
    begin = time.monotonic()
    talk(link, 0, UNATTENDED, 10)
    for out, live in runs:
        checks.equal(4, live.process.wait(PATIENCE), f"{out}: the status")
        if out.endswith("/seconds"):
            checks.that(told and told[-1] > begin + 5 + 2, "the watchdog hears of it")
        err = live.process.stderr.read()
        checks.that("the writer stdout failed: it took nothing for" in err, f"{out}: {err}")
        ledger, found = stats(out), records(out)
        checks.that(balances(ledger) and found, f"{out}: the ledger, {len(found)} records")
        checks.equal(ledger["connections"]["created"], len(found), f"{out}: records")
        stdout = ledger["writers"]["stdout"]
        checks.equal((0, len(found)), (stdout["records"], stdout["dropped"]), f"{out}: lines")
        checks.equal(0, ledger["writers"]["flows"]["dropped"], f"{out}: flows")
    # As long as is captured, what an output may stand still, and what a busy machine takes.
    checks.that(time.monotonic() - begin < 5 + 5 + 8, "unattended runs end soon")
    for end in pipe:
        os.close(end)


def check_silenced(checks, flowloom, link, folder):
    """Nobody reads its messages either: what it has to say while it runs holds up nothing."""
    pipe, out = full_pipe(), f"{folder}/silenced"
    process = subprocess.Popen([flowloom, "live", "-i", "link0", "-o", out, "--json", "-q",
                                "--max-flows", "5000", "--closed-timeout", "0.1", "--duration",
                                "3"], stdout=pipe[1], stderr=pipe[1])
    while not pathlib.Path(out, "flows.jsonl").exists():
        time.sleep(0.01)
    begin = time.monotonic()
    process.send_signal(signal.SIGUSR1)
    talk(link, 0, UNATTENDED, 10)
    checks.equal(4, process.wait(PATIENCE), "silenced: the status")
    # The statistics, then standard output, each for 5 s; after that nobody is waited for.
    checks.that(time.monotonic() - begin < 3 + 5 + 5 + 6, "silenced: it ends soon")
    ledger, found = stats(out), records(out)
    checks.that(balances(ledger), "silenced: the ledger")
    checks.equal((ledger["connections"]["created"], 0),
                 (len(found), ledger["writers"]["flows"]["dropped"]), "silenced: records")
    for end in pipe:
        os.close(end)


def check_dead_folder(checks, out, lines):
    """Of a run whose standard output took nothing more: whole but for that, and it balances."""
    ledger, found = stats(out), records(out)
    checks.that(balances(ledger), f"{out}: the ledger")
    checks.equal(ledger["connections"]["created"], len(found), f"{out}: records")
    stdout, flows = (ledger["writers"][name] for name in ("stdout", "flows"))
    checks.equal((len(found), 0), (flows["records"], flows["dropped"]), f"{out}: flows")
    checks.equal(len(found), stdout["records"] + stdout["dropped"], f"{out}: lines")
    checks.that(stdout["dropped"] > 0 and stdout["dropped_bytes"] > 0, f"{out}: {stdout}")
    checks.that(lines >= stdout["records"] > 0, f"{out}: {lines} lines, {stdout}")
    sizes = {f"streams/{p.name}": p.stat().st_size for p in pathlib.Path(out, "streams").iterdir()}
    told = {r[side]["file"]: r[side]["stream_bytes"]
            for r in found for side in ("orig", "resp") if "file" in r[side]}
    checks.equal(told, sizes, f"{out}: streams")


def main():
    enter_namespaces()
    flowloom = os.path.abspath(sys.argv[1])
    checks = Checks()
    with scratch() as folder, Link() as link:
        serve(PORT, take_all)
        check_dead(checks, flowloom, link, folder)
        check_unattended(checks, flowloom, link, folder)
        check_silenced(checks, flowloom, link, folder)
    checks.finish()


if __name__ == "__main__":
    main()
