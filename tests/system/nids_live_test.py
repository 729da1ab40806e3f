#!/usr/bin/env python3
"""The libnids drop-in on an interface, in a network namespace of its own: it sees a conversation of
the system's sockets, and nids_killtcp() ends it.

usage: nids_live_test.py MODULE       the built nids.*.so
"""
import os
import pathlib
import socket
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import support  # noqa: E402
from live_test import ip  # noqa: E402
from nids_test import PYTHON, sanitizer_of  # noqa: E402

INSIDE = "FLOWLOOM_NIDS_LIVE_INSIDE"
PATIENCE = 20  # seconds for anything that must happen


def enter_namespace(module):
    unshare = ["unshare", "--net"] if os.geteuid() == 0 else \
        ["unshare", "--map-root-user", "--net"]
    environment = {**os.environ, **sanitizer_of(module), INSIDE: "1",
                   "PYTHONPATH": os.path.dirname(module)}
    os.execvpe(unshare[0], [*unshare, "--", PYTHON, "-B", *sys.argv], environment)


class Talk:
    """A client that says something and waits for an answer that never comes."""

    def __init__(self):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.ended = None
        # The server may not be told: a reset that is not at what it expects now is challenged.
        threading.Thread(target=self.serve, daemon=True).start()
        self.asking = threading.Thread(target=self.ask, daemon=True)
        self.asking.start()

    def serve(self):
        connection, _ = self.listener.accept()
        try:
            while connection.recv(100):
                pass
        except OSError:
            pass

    def ask(self):
        with socket.create_connection(self.listener.getsockname()) as connection:
            connection.settimeout(PATIENCE)
            connection.sendall(b"hello")
            try:
                self.ended = connection.recv(1)
            except OSError as error:
                self.ended = error


class Watcher:
    def __init__(self, nids):
        self.nids = nids
        self.states = []
        self.data = b""

    def __call__(self, tcp):
        self.states.append(tcp.nids_state)
        if tcp.nids_state == self.nids.NIDS_JUST_EST:
            tcp.server.collect = 1
        elif tcp.nids_state == self.nids.NIDS_DATA:
            self.data += tcp.server.data
            tcp.kill()


def main():
    module = os.path.abspath(sys.argv[1])
    if INSIDE not in os.environ:
        enter_namespace(module)
    ip("link", "set", "lo", "up")
    import nids  # pylint: disable=import-error,import-outside-toplevel
    checks = support.Checks()
    nids.param("device", "lo")
    nids.param("pcap_timeout", 50)
    nids.param("scan_num_hosts", 0)
    nids.chksum_ctl([("0.0.0.0/0", False)])  # the kernel leaves them open on its own interface
    nids.init()
    watcher = Watcher(nids)
    nids.register_tcp(watcher)
    checks.that(nids.getfd() >= 0, "a descriptor to wait for")
    talk = Talk()
    deadline = time.monotonic() + PATIENCE
    while nids.NIDS_RESET not in watcher.states and time.monotonic() < deadline:
        nids.next()
    talk.asking.join(PATIENCE)
    checks.equal([nids.NIDS_JUST_EST, nids.NIDS_DATA, nids.NIDS_RESET], watcher.states, "events")
    checks.equal(b"hello", watcher.data, "data")
    checks.that(isinstance(talk.ended, ConnectionResetError), f"the client was told: {talk.ended}")
    received, dropped, _ = nids.get_pcap_stats()
    checks.that(received >= 4 and dropped == 0, f"statistics: {received} received")
    nids.exit()
    checks.finish()


if __name__ == "__main__":
    main()
