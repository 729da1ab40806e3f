#!/usr/bin/env python3
"""Ctrl-C while standard output is a pipe that nobody will ever read: of flowloom live and of read,
and where their messages go to that pipe as well. The run ends all the same.

usage: dead_output_test.py FLOWLOOM
"""
import os
import pathlib
import signal
import subprocess
import sys
import time

from live_pressure_test import MANY, PORT, offline_capture, start, start_reading, take_all
from live_support import PATIENCE, Link, enter_namespaces, serve
from support import Checks, balances, records, scratch, stats

STORED = 800  # connections of a capture: more records than buffer and pipe hold


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
    checks.finish()


if __name__ == "__main__":
    main()
