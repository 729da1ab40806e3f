#!/usr/bin/env python3
"""flowloom live on a real interface: one end of a virtual link between two network namespaces, real
sockets at both ends. What the programs sent is the truth.

Runs itself again in new namespaces (of its own user, where it is not root), so that nothing of the
machine's network is seen or changed.
usage: live_test.py FLOWLOOM GENERATOR
"""
import hashlib
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import threading
import time

from support import ACK, PSH, Checks, Talk, balances, records, scratch, stats

SERVER, CLIENT = "192.0.2.1", "192.0.2.10"
SERVER6, CLIENT6 = "2001:db8::1", "2001:db8::10"
PORT = 8080
INSIDE = "FLOWLOOM_LIVE_TEST_INSIDE"
PATIENCE = 20  # seconds for anything that must happen


def enter_namespaces():
    """Replaces this process by itself in a network namespace of its own."""
    unshare = ["unshare", "--net", "--mount"] if os.geteuid() == 0 else \
        ["unshare", "--map-root-user", "--net", "--mount"]
    os.environ[INSIDE] = "1"
    os.execvp(unshare[0], [*unshare, "--", sys.executable, "-B", *sys.argv])


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL)


class Link:
    """link0 here, link1 in a namespace that lives as long as its sleeper."""

    def __enter__(self):
        self.sleeper = subprocess.Popen(["unshare", "--net", "--", "sleep", "600"])
        there = f"/proc/{self.sleeper.pid}/ns/net"
        deadline = time.monotonic() + PATIENCE
        while os.readlink(there) == os.readlink("/proc/self/ns/net"):
            assert time.monotonic() < deadline, "no second namespace"
            time.sleep(0.01)
        ip("link", "add", "link0", "type", "veth", "peer", "name", "link1", "netns",
           str(self.sleeper.pid))
        for run, name, four, six in ((ip, "link0", SERVER, SERVER6),
                                     (self.ip, "link1", CLIENT, CLIENT6)):
            run("link", "set", "lo", "up")
            run("addr", "add", f"{four}/24", "dev", name)
            run("addr", "add", f"{six}/64", "dev", name, "nodad")
            run("link", "set", name, "up")
        time.sleep(0.2)  # the link-local addresses settle
        return self

    def __exit__(self, *_):
        self.sleeper.kill()
        self.sleeper.wait()

    def there(self, *command):
        return ["nsenter", "-t", str(self.sleeper.pid), "-n", "--", *command]

    def ip(self, *arguments):
        subprocess.run(self.there("ip", *arguments), check=True)


class Live:
    """flowloom live on link0, ready to capture."""

    def __init__(self, flowloom, out, *options):
        self.process = subprocess.Popen([flowloom, "live", "-i", "link0", "-o", out, *options],
                                        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                                        text=True)
        self.ready = self.process.stderr.readline()

    def end(self, number=signal.SIGINT):
        if number is not None:
            self.process.send_signal(number)
        err = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode, err


def answer(connection, sent):
    """Reads a size and as many bytes, and sends a content of its own back."""
    with connection:
        data = b""
        while len(data) < 4 or len(data) < 4 + int.from_bytes(data[:4], "big"):
            piece = connection.recv(65536)
            if not piece:
                return
            data += piece
        reply = random.Random(len(data)).randbytes(len(data) * 3 % 300_000 + 1)
        sent.append((hashlib.sha256(data).hexdigest(), hashlib.sha256(reply).hexdigest()))
        connection.sendall(reply)


def serve(sent):
    """Listens on both address families; a thread for each connection."""
    server = socket.create_server(("::", PORT), family=socket.AF_INET6, dualstack_ipv6=True,
                                  backlog=200)

    def run():
        while True:
            connection = server.accept()[0]
            threading.Thread(target=answer, args=(connection, sent), daemon=True).start()

    threading.Thread(target=run, daemon=True).start()


CLIENTS = f"""
import random, socket, sys
for n in range(int(sys.argv[1])):
    content = random.Random(n).randbytes(random.Random(n).randrange(1, 200_000))
    with socket.create_connection((["{SERVER}", "{SERVER6}"][n % 2], {PORT})) as s:
        s.sendall(len(content).to_bytes(4, "big") + content)
        while s.recv(65536): pass
"""


def talk(link, count):
    subprocess.run(link.there(sys.executable, "-c", CLIENTS, str(count)), check=True,
                   timeout=PATIENCE)


def digests(out):
    """(digest of what the originator sent, of the answer) of each connection that was written."""
    found = []
    for record in records(out):
        sides = [hashlib.sha256((pathlib.Path(out) / record[s]["file"]).read_bytes()).hexdigest()
                 if "file" in record[s] else "" for s in ("orig", "resp")]
        found.append(tuple(sides))
    return found


def check_transfers(checks, flowloom, link, sent, folder):
    for workers in (1, 2):
        out = f"{folder}/out{workers}"
        sent.clear()
        live = Live(flowloom, out, "--workers", str(workers), "--max-flows", "10000")
        checks.that("listening on link0" in live.ready, f"ready: {live.ready}")
        talk(link, 40)
        status, err = live.end()
        what = f"{workers} workers"
        checks.equal(0, status, f"{what}: {err}")
        checks.equal(0, stats(out)["packets"]["missed"], f"{what}: missed")
        checks.that(balances(stats(out)), f"{what}: the ledger")
        checks.equal(40, len(sent), f"{what}: what the server saw")
        checks.equal(sorted(sent), sorted(digests(out)), f"{what}: every byte")
        gaps = [g for r in records(out) for s in ("orig", "resp") for g in r[s]["gaps"]]
        checks.equal([], gaps, f"{what}: gaps")


def check_open_streams(checks, flowloom, link, folder):
    """Ctrl-C writes what is open, up to its last byte."""
    out = f"{folder}/open"
    live = Live(flowloom, out, "--max-flows", "10000")
    client = subprocess.Popen(link.there(sys.executable, "-c", f"""
import socket, sys
s = socket.create_connection(("{SERVER}", {PORT}))
s.sendall((100).to_bytes(4, "big") + b"half")
sys.stdin.read()"""), stdin=subprocess.PIPE)
    time.sleep(1)
    status, err = live.end(signal.SIGTERM)
    client.communicate()
    checks.equal(0, status, err)
    files = [(pathlib.Path(out) / r["orig"]["file"]).read_bytes() for r in records(out)]
    checks.equal([b"\0\0\0\x64half"], files, "an open stream")
    checks.equal(["eof"], [r["close"] for r in records(out)], "how it ended")


def check_limits(checks, flowloom, link, folder):
    """--packets, --duration, stamps of now with nanoseconds, VLAN tags, and refusals."""
    out = f"{folder}/packets"
    live = Live(flowloom, out, "--packets", "50", "--max-flows", "10000")
    talk(link, 5)
    checks.equal(0, live.end(None)[0], "--packets ends")
    checks.equal(50, stats(out)["packets"]["received"], "--packets 50")
    starts = [r["start"] for r in records(out)]
    checks.that(any(not s.endswith("000Z") for s in starts), f"nanoseconds: {starts}")
    checks.that(starts[0][:13] == time.strftime("%Y-%m-%dT%H", time.gmtime()), starts[0])
    begin = time.monotonic()
    live = Live(flowloom, f"{folder}/duration", "--duration", "0.5", "--max-flows", "10000")
    checks.equal(0, live.end(None)[0], "--duration ends")
    checks.that(0.4 < time.monotonic() - begin < 10, "--duration 0.5")
    for interface in ("nothing0", ""):
        ran = subprocess.run([flowloom, "live", "-i", interface, "-o", f"{folder}/no"],
                             capture_output=True, text=True, check=False)
        checks.equal(2, ran.returncode, f"-i '{interface}': {ran.stderr}")
        checks.that(not os.path.exists(f"{folder}/no"), "no folder for nothing")


SENDER = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("link1", 0))
for line in sys.stdin:
    s.send(bytes.fromhex(line))
"""


def check_vlan(checks, flowloom, link, folder):
    """The kernel takes the tag out of a frame before it shows it; it is put back."""
    talk = Talk().open(0).say(0, 0, PSH | ACK, b"tagged").close(0)
    frames = [packet[16:] for _, packet in talk.packets]
    tagged = [f[:12] + b"\x81\0\0\7" + f[12:] for f in frames]
    out = f"{folder}/vlan"
    live = Live(flowloom, out, "--max-flows", "10000")
    subprocess.run(link.there(sys.executable, "-c", SENDER), check=True, timeout=PATIENCE,
                   input="\n".join(f.hex() for f in tagged), text=True)
    checks.equal(0, live.end()[0], "VLAN")
    checks.equal([([7], 6)], [(r.get("vlan"), r["orig"]["stream_bytes"]) for r in records(out)],
                 "VLAN tags")


FLOOD = """
import socket
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind(("link1", 0))
frame = b"\\xff" * 6 + b"\\2" * 6 + b"\\x88\\xb5" + bytes(1486)
for _ in range(%d):
    s.send(frame)
"""
FLOODED = 90_000  # more than the kernel's ring holds


def check_overrun(checks, flowloom, link, folder):
    """What the kernel had to drop while nobody read is counted, each packet once."""
    out = f"{folder}/overrun"
    live = Live(flowloom, out, "--max-flows", "10000")
    live.process.send_signal(signal.SIGSTOP)
    subprocess.run(link.there(sys.executable, "-c", FLOOD % FLOODED), check=True, timeout=60)
    live.process.send_signal(signal.SIGCONT)
    checks.equal(0, live.end()[0], "overrun")
    packets = stats(out)["packets"]
    total = packets["received"] + packets["missed"]
    checks.that(packets["missed"] > 0 and packets["verdicts"]["not_ip"] > FLOODED / 3,
                f"overrun: {packets['missed']} missed, {packets['received']} received")
    strangers = packets["received"] - packets["verdicts"]["not_ip"]  # the link's own ICMPv6
    checks.that(FLOODED <= total <= FLOODED + strangers + 20, f"overrun: {total} of {FLOODED}")


def main():
    if INSIDE not in os.environ:
        enter_namespaces()
    flowloom = os.path.abspath(sys.argv[1])
    checks, sent = Checks(), []
    with scratch() as folder, Link() as link:
        serve(sent)
        check_transfers(checks, flowloom, link, sent, folder)
        check_open_streams(checks, flowloom, link, folder)
        check_limits(checks, flowloom, link, folder)
        check_vlan(checks, flowloom, link, folder)
        check_overrun(checks, flowloom, link, folder)
    checks.finish()


if __name__ == "__main__":
    main()
