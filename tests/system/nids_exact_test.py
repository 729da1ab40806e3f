#!/usr/bin/env python3
"""What FLOWLOOM_NIDS=exact corrects of libnids: the rows of docs/libnids.md, each on a capture of
its own, by the rules of libnids (as Debian's library has them, too) and by the exact ones.

usage: nids_exact_test.py LIBRARY       flowloom's libnids.so.1.21
"""
import pathlib
import struct
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "nids")]
import support  # noqa: E402
import traffic  # noqa: E402
from nids_test import DEBIAN, Libraries  # noqa: E402
from talks import CLIENT, CLOSING, PORTS, SERVER, conversation  # noqa: E402
from traffic import ACK, FIN, PSH, RST, SYN  # noqa: E402

ETHERNET = traffic.ETHERNET + b"\10\0"
ROWS = []


def row(name, options=()):
    """A row of the table: its function gives packets, libnids' events and the exact ones."""
    def keep(function):
        ROWS.append((name, list(options), function))
        return function
    return keep


def packet(side, seq, ack, flags, payload=b""):
    ends = (CLIENT, SERVER) if side == 0 else (SERVER, CLIENT)
    return traffic.ip(*ends, 6, traffic.tcp(*ends, PORTS[::1 - 2 * side], seq, ack, flags, payload),
                      1 + seq % 60000)


def without(packets, *lost):
    return [one for one in packets if not any(word in one for word in lost)]


def data(half, count, text):
    return f"DATA {half} {len(text)} {count} {text}"


ONE, THREE = data("S", 3, "one"), data("S", 12, "three")


@row("a gap is skipped, and counted in count")
def gap():
    packets = without(conversation([(0, b"one"), (0, b"lost"), (0, b"three")], CLOSING), b"lost")
    return packets, ["JUST_EST", ONE, "EXITING"], ["JUST_EST", ONE, THREE, "CLOSE"]


@row("a gap that was acknowledged is skipped while the connection goes on")
def acknowledged_gap():
    pieces = [(0, b"one"), (0, b"lost")] + [(0, b"four%d" % i) for i in range(4)] + [(1, b"yes")]
    pieces += [(0, b"five%d" % i) for i in range(3)]
    packets = without(conversation(pieces), b"lost")
    late = [data("S", 12 + 5 * i, f"four{i}") for i in range(4)]
    more = [data("S", 32 + 5 * i, f"five{i}") for i in range(3)]
    yes = data("C", 3, "yes")
    return (packets, ["JUST_EST", ONE, yes, "EXITING"],
            ["JUST_EST", ONE, yes, *late, *more, "EXITING"])


@row("what waits behind a gap is delivered at a reset")
def gap_at_reset():
    packets = without(conversation([(0, b"one"), (0, b"lost"), (0, b"three")]), b"lost")
    packets.append(packet(1, 9001, 1013, RST | ACK))
    return packets, ["JUST_EST", ONE, "RESET"], ["JUST_EST", ONE, THREE, "RESET"]


@row("64 KiB behind a gap are not thrown away")
def big_queue():
    chunk = 1000
    pieces = [(0, b"one"), (0, b"lost")] + [(0, b"%04d" % i * (chunk // 4)) for i in range(90)]
    packets = [traffic.ip(CLIENT, SERVER, 6, traffic.tcp(CLIENT, SERVER, PORTS, 1001 + at, 9001,
                                                         ACK | PSH, text))
               for at, text in placed(pieces) if text != b"lost"]
    start = [packet(0, 1000, 0, SYN), traffic.ip(SERVER, CLIENT, 6, traffic.tcp(
        SERVER, CLIENT, PORTS[::-1], 9000, 1001, SYN | ACK, window=65535, options=b"\3\3\4\0")),
        packet(0, 1001, 9001, ACK)]
    start[0] = traffic.ip(CLIENT, SERVER, 6, traffic.tcp(CLIENT, SERVER, PORTS, 1000, 0, SYN,
                                                         options=b"\3\3\4\0"))
    late = [data("S", at + len(text), text.decode()) for at, text in placed(pieces)[2:]]
    return (start + packets, ["JUST_EST", ONE, "SYSLOG 2 8", "EXITING"],
            ["JUST_EST", ONE, "SYSLOG 2 8", *late, "EXITING"])


def placed(pieces):
    at = 0
    result = []
    for _, text in pieces:
        result.append((at, text))
        at += len(text)
    return result


@row("data on a SYN that the server takes (TCP fast open)")
def fast_open():
    packets = [packet(0, 1000, 0, SYN, b"early"), packet(1, 9000, 1006, SYN | ACK),
               packet(0, 1006, 9001, ACK), packet(0, 1006, 9001, ACK | PSH, b"later")]
    return packets, ["EXITING-NONE"], ["JUST_EST", data("S", 5, "early"), data("S", 10, "later"),
                                       "EXITING"]


@row("data on a SYN that the server takes a part of, or refuses")
def refused_open():
    packets = [packet(0, 1000, 0, SYN, b"early"), packet(1, 9000, 1003, SYN | ACK),
               packet(0, 1003, 9001, ACK), packet(0, 1003, 9001, ACK | PSH, b"rly!")]
    return packets, ["EXITING-NONE"], ["JUST_EST", data("S", 2, "ea"), data("S", 6, "rly!"),
                                       "EXITING"]


@row("a connection whose beginning was not captured")
def midstream():
    packets = conversation([(0, b"one"), (1, b"two"), (0, b"more")], CLOSING)[3:]
    return packets, ["EXITING-NONE"], ["JUST_EST", ONE, data("C", 3, "two"), data("S", 7, "more"),
                                       "CLOSE"]


@row("a connection of which one direction was captured")
def one_sided():
    packets = [one for one in conversation([(0, b"one"), (1, b"two"), (0, b"more")], CLOSING)
               if one[12:16] == CLIENT]
    return packets, ["EXITING-NONE"], ["JUST_EST", ONE, data("S", 7, "more"), "EXITING"]


@row("data that is captured before the server's SYN-ACK")
def swapped_handshake():
    packets = conversation([(0, b"one"), (0, b"more")])
    packets[1:4] = [packets[2], packets[3], packets[1]]
    return packets, ["JUST_EST", "EXITING"], ["JUST_EST", ONE, data("S", 7, "more"), "EXITING"]


@row("a SYN that is sent again with another number")
def second_syn():
    packets = [packet(0, 500, 0, SYN), *conversation([(0, b"one")])]
    return packets, ["EXITING-NONE"], ["JUST_EST", ONE, "EXITING"]


@row("end points that are used again while the old connection was not seen to end")
def reuse():
    second = [packet(0, 70000, 0, SYN), packet(1, 80000, 70001, SYN | ACK),
              packet(0, 70001, 80001, ACK), packet(0, 70001, 80001, ACK | PSH, b"new")]
    packets = [*conversation([(0, b"one")]), *second]
    return (packets, ["JUST_EST", ONE, "EXITING"],
            ["JUST_EST", ONE, "TIMED_OUT", "JUST_EST", data("S", 3, "new"), "EXITING"])


@row("a SYN that nobody answers changes nothing")
def injected_syn():
    packets = [*conversation([(0, b"one")]), packet(0, 70000, 0, SYN),
               packet(0, 1004, 9001, ACK | PSH, b"more")]
    events = ["JUST_EST", ONE, data("S", 7, "more"), "EXITING"]
    return packets, events, events


@row("fragments grow old on packet time")
def old_fragments():
    packets = conversation([(0, b"one"), (0, b"fragmented")])
    last = packets.pop()
    parts = [traffic.ip(CLIENT, SERVER, 6, last[20:44], 77, 0, 1),
             traffic.ip(CLIENT, SERVER, 6, last[44:], 77, 3, 0)]
    whole = ["JUST_EST", ONE, data("S", 13, "fragmented"), "EXITING"]
    return [*packets, parts[0], ("wait", 40), parts[1]], whole, ["JUST_EST", ONE, "EXITING"]


@row("scan_delay works", ["scan_num_hosts=256", "scan_num_ports=10", "scan_delay=2000"])
def slow_scan():
    packets = []
    for port in range(12):
        packets.append(traffic.ip(CLIENT, SERVER, 6, traffic.tcp(
            CLIENT, SERVER, (40000, port + 1), 5, 0, SYN)))
        packets.append(("wait", 30))
    return packets, ["SYSLOG 4 0"], ["EXITING-NONE"]


@row("a fast scan is still one", ["scan_num_hosts=256", "scan_num_ports=10", "scan_delay=2000"])
def fast_scan():
    packets = [traffic.ip(CLIENT, SERVER, 6, traffic.tcp(CLIENT, SERVER, (40000, port + 1), 5, 0,
                                                         SYN)) for port in range(12)]
    return packets, ["SYSLOG 4 0"], ["SYSLOG 4 0"]


TAGGED = [("frame", traffic.ETHERNET + b"\x88\xa8\0\1\x81\0\0\2\10\0" + one)
          for one in conversation([(0, b"one")])]


@row("two VLAN tags")
def two_tags():
    return TAGGED, ["EXITING-NONE"], ["JUST_EST", ONE, "EXITING"]


def cooked(folder):
    """LINUX_SLL2, which libnids does not open."""
    path = pathlib.Path(folder, "cooked.pcap")
    with open(path, "wb") as out:
        out.write(traffic.file_header(276))
        for number, one in enumerate(conversation([(0, b"one")])):
            header = struct.pack("!HHIHBB8s", 0x800, 0, 1, 1, 0, 6, b"")
            out.write(traffic.record(number, 0, header + one))
    return str(path)


def write(path, packets):
    """Microseconds between packets; ("wait", seconds) and ("frame", bytes) stand among them."""
    now = 1_600_000_000_000_000
    with open(path, "wb") as out:
        out.write(traffic.file_header(1))
        for one in packets:
            if one[0] == "wait":
                now += one[1] * 1_000_000
                continue
            now += 1000
            frame = one[1] if one[0] == "frame" else ETHERNET + one
            out.write(traffic.record(now // 1_000_000, now % 1_000_000, frame))


def events_of(libraries, library, path, options):
    """Names of events, data in full, warnings by number; no line where nothing happened."""
    lines, said = libraries.events(library, path, ["show=1", "scan_num_hosts=0", *options])
    events = [" ".join(line.split(" ")[:3]) if line.startswith("SYSLOG") else line
              for line in lines if line.startswith(
                  ("JUST", "DATA", "CLOSE", "RESET", "TIMED", "EXITING", "SYSLOG", "URGENT"))]
    return events or ["EXITING-NONE"], lines[-1] + said


def main():
    checks = support.Checks()
    libraries = Libraries(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        for number, (name, options, function) in enumerate(ROWS):
            packets, loses, exact = function()
            path = str(pathlib.Path(folder, f"{number}.pcap"))
            write(path, packets)
            for library in (DEBIAN, libraries.ours):
                found, said = events_of(libraries, library, path, options)
                checks.equal(loses, found, f"{name}: by libnids' rules ({library}) {said}")
            found, said = events_of(libraries, libraries.ours, path, ["exact=1", *options])
            checks.equal(exact, found, f"{name}: exact {said}")
        found, said = events_of(libraries, libraries.ours, cooked(folder), ["exact=1"])
        checks.equal(["JUST_EST", ONE, "EXITING"], found, f"LINUX_SLL2 {said}")
    page = (HERE.parents[1] / "docs" / "libnids.md").read_text(encoding="utf-8")
    for name, _, function in ROWS:
        checks.that(f"`{function.__name__}`" in page, f"docs/libnids.md has a row for {name}")
    checks.finish()


if __name__ == "__main__":
    main()
