#!/usr/bin/env python3
"""Debian's programs on libnids, unmodified, on the drop-in: what they say must be the same.

usage: nids_clients_test.py LIBRARY       flowloom's libnids.so.1.21

Compared are standard output, standard error, status and files; dates are blanked where a program
prints when it ran. tcpslice writes frames as long as libnids says an IP packet is, which is longer
than it was: ours must be what such a frame begins with.
"""
import base64
import os
import pathlib
import re
import struct
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "nids")]
import support  # noqa: E402
import traffic  # noqa: E402
from nids_test import sanitizer_of  # noqa: E402
from talks import CLOSING, conversation, write  # noqa: E402

TIMEOUT = 120
# Of asctime(), or a part of it, and in digits.
DATES = re.compile(rb"(\w{3} )?\w{3} [ \d]\d \d\d:\d\d:\d\d( \d{4})?"
                   rb"|\d\d/\d\d/\d\d \d\d:\d\d:\d\d")

# Not dsniff -c: it looks connections up by a port that it has not stored, so what it finds depends
# on what its stack held before.
# Program, what it must find on the made capture (an oracle that is not libnids).
CLIENTS = (
    (["/usr/sbin/urlsnarf", "-n", "-p"], rb'"GET http://www.example.org/index.html'),
    (["/usr/sbin/dsniff", "-n", "-p"], rb"PASS sekret"),
    (["/usr/sbin/dsniff", "-n", "-m", "-p"], rb"PASS sekret"),
    (["/usr/sbin/mailsnarf", "-p"], rb"See you at the harbour"),
    (["/usr/sbin/msgsnarf", "-p"], rb"hello from bob"),
    (["/usr/sbin/filesnarf", "-p"], rb""),
)


def lines(*pieces):
    """(side, text) of an exchange; a text may be a list: packets one after the other."""
    exchange = []
    for side, text in pieces:
        exchange += [(side, part.encode()) for part in ([text] if isinstance(text, str) else text)]
    return exchange


def applications():
    secret = base64.b64encode(b"carol:tulips").decode()
    talks = [
        (80, lines((0, ["GET /index.html HTTP/1.1\r\nHost: www.exam",
                        f"ple.org\r\nAuthorization: Basic {secret}\r\nUser-Agent: x\r\n\r\n"]),
                   (1, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi"))),
        (21, lines((1, "220 ready\r\n"), (0, "USER bob\r\n"), (1, "331 more\r\n"),
                   (0, ["PASS se", "kret\r\n"]), (1, "230 welcome\r\n"), (0, "QUIT\r\n"))),
        (25, lines((1, "220 mail\r\n"), (0, "HELO here\r\n"), (1, "250 ok\r\n"),
                   (0, "MAIL FROM:<a@example.org>\r\n"), (1, "250 ok\r\n"),
                   (0, "RCPT TO:<b@example.org>\r\n"), (1, "250 ok\r\n"), (0, "DATA\r\n"),
                   (1, "354 go\r\n"),
                   (0, ["From: a\r\nSubject: x\r\n\r\nSee you at the har", "bour.\r\n.\r\n"]),
                   (1, "250 ok\r\n"), (0, "QUIT\r\n"))),
        (110, lines((1, "+OK\r\n"), (0, "USER dave\r\n"), (1, "+OK\r\n"), (0, "PASS rose\r\n"),
                    (1, "+OK\r\n"), (0, "RETR 1\r\n"),
                    (1, ["+OK\r\nFrom: e\r\n\r\nAnother ", "letter\r\n.\r\n"]), (0, "QUIT\r\n"))),
        (6667, lines((0, "NICK bob\r\nUSER bob 0 * :Bob\r\n"), (1, ":s 001 bob :hi\r\n"),
                     (0, ["PRIVMSG #boats :hello fr", "om bob\r\n"]), (0, "QUIT\r\n"))),
    ]
    packets = []
    for number, (port, pieces) in enumerate(talks):
        # One stays open; of two, libnids would tell in any order.
        ending = () if number == 1 else CLOSING
        packets.append(conversation(pieces, ending, (3000 + number, port)))
    return [packet for talk in packets for packet in talk]


class Client:
    def __init__(self, library):
        library = os.path.abspath(library)
        # A test runner may have put the folder of ours into the loader's path.
        self.theirs = {name: value for name, value in os.environ.items()
                       if name != "LD_LIBRARY_PATH"}
        self.ours = {**os.environ, **sanitizer_of(library),
                     "LD_LIBRARY_PATH": os.path.dirname(library)}

    def run(self, command, folder, environment):
        os.makedirs(folder)
        ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True,
                             check=False, timeout=TIMEOUT)
        return {"status": ran.returncode, "output": DATES.sub(b"DATE", ran.stdout),
                "errors": DATES.sub(b"DATE", ran.stderr)}

    def both(self, command, folder):
        theirs = os.path.join(folder, "theirs")
        mine = os.path.join(folder, "mine")
        return (self.run(command, theirs, self.theirs), self.run(command, mine, self.ours),
                files_of(theirs), files_of(mine))


def files_of(folder):
    return {path.name: path.read_bytes() for path in sorted(pathlib.Path(folder).iterdir())}


def records(data):
    at = 24
    while at < len(data):
        seconds, fraction, size, _ = struct.unpack_from("<IIII", data, at)
        yield seconds, fraction, data[at + 16:at + 16 + size]
        at += 16 + size


def begins_alike(theirs, mine):
    a, b = list(records(theirs)), list(records(mine))
    return len(a) == len(b) and all(
        x[:2] == y[:2] and x[2].startswith(y[2]) for x, y in zip(a, b))


def test_tcpslice(checks, client, folder, name, capture):
    command = ["/usr/bin/tcpslice", "-s", "tcp", "-vv", "-f", "x-%s-%.4d.pcap", "-w", "all.pcap",
               capture]
    theirs, mine, their_files, my_files = client.both(command, folder)
    checks.equal(theirs, mine, f"tcpslice on {name}")
    checks.equal(list(their_files), list(my_files), f"files of tcpslice on {name}")
    for file, data in their_files.items():
        if file in my_files and file != "all.pcap":
            checks.that(begins_alike(data, my_files[file]), f"{file} of tcpslice on {name}")


def captures(folder):
    """Name, path; the made one first."""
    yield "applications", write(folder, "applications.pcap", applications())
    path = os.path.join(folder, "random.pcap")
    traffic.write(path, 5, 30, wild=False)
    yield "random", path
    real = os.environ.get("FLOWLOOM_CAPTURES")
    for name in ("http.cap", "http_witp_jpegs.cap", "tcpflow_test1.pcap") if real else ():
        yield name, os.path.join(real, name)


def main():
    checks = support.Checks()
    client = Client(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, capture) in enumerate(captures(folder)):
            for row, (command, finds) in enumerate(CLIENTS):
                place = os.path.join(folder, f"{number}-{row}")
                theirs, mine, _, _ = client.both([*command, capture], place)
                checks.equal(theirs, mine, f"{' '.join(command)} {name}")
                if number == 0:
                    checks.that(finds in mine["output"], f"{command[0]} finds {finds}")
            test_tcpslice(checks, client, os.path.join(folder, f"{number}-s"), name, capture)
    checks.finish()


if __name__ == "__main__":
    main()
