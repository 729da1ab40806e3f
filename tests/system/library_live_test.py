#!/usr/bin/env python3
"""The library on a silent interface: time passes there, too, so that who waits for the end of a
connection is told of it, by next(), and by nothing that comes later.
usage: library_live_test.py LIVE (the program of docs/examples)
"""
import select
import signal
import subprocess
import sys

from live_support import PATIENCE, Link, enter_namespaces, send_frames
from support import ACK, PSH, Checks, Talk


def check_silence(checks, live, link):
    process = subprocess.Popen([live, "tap0"], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                               text=True, bufsize=1)
    checks.equal("listening\n", process.stderr.readline(), "it listens")
    talk = Talk(1).open(0).say(0, 0, PSH | ACK, b"said").close(0)
    send_frames(link, [("far0", frame[16:]) for _, frame in talk.packets])
    lines = []
    while select.select([process.stdout], [], [], PATIENCE / 4)[0]:
        lines.append(process.stdout.readline())
        if not lines[-1] or lines[-1].endswith(": fin\n"):
            break
    checks.equal(["4 bytes", "fin"], [line.strip().split(": ")[-1] for line in lines],
                 "the end of a connection on a silent interface")
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    checks.equal((0, f"{len(talk.packets)} packets, 0 missed\n"), (process.returncode, err),
                 "the end")


def main():
    enter_namespaces()
    checks = Checks()
    with Link() as link:
        link.add_quiet("tap0", "far0")
        check_silence(checks, sys.argv[1], link)
    checks.finish()


if __name__ == "__main__":
    main()
