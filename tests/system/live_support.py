"""What the live tests share: two network namespaces joined by virtual links, and flowloom live at
one end of them.

A test runs itself again in new namespaces (of its own user, where it is not root), so that nothing
of the machine's network is seen or changed.
"""
import os
import signal
import socket
import subprocess
import sys
import threading
import time

SERVER, CLIENT = "192.0.2.1", "192.0.2.10"
SERVER6, CLIENT6 = "2001:db8::1", "2001:db8::10"
INSIDE = "FLOWLOOM_LIVE_TEST_INSIDE"
PATIENCE = 20  # seconds for anything that must happen


def enter_namespaces():
    """Replaces this process by itself in a network namespace of its own; returns there."""
    if INSIDE in os.environ:
        return
    unshare = ["unshare", "--net", "--mount"] if os.geteuid() == 0 else \
        ["unshare", "--map-root-user", "--net", "--mount"]
    os.environ[INSIDE] = "1"
    os.execvp(unshare[0], [*unshare, "--", sys.executable, "-B", *sys.argv])


def ip(*arguments):
    subprocess.run(["ip", *arguments], check=True, stdout=subprocess.DEVNULL)


def serve(port, run):
    """Listens on both address families; `run` has the socket in a thread of its own."""
    server = socket.create_server(("::", port), family=socket.AF_INET6, dualstack_ipv6=True,
                                  backlog=200)
    threading.Thread(target=run, args=(server,), daemon=True).start()


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

    def add_quiet(self, name, peer):
        """One more link, on which nobody says anything by himself: no IPv6, no ARP."""
        ip("link", "add", name, "type", "veth", "peer", "name", peer, "netns",
           str(self.sleeper.pid))
        switch = "echo 1 > /proc/sys/net/ipv6/conf/{}/disable_ipv6"
        subprocess.run(["sh", "-c", switch.format(name)], check=True)
        subprocess.run(self.there("sh", "-c", switch.format(peer)), check=True)
        for run, end in ((ip, name), (self.ip, peer)):
            run("link", "set", end, "arp", "off", "up")


class Live:
    """flowloom live on link0, or other interfaces, ready to capture."""

    def __init__(self, flowloom, out, *options, interfaces=("link0",),
                 stdout=subprocess.DEVNULL, **environment):
        where = [word for name in interfaces for word in ("-i", name)]
        self.process = subprocess.Popen([flowloom, "live", *where, "-o", out, *options],
                                        stdout=stdout, stderr=subprocess.PIPE, text=True,
                                        env=os.environ | environment)
        self.ready = self.process.stderr.readline()

    def end(self, number=signal.SIGINT):
        if number is not None:
            self.process.send_signal(number)
        err = self.process.communicate(timeout=PATIENCE)[1]
        return self.process.returncode, err


SEND = """
import socket, sys
sockets = {}
for line in sys.stdin:
    name, frame = line.split()
    if name not in sockets:
        sockets[name] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
        sockets[name].bind((name, 0))
    sockets[name].send(bytes.fromhex(frame))
"""


def send_frames(link, frames):
    """Sends (interface there, frame) one after the other, as fast as may be."""
    subprocess.run(link.there(sys.executable, "-c", SEND), check=True, timeout=PATIENCE,
                   input="\n".join(f"{name} {frame.hex()}" for name, frame in frames), text=True)


def flood(link, interface, count):
    """Sends exactly `count` frames of nobody's protocol as fast as may be."""
    subprocess.run(link.there(sys.executable, "-c", FLOOD, interface, str(count)), check=True,
                   timeout=60)


FLOOD = """
import socket, sys
s = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
s.bind((sys.argv[1], 0))
frame = b"\\xff" * 6 + b"\\2" * 6 + b"\\x88\\xb5" + bytes(1486)
for _ in range(int(sys.argv[2])):
    s.send(frame)
"""
