#!/usr/bin/env python3
"""flowloom as a service: what it tells the service manager, and what it has given up once it runs.
The kernel says what a thread may do; a link out of the output folder shows that it means it.
usage: service_test.py FLOWLOOM
"""
import os
import pathlib
import pwd
import re
import select
import shutil
import signal
import socket
import subprocess
import sys
import time

from support import ROOT as TREE
from support import PCAP_HEADER, SAMPLE, Checks, Command, contents, fresh, same_contents, scratch

SOON = 20  # seconds in which something must have happened, on a busy machine
ROOT = os.geteuid() == 0


class Manager:
    """A service manager's end of the notification socket."""

    def __init__(self, name):
        self.name = str(name)
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.socket.bind("\0" + self.name[1:] if self.name.startswith("@") else self.name)
        self.heard = []

    def wait_for(self, what):
        """Whether a message that begins so has come, or comes soon."""
        deadline = time.monotonic() + SOON
        while not any(text.startswith(what) for text in self.heard):
            left = deadline - time.monotonic()
            if left <= 0 or not select.select([self.socket], [], [], left)[0]:
                return False
            self.heard.append(self.socket.recv(4096).decode())
        return True

    def environment(self, **more):
        return os.environ | {"NOTIFY_SOCKET": self.name} | more


def start(flowloom, *options, **more):
    process = subprocess.Popen([flowloom.path, "read", "-q", *map(str, options)],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL,
                               stderr=subprocess.PIPE, **more)
    process.stdin.write(PCAP_HEADER)
    process.stdin.flush()
    return process


def check_notifications(checks, flowloom, name):
    manager = Manager(name)
    process = start(flowloom, "-", env=manager.environment(WATCHDOG_USEC="400000"))
    checks.that(manager.wait_for("READY=1"), f"{name}: ready")
    checks.that(manager.wait_for("STATUS="), f"{name}: status")
    checks.that(any("connections" in text for text in manager.heard), f"{name}: says what it does")
    for _ in range(3):
        manager.heard.clear()
        checks.that(manager.wait_for("WATCHDOG=1"), f"{name}: alive")
    process.send_signal(signal.SIGTERM)
    checks.that(manager.wait_for("STOPPING=1"), f"{name}: stopping")
    checks.equal(b"", process.communicate(timeout=SOON)[1], f"{name}: messages")
    checks.equal(0, process.returncode, f"{name}: status")
    # Without a watchdog nobody is told again and again.
    quiet = Manager(f"{name}-quiet")
    process = start(flowloom, "-", env=quiet.environment())
    checks.that(quiet.wait_for("READY=1") and quiet.wait_for("STATUS="), "without watchdog: ready")
    process.communicate(timeout=SOON)
    checks.that(not any("WATCHDOG" in text for text in quiet.heard), "without watchdog: silence")


def check_watchdog(checks, flowloom, folder):
    """Of a live run the threads are asked, too."""
    manager = Manager(folder / "watched")
    process = subprocess.Popen(
        [flowloom.path, "run", "--vdev=net_null0", "--", "-q", "--write", "none"],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=manager.environment(WATCHDOG_USEC="1000000"))
    checks.that(manager.wait_for("WATCHDOG=1"), "a live run is alive")
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=SOON)
    checks.equal(0, process.returncode, "a live run: status")


def threads_of(process):
    """The status of every thread, as key -> value."""
    for task in pathlib.Path(f"/proc/{process.pid}/task").iterdir():
        text = (task / "status").read_text(encoding="utf-8")
        yield dict(re.findall(r"^(\w+):\t(.*)$", text, re.MULTILINE))


def wait_for(condition):
    deadline = time.monotonic() + SOON
    while not condition() and time.monotonic() < deadline:
        time.sleep(0.02)
    return condition()


def check_privileges(checks, flowloom, folder, options, user):
    what = f"privileges with {' '.join(options)}"
    out = pathlib.Path(fresh(folder / "confined"))
    os.chmod(folder, 0o755)  # the user has to find the output folder
    manager = Manager(folder / f"ready-{len(options)}-{user}")
    os.chmod(manager.name, 0o666)
    process = start(flowloom, "-", "-o", out, "--workers", 2, "--sha256", *options,
                    env=manager.environment())
    checks.that(manager.wait_for("READY=1"), f"{what}: it runs")
    for status in threads_of(process):
        name = f"{what}: thread {status['Name']}"
        checks.equal([str(user)] * 4, status["Uid"].split("\t"), f"{name}: user")
        for key in ("CapEff", "CapPrm", "CapInh", "CapAmb"):
            checks.equal(0, int(status[key], 16), f"{name}: {key}")
        checks.equal("1", status["NoNewPrivs"], f"{name}: NoNewPrivs")
        if user != os.geteuid():
            checks.equal("", status["Groups"].strip(), f"{name}: groups")
    process.stdin.write(SAMPLE.read_bytes()[24:])
    process.stdin.flush()
    # Begun anew after privileges are gone: what is made then is made as that user, too.
    process.send_signal(signal.SIGHUP)
    time.sleep(0.3)
    _, err = process.communicate(timeout=SOON)
    checks.equal((0, b""), (process.returncode, err), f"{what}: status")
    checks.equal({user}, {p.stat().st_uid for p in [out, *out.rglob("*")]}, f"{what}: owner")
    plain = folder / "plain"
    flowloom.read([SAMPLE], plain, "-q", "--sha256")
    same_contents(checks, contents(plain), contents(out), f"{what}: the same files")


TALK = """
import socket, threading
with socket.create_server(("127.0.0.1", 7007)) as server:
    def answer():
        with server.accept()[0] as peer:
            peer.sendall(peer.recv(100).upper())
    thread = threading.Thread(target=answer)
    thread.start()
    with socket.create_connection(("127.0.0.1", 7007)) as client:
        client.sendall(b"question")
        print(client.recv(100).decode())
    thread.join()
"""


def check_live(checks, flowloom, folder, options):
    """A live capture goes on after the right to open one is gone. In a network of its own."""
    what = f"live with {' '.join(options)}"
    out = pathlib.Path(fresh(folder / "live"))
    manager = Manager(folder / f"live-{len(options)}")
    alone = ["unshare", "--net"] + ([] if ROOT else ["--map-root-user"])
    process = subprocess.Popen(
        [*alone, "--", "sh", "-c", 'ip link set lo up && exec "$@"', "sh", flowloom.path, "live",
         "-q", "-i", "lo", "-o", out, "--metrics", "0", *options],
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
        env=manager.environment(WATCHDOG_USEC="2000000"))
    checks.that(manager.wait_for("READY=1"), f"{what}: it captures")
    inside = ["nsenter", "-t", str(process.pid), "--net"] + ([] if ROOT else ["--user"])
    said = subprocess.run([*inside, "--", sys.executable, "-c", TALK], stdout=subprocess.PIPE,
                          timeout=SOON, check=False)
    checks.equal(b"QUESTION\n", said.stdout, f"{what}: the programs talk")
    manager.heard.clear()
    checks.that(manager.wait_for("WATCHDOG=1"), f"{what}: its threads answer")
    for status in threads_of(process):
        checks.equal((0, "1"), (int(status["CapEff"], 16), status["NoNewPrivs"]),
                     f"{what}: thread {status['Name']}")
    process.send_signal(signal.SIGTERM)
    _, err = process.communicate(timeout=SOON)
    checks.equal((0, b""), (process.returncode, err), f"{what}: status")
    files = sorted(p.read_bytes() for p in (out / "streams").iterdir())
    checks.equal([b"QUESTION", b"question"], files, f"{what}: streams")


def check_landlock(checks, flowloom, folder):
    """The ledger is written through a name that somebody has made a link out of the folder."""
    outside = folder / "outside"
    for options, expected in (((), (0, True)), (("--sandbox",), (4, False))):
        out = pathlib.Path(fresh(folder / "linked"))
        outside.unlink(missing_ok=True)
        process = start(flowloom, "-", "-o", out, *options)
        checks.that(wait_for((out / "flows.jsonl").exists), f"a link {options}: it runs")
        time.sleep(0.3)
        (out / "stats.json.part").symlink_to(outside)
        _, err = process.communicate(timeout=SOON)
        if options and b"no Landlock" in err:
            expected = (0, True)  # an old kernel, and it said so
        checks.equal(expected, (process.returncode, outside.exists()), f"a link {options}: {err}")
    ledger = folder / "elsewhere" / "ledger.json"
    ledger.parent.mkdir()
    ran = flowloom("read", SAMPLE, "-q", "--sandbox", "-o", fresh(folder / "linked"),
                   "--stats", ledger)
    checks.equal((0, True), (ran.status, ledger.exists()), "--stats may be somewhere else")


def check_files(checks, flowloom, folder):
    """The unit and its sample of a configuration are understood by the program; the page about
    operation knows every writer."""
    sample = TREE / "scripts" / "service" / "flowloom.conf"
    ran = flowloom("live", "--config", sample, "-o", folder / "never", "--check-config")
    checks.equal((0, ""), (ran.status, ran.err), "the sample of a configuration")
    checks.that(not (folder / "never").exists(), "a check leaves nothing behind")
    unit = (TREE / "scripts" / "service" / "flowloom.service.in").read_text(encoding="utf-8")
    known = set(re.findall(r"--[\w-]+", flowloom("live", "--help").out.decode()))
    used = {option for line in unit.splitlines() if "flowloom live" in line
            for option in re.findall(r"--[\w-]+", line)}
    checks.that(len(used) >= 3 and used <= known, f"the unit's options: {used - known}")
    if shutil.which("systemd-analyze"):
        path = folder / "flowloom.service"
        path.write_text(unit.replace("@bindir@/flowloom", flowloom.path), encoding="utf-8")
        ran = subprocess.run(["systemd-analyze", "--man=no", "verify", path],
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=SOON,
                             check=False)
        wrong = [line for line in ran.stdout.decode().splitlines() if "flowloom.service" in line]
        checks.equal([], wrong, "systemd's opinion of the unit")
    page = (TREE / "docs" / "operations.md").read_text(encoding="utf-8")
    writers = re.search(r"known are: (.*)", flowloom("read", SAMPLE, "--write", "x").err)[1]
    for writer in writers.split(", "):
        checks.that(re.search(rf"^\| `{writer}[`=]", page, re.MULTILINE),
                    f"the page has the writer {writer}")


def check_users(checks, flowloom):
    ran = flowloom("read", SAMPLE, "--user", "no-such-user")
    checks.that(ran.status == 1 and "there is no user" in ran.err, f"an unknown user: {ran.err!r}")
    if not ROOT:
        ran = flowloom("read", SAMPLE, "--user", "root")
        checks.that(ran.status == 1 and "only root" in ran.err, f"not root: {ran.err!r}")


def main():
    flowloom = Command(sys.argv[1])
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        check_notifications(checks, flowloom, folder / "notify")
        check_notifications(checks, flowloom, f"@flowloom-test-{os.getpid()}")
        check_watchdog(checks, flowloom, folder)
        check_users(checks, flowloom)
        check_files(checks, flowloom, folder)
        check_privileges(checks, flowloom, folder, ("--sandbox",), os.geteuid())
        if ROOT:
            nobody = pwd.getpwnam("nobody").pw_uid
            check_privileges(checks, flowloom, folder, ("--user", "nobody"), nobody)
        check_live(checks, flowloom, folder, ("--sandbox",))
        if ROOT:
            check_live(checks, flowloom, folder, ("--user", "nobody"))
        check_landlock(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
