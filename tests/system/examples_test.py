#!/usr/bin/env python3
"""The programs of docs/examples do what their first lines say, on the capture that comes with the
project; and pkg-config says how to build one.

usage: examples_test.py FLOWLOOM PKG_CONFIG_FOLDER LIBRARY LIVE PULL PUSH RUN
"""
import os
import pathlib
import socket
import subprocess
import sys
import tempfile

from support import ROOT, SAMPLE, TIMEOUT, Checks, Command, records, scratch


def output(*command, **options):
    return subprocess.run([str(word) for word in command], check=False, text=True,
                          timeout=TIMEOUT, capture_output=True, **options)


def check_pull(checks, flowloom, pull):
    expected = flowloom("read", SAMPLE, "--quiet").out.decode()
    done = output(pull, SAMPLE)
    checks.equal(0, done.returncode, f"pull ends well {done.stderr}")
    checks.equal(sorted(expected.splitlines()), sorted(done.stdout.splitlines()),
                 "pull prints the lines of flowloom read")
    missing = output(pull, "/nonexistent.pcap")
    checks.that(missing.returncode == 1 and "/nonexistent.pcap" in missing.stderr,
                f"pull names what it cannot read: {missing.stderr}")


def check_run(checks, flowloom, run):
    expected = []
    with scratch() as folder:
        flowloom.read([SAMPLE], pathlib.Path(folder) / "out")
        for record in records(pathlib.Path(folder) / "out"):
            if record["resp"]["port"] != 80:
                continue
            path = pathlib.Path(folder) / "out" / record["orig"]["file"]
            line = path.read_bytes().split(b"\n")[0].decode()
            address = record["resp"]["addr"]
            shown = f"[{address}]" if ":" in address else address
            expected.append(f"{shown}:80 {line.strip()}")
    checks.that(len(expected) >= 5, f"{len(expected)} requests to port 80")
    for workers in ("1", "3"):
        done = output(run, SAMPLE, workers)
        checks.equal(0, done.returncode, f"run with {workers} ends well {done.stderr}")
        checks.equal(sorted(expected), sorted(s.strip() for s in done.stdout.splitlines()),
                     f"run prints the request lines with {workers} workers")


def check_push(checks, flowloom, push):
    with scratch() as folder:
        flowloom.read([SAMPLE], pathlib.Path(folder) / "out")
        ends = sorted((r["orig"]["port"], r["close"])
                      for r in records(pathlib.Path(folder) / "out"))
    done = output(push, SAMPLE)
    checks.equal(0, done.returncode, f"push ends well {done.stderr}")
    found = sorted((int(line.split()[0].rsplit(":", 1)[1]), line.split()[1])
                   for line in done.stdout.splitlines() if "pause" in line)
    checks.that(set(ends) <= set(found), f"push names {found}, flowloom read {ends}")
    pauses = [int(line.split()[-2]) for line in done.stdout.splitlines()]
    checks.that(all(pause >= 0 for pause in pauses) and max(pauses) > 0, f"pauses {pauses}")


def check_live(checks, live):
    """Two ends that close, over the loopback interface."""
    with subprocess.Popen([live, "lo", "2"], text=True, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE) as running:
        first = running.stderr.readline()
        if first.strip() != "listening":
            # Without the privilege there is a sentence instead.
            checks.that(first.startswith("lo: ") and os.geteuid() != 0, f"live says {first}")
            return
        with socket.create_server(("127.0.0.1", 0)) as server:
            port = server.getsockname()[1]
            with socket.create_connection(("127.0.0.1", port)) as client:
                accepted, _ = server.accept()
                client.sendall(b"x" * 1234)
                left = 1234
                while left:
                    left -= len(accepted.recv(left))
                accepted.close()
        out, err = running.communicate(timeout=TIMEOUT)
        mine = [line for line in out.splitlines()
                if line.startswith("127.0.0.1:") and line.endswith(" bytes")]
        total = sum(int(line.split()[1]) for line in mine)
        checks.that(total >= 1234, f"live heard {out} {err}")
        checks.equal(0, running.returncode, f"live ends well {err}")


def check_pkg_config(checks, folder, library):
    """A program outside: what pkg-config says, the header alone, the library's soname."""
    def ask(*words):
        return output("pkg-config", *words, "flowloom",
                      env={**os.environ, "PKG_CONFIG_PATH": folder}).stdout.split()
    checks.that("-lflowloom" in ask("--libs"), "pkg-config names the library")
    checks.that("-std=c++20" in ask("--cflags"), "pkg-config names the standard")
    checks.equal(["-lflowloom"], [w for w in ask("--libs") if w.startswith("-l")],
                 "and nothing that the library is made of")
    header = ROOT / "lib" / "api" / "include" / "flowloom" / "extractor.hpp"
    with tempfile.TemporaryDirectory() as alone:
        done = output("c++", *[w for w in ask("--cflags") if w.startswith("-std")], "-Wall",
                      "-Wextra", "-Werror", "-fsyntax-only", "-x", "c++", "-include", header,
                      "/dev/null", cwd=alone)
        checks.equal(0, done.returncode, f"the header compiles alone: {done.stderr[:300]}")
    dynamic = output("readelf", "-d", library).stdout
    checks.that("[libflowloom.so.0]" in dynamic, "the soname is libflowloom.so.0")
    exported = output("nm", "-DC", "--defined-only", library).stdout.splitlines()
    public = ("Extractor", "Stream", "EndPoint", "name_of", "version")
    ours = [line for line in exported if " flowloom::" in line and
            not any(f"flowloom::{name}" in line for name in public)]
    checks.equal([], ours, "nothing is exported but the header's names")


def main():
    flowloom, folder, library, live, pull, push, run = sys.argv[1:]
    checks = Checks()
    check_pull(checks, Command(flowloom), pull)
    check_run(checks, Command(flowloom), run)
    check_push(checks, Command(flowloom), push)
    check_live(checks, live)
    check_pkg_config(checks, folder, library)
    checks.finish()


if __name__ == "__main__":
    main()
