#!/usr/bin/env python3
"""The sample's own pair of programs: each notes every byte that it sent and received.

usage: sample_talk.py serve ADDRESS PORT KIND RECORD     one connection, then ends
       sample_talk.py call ADDRESS PORT KIND RECORD LOCAL_ADDRESS LOCAL_PORT

KIND: dialog   short messages in turn
      upload   the caller sends all, closes its half, then the answer comes
      reset    the caller has its lines echoed, then resets (calls an echo service)

RECORD: a JSON file: peers, bytes and SHA-256 of both directions as this program saw them.
"""

import hashlib
import json
import random
import socket
import struct
import sys

SEED = 9293
DIALOG_TURNS = 24
UPLOAD_BYTES = 40_000
RESET_LINES = 3


class Talker:
    """A connected socket that remembers what crossed it."""

    def __init__(self, connection):
        self.connection = connection
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.here, self.there = connection.getsockname(), connection.getpeername()
        self.sent = b""
        self.received = b""

    def send(self, data):
        self.connection.sendall(data)
        self.sent += data

    def receive(self, count):
        """Exactly `count` bytes."""
        missing = count
        while missing > 0:
            data = self.connection.recv(missing)
            if not data:
                raise EOFError("the other side closed early")
            self.received += data
            missing -= len(data)
        return self.received[-count:]

    def receive_rest(self):
        while data := self.connection.recv(65536):
            self.received += data


def message(turn, who):
    size = random.Random(SEED + turn).randrange(20, 400)
    return (f"{who} {turn} " + "x" * size + "\n").encode()


def dialog(talker, calling):
    for turn in range(DIALOG_TURNS):
        ask, answer = message(turn, "ask"), message(turn + DIALOG_TURNS, "answer")
        if calling:
            talker.send(ask)
            assert talker.receive(len(answer)) == answer
        else:
            assert talker.receive(len(ask)) == ask
            talker.send(answer)


def upload(talker, calling):
    if calling:
        talker.send(random.Random(SEED).randbytes(UPLOAD_BYTES))
        talker.connection.shutdown(socket.SHUT_WR)
        talker.receive_rest()
    else:
        talker.receive_rest()
        talker.send(f"stored {len(talker.received)} bytes\n".encode())


def reset(talker, calling):
    if not calling:
        raise SystemExit("sample_talk: 'reset' calls an echo service, it does not serve")
    for turn in range(RESET_LINES):
        line = message(turn, "echo")
        talker.send(line)
        assert talker.receive(len(line)) == line
    # Lingering for 0 seconds turns the close into a reset.
    talker.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


KINDS = {"dialog": dialog, "upload": upload, "reset": reset}


def end_point(address):
    host, port = address[:2]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def direction(data):
    return {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}


def record(path, talker, calling, kind):
    client, server = ((talker.here, talker.there) if calling
                      else (talker.there, talker.here))
    c2s, s2c = ((talker.sent, talker.received) if calling
                else (talker.received, talker.sent))
    row = {
        "client": end_point(client), "server": end_point(server),
        "what": f"sample_talk.py {kind}", "close": "rst" if kind == "reset" else "fin",
        "client_to_server": direction(c2s), "server_to_client": direction(s2c),
    }
    with open(path, "w", encoding="ascii") as out:
        json.dump(row, out)


def family_of(address):
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def serve(address, port, kind, path):
    with socket.socket(family_of(address), socket.SOCK_STREAM) as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind((address, int(port)))
        listener.listen()
        connection, _ = listener.accept()
        with connection:
            talker = Talker(connection)
            KINDS[kind](talker, calling=False)
            record(path, talker, False, kind)


def call(address, port, kind, path, local_address, local_port):
    with socket.socket(family_of(address), socket.SOCK_STREAM) as connection:
        connection.bind((local_address, int(local_port)))
        connection.connect((address, int(port)))
        talker = Talker(connection)
        KINDS[kind](talker, calling=True)
        record(path, talker, True, kind)


def main():
    if len(sys.argv) == 6 and sys.argv[1] == "serve":
        serve(*sys.argv[2:])
    elif len(sys.argv) == 8 and sys.argv[1] == "call":
        call(*sys.argv[2:])
    else:
        raise SystemExit(__doc__)


if __name__ == "__main__":
    main()
