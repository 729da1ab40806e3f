#!/usr/bin/env python3
"""A run that is looked at while it goes on: /metrics (promtool has a second opinion), stats.jsonl,
DPDK's telemetry socket, the line on a terminal. What they say is what stats.json says of a run that
is over.
usage: observe_test.py FLOWLOOM
"""
import contextlib
import json
import os
import pathlib
import pty
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request

from support import ROOT, SAMPLE, Checks, Command, fresh, scratch, stats

SOON = 20  # seconds in which something must have happened, on a busy machine


class Fed:
    """flowloom read of a pipe that has got the sample, but not its end."""

    def __init__(self, flowloom, *options, **more):
        self.process = subprocess.Popen([flowloom.path, "read", "-", *map(str, options)],
                                        stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                                        **{"stderr": subprocess.PIPE} | more)
        self.process.stdin.write(SAMPLE.read_bytes())
        self.process.stdin.flush()

    def end(self):
        self.process.stdin.close()
        return self.process.wait(SOON)


def wait_for(condition):
    """The first true value of the condition, or the last one."""
    deadline = time.monotonic() + SOON
    while True:
        found = condition()
        if found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def scrape(url):
    with urllib.request.urlopen(url, timeout=SOON) as answer:
        return answer.read().decode()


def values_of(text):
    return {line.rsplit(" ", 1)[0]: float(line.rsplit(" ", 1)[1])
            for line in text.splitlines() if line and not line.startswith("#")}


def labelled(values, name, label):
    """label's value -> value of the metric."""
    pattern = re.compile(rf'{name}\{{{label}="([\w-]+)"\}}')
    return {found[1]: value for key, value in values.items() if (found := pattern.fullmatch(key))}


def check_metrics(checks, flowloom, folder, workers):
    what = f"/metrics, {workers} workers"
    plain = folder / "plain"
    flowloom.read([SAMPLE], plain, "-q", "--closed-timeout", "0.1")
    expected = stats(plain)
    fed = Fed(flowloom, "-o", fresh(folder / "metrics"), "--metrics", 0, "--workers", workers,
              "--closed-timeout", "0.1")
    url = re.search(r"http://127\.0\.0\.1:\d+/metrics", fed.process.stderr.readline().decode())[0]
    received = expected["packets"]["received"]
    checks.that(wait_for(lambda: values_of(scrape(url))["flowloom_packets_received_total"]
                         == received), f"{what}: all packets are counted")
    text = scrape(url)
    values = values_of(text)
    checks.equal(expected["packets"]["verdicts"],
                 labelled(values, "flowloom_packets_total", "verdict"), f"{what}: verdicts")
    checks.equal(expected["payload_bytes"]["seen"], values["flowloom_payload_seen_bytes_total"],
                 f"{what}: payload")
    checks.equal(expected["payload_bytes"]["fates"],
                 labelled(values, "flowloom_payload_bytes_total", "fate"), f"{what}: fates")
    created = expected["connections"]["created"]
    ended = sum(labelled(values, "flowloom_connections_closed_total", "reason").values())
    checks.equal(created, values["flowloom_connections_created_total"], f"{what}: connections")
    checks.equal(created, values["flowloom_connections_open"] + ended, f"{what}: open or ended")
    threads = labelled(values, "flowloom_thread_packets_total", "thread")
    names = {f"worker{i}" for i in range(workers)} | ({"rx0"} if workers > 1 else set())
    checks.equal((names, received), (set(threads), sum(threads.values())), f"{what}: threads")
    for name in names:
        silent = values[f'flowloom_thread_silent_seconds{{thread="{name}"}}']
        checks.that(silent < 5, f"{what}: {name} answers")
    documented = set(re.findall(r"^\| `(\w+)` \|", (ROOT / "docs/operations.md").read_text(),
                                re.MULTILINE))
    served = set(re.findall(r"^# TYPE (\w+)", text, re.MULTILINE))
    served = {name for name in served if not name.startswith("exposer_")}
    checks.that(len(served) > 20 and served <= documented, f"{what}: {served - documented} are new")
    lint = subprocess.run(["promtool", "check", "metrics"], input=text.encode(), timeout=SOON,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, check=False)
    checks.equal((0, b""), (lint.returncode, lint.stdout), f"{what}: promtool")
    with contextlib.suppress(urllib.error.HTTPError):
        scrape(url.replace("metrics", "etc/passwd"))
        checks.that(False, f"{what}: another path is answered")
    port = url.split(":")[2].split("/")[0]
    second = flowloom("read", SAMPLE, "--metrics", port)
    checks.that(second.status == 1 and "nothing can listen" in second.err,
                f"{what}: a port that is taken: {second}")
    checks.equal(0, fed.end(), f"{what}: status")
    checks.equal(expected["connections"], stats(folder / "metrics")["connections"],
                 f"{what}: the same run as without")


def check_records(checks, flowloom, folder):
    out = pathlib.Path(fresh(folder / "records"))
    fed = Fed(flowloom, "-q", "-o", out, "--stats-interval", "0.1")
    log = out / "stats.jsonl"
    checks.that(wait_for(lambda: log.exists() and log.read_bytes().count(b"\n") >= 3),
                "records appear")
    fed.process.send_signal(signal.SIGHUP)
    checks.that(wait_for((out / "stats-000001.jsonl").exists), "and are begun anew")
    checks.equal(0, fed.end(), "records: status")
    parsed = [json.loads(line) for name in ("stats-000001.jsonl", "stats.jsonl")
              for line in (out / name).read_text().splitlines()]
    checks.that(len(parsed) >= 4, "records: how many")
    checks.equal(sorted(r["elapsed"] for r in parsed), [r["elapsed"] for r in parsed],
                 "records are in order")
    checks.equal(sorted(r["packets"]["received"] for r in parsed),
                 [r["packets"]["received"] for r in parsed], "counts only grow")
    final = stats(out)
    checks.equal(len(parsed), final["writers"]["stats"]["records"], "records are counted")
    for key in ("packets", "payload_bytes", "connections", "datagrams", "limits"):
        checks.equal(final[key], parsed[-1][key], f"the last record: {key}")
    checks.equal(["worker0"], [t["name"] for t in parsed[0]["threads"]], "threads of a record")
    ran = flowloom("read", SAMPLE, "--stats-interval", "1")
    checks.that(ran.status == 1 and "-o DIR" in ran.err, f"records need a folder: {ran.err!r}")


def telemetry_socket(prefix):
    runtime = "/var/run" if os.geteuid() == 0 else os.environ.get("XDG_RUNTIME_DIR", "/tmp")
    return pathlib.Path(runtime) / "dpdk" / prefix / "dpdk_telemetry.v2"


def check_telemetry(checks, flowloom, folder):
    prefix = f"flowloom-test-{os.getpid()}"
    path = telemetry_socket(prefix)
    loop = folder / "loop.pcap"
    shutil.copy(SAMPLE, loop)
    process = subprocess.Popen(
        [flowloom.path, "run", "--telemetry", "--file-prefix", prefix, "--no-huge", "-m", "256",
         "--no-shconf", f"--vdev=net_pcap0,rx_pcap={loop},infinite_rx=1", "--", "-q",
         "-o", fresh(folder / "telemetry"), "--write", "flows"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        if not checks.that(wait_for(path.exists), f"telemetry: {path} appears"):
            return
        with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as client:
            client.settimeout(SOON)
            client.connect(str(path))
            limit = json.loads(client.recv(1024))["max_output_len"]

            def ask(command):
                client.send(command.encode())
                return json.loads(client.recv(limit))[command]

            # DPDK opens its socket before we have registered anything.
            checks.that(wait_for(lambda: "/flowloom/lcores" in ask("/")), "telemetry: commands")
            checks.that(wait_for(lambda: ask("/flowloom/stats")["received"] > 1000),
                        "telemetry: packets are counted")
            told = ask("/flowloom/stats")
            checks.equal(told["received"], sum(told["verdicts"].values()), "telemetry: a balance")
            checks.that("flows" in told["writers"], "telemetry: writers")
            flows = ask("/flowloom/flows")
            checks.equal(flows["created"], flows["open"] + sum(flows["closed"].values()),
                         "telemetry: connections")
            lcores = ask("/flowloom/lcores")
            checks.that(any(name.startswith("worker") for name in lcores), "telemetry: lcores")
            checks.that(all("connections" in told for name, told in lcores.items()
                            if name.startswith("worker")), "telemetry: levels of lcores")
    finally:
        process.send_signal(signal.SIGTERM)
        _, err = process.communicate(timeout=SOON)
        shutil.rmtree(path.parent, ignore_errors=True)
    checks.equal((0, b""), (process.returncode, err), "telemetry: status")


def check_terminal(checks, flowloom, folder):
    main, terminal = pty.openpty()
    fed = Fed(flowloom, "-o", fresh(folder / "terminal"), stderr=terminal)
    os.close(terminal)
    text = b""
    deadline = time.monotonic() + SOON
    while b"13 connections" not in text and time.monotonic() < deadline:
        text += os.read(main, 4096)
    line = text.decode().split("\r\x1b[K")[-1]
    checks.that(re.search(r"pps .*bit/s  13 connections, \d+ open  missed 0  dropped 0", line),
                f"the line on a terminal: {line!r}")
    checks.equal(0, fed.end(), "a terminal: status")
    os.close(main)
    fed = Fed(flowloom, "-o", fresh(folder / "no-terminal"))
    time.sleep(0.6)
    fed.process.stdin.close()
    checks.that(b"\x1b" not in fed.process.stderr.read(), "no line where there is no terminal")
    fed.process.wait(SOON)


def main():
    flowloom = Command(sys.argv[1])
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        check_metrics(checks, flowloom, folder, 1)
        check_metrics(checks, flowloom, folder, 3)
        check_records(checks, flowloom, folder)
        check_telemetry(checks, flowloom, folder)
        check_terminal(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
