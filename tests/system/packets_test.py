#!/usr/bin/env python3
"""The writers of packets: every packet of a connection stands in its pcapng, byte for byte and with
its stamp, comments say what was found out, and the text summaries are the ten columns. Captures are
read by a reader of this test; what must be in them comes from the capture that was read.
usage: packets_test.py FLOWLOOM GENERATOR
"""
import collections
import decimal
import json
import pathlib
import struct
import sys

from support import (ACK, PSH, SAMPLE, SYN, Capture, Checks, Command, Talk, capture_of, contents,
                     generate, records, same_contents, scratch, stats)

Packet = collections.namedtuple("Packet", "link stamp frame length comments")


def options_of(data):
    found, at = [], 0
    while at + 4 <= len(data):
        code, size = struct.unpack_from("<HH", data, at)
        if code == 0:
            break
        found.append((code, data[at + 4:at + 4 + size]))
        at += 4 + size + -size % 4
    return found


def read_pcapng(data):
    """(section comments, packets); every length is checked twice, as the format has it."""
    sections, packets, links, at = [], [], [], 0
    while at < len(data):
        kind, size = struct.unpack_from("<II", data, at)
        assert size % 4 == 0 and struct.unpack_from("<I", data, at + size - 4)[0] == size
        body = data[at + 8:at + size - 4]
        if kind == 0x0A0D0D0A:
            assert struct.unpack_from("<IHHq", body) == (0x1A2B3C4D, 1, 0, -1)
            sections.append(dict(options_of(body[16:]))[1].decode())
            links = []
        elif kind == 1:
            assert dict(options_of(body[8:]))[9] == b"\x09"
            links.append(struct.unpack_from("<H", body)[0])
        elif kind == 6:
            interface, high, low, captured, length = struct.unpack_from("<IIIII", body)
            end = 20 + captured + -captured % 4
            comments = [text.decode() for code, text in options_of(body[end:]) if code == 1]
            packets.append(Packet(links[interface], high << 32 | low,
                                  body[20:20 + captured], length, comments))
        else:
            assert kind == 5
        at += size
    assert at == len(data)
    return sections, packets


def pcapng_of(out, record):
    def end(side):
        return f"{side['addr'].replace(':', '-')}.{side['port']}"
    name = f"{end(record['orig'])}-{end(record['resp'])}-{record['uid']}.pcapng"
    return read_pcapng((out / "pcap" / name).read_bytes())


def check_whole(checks, flowloom, capture, folder, what):
    """Nothing is lost or made up, in a capture of whole TCP frames alone."""
    outs = []
    for workers, more in ((1, ()), (2, ("--burst", 7)), (4, ("--memory", "2M"))):
        out = folder / f"{what}{workers}"
        ran = flowloom.read([capture], out, "-q", "--write", "flows,pcap,app-flow",
                            "--workers", workers, *more)
        checks.equal(0, ran.status, f"{what}: {workers} workers")
        outs.append({n: b for n, b in contents(out).items() if n != "stats.json"})
    same_contents(checks, outs[0], outs[1], f"{what}: 1 and 2 workers")
    same_contents(checks, outs[0], outs[2], f"{what}: little memory")
    flowloom.read([capture], folder / "others", "-q", "--write", "streams,pcap")
    same_contents(checks, {n: b for n, b in outs[0].items() if n.startswith("pcap/")},
                  {n: b for n, b in contents(folder / "others").items() if n.startswith("pcap/")},
                  f"{what}: beside other writers")
    out = folder / f"{what}1"
    expected = collections.Counter()
    for (seconds, micros), record in Capture.load(capture).packets:
        expected[(seconds * 10**6 + micros) * 1000, record[16:]] += 1
    found = collections.Counter()
    for record in records(out):
        sections, packets = pcapng_of(out, record)
        checks.equal(record, json.loads(sections[-1]), f"{what}: the record in the capture")
        checks.equal(record["orig"]["packets"] + record["resp"]["packets"], len(packets),
                     f"{what}: packets of {record['uid']}")
        found.update((p.stamp, p.frame) for p in packets)
    packets, writers = stats(out)["packets"], stats(out)["writers"]
    checks.equal((packets["received"] - packets["verdicts"]["tcp"], 0),
                 (sum((expected - found).values()), sum((found - expected).values())),
                 f"{what}: packets that are missing, and too many")
    for name in ("pcap", "app-flow"):
        checks.equal((len(records(out)), 0), (writers[name]["records"], writers[name]["dropped"]),
                     f"{what}: {name} in stats.json")


def seconds(ns, digits):
    return str((decimal.Decimal(ns) / 10**9).quantize(decimal.Decimal(10) ** -digits))


def summary_of(packets, client):
    """The ten columns from the packets of one connection, by the facts about the original."""
    lines, total, last, spacing = [], [0, 0], [None, None], ["0.0", "0.0"]
    for i, packet in enumerate(packets):
        ip = packet.frame[14:]
        head = (ip[0] & 15) * 4
        payload = struct.unpack_from("!H", ip, 2)[0] - head - (ip[head + 12] >> 4) * 4
        side = int(ip[12:16] != client)
        if last[side] is not None:
            spacing[side] = seconds(packet.stamp - last[side], 6)
        last[side] = packet.stamp
        total[side] += payload
        lines.append(" ".join([
            seconds(packet.stamp, 6), str(side), str(payload), f"{total[0]}.0", f"{total[1]}.0",
            str(sum(total)), seconds(packet.stamp - packets[i - 1].stamp, 6) if i else "0.0",
            *spacing, seconds(packet.stamp - packets[0].stamp, 6) if i else "0.0"]))
    return "".join(line + "\n" for line in lines)


def odd_talk():
    """Out of order, a gap, a repetition, a wrong checksum; 200 KB, so in several messages."""
    talk = Talk(7).open(1)
    for i in range(120):
        talk.say(2 + i / 100, 1, ACK | PSH, bytes([97 + i % 26]) * 1400)
    start = talk.next[1]
    talk.say(4, 1, ACK | PSH, b"second", seq=start + 5)
    talk.say(4.1, 1, ACK | PSH, b"first")
    talk.next[1] += 6
    talk.say(4.2, 1, ACK | PSH, b"first", seq=start)
    talk.say(4.3, 0, ACK | PSH, b"wrong")
    stamp, record = talk.packets[-1]
    talk.packets[-1] = stamp, record[:-1] + b"?"
    talk.next[0] -= 5
    talk.next[1] += 1460
    talk.say(4.4, 1, ACK | PSH, b"behind the gap").say(4.5, 0, ACK)
    return talk.say(90, 1, ACK | PSH, b"later").say(91, 0, ACK).close(92)


def check_comments(checks, flowloom, folder):
    talk = odd_talk()
    capture = capture_of(folder / "odd.pcap", talk)
    out = folder / "odd"
    flowloom.read([capture], out, "-q", "--write", "flows,pcap,app-flow")
    record, = records(out)
    _, packets = pcapng_of(out, record)
    checks.equal([r[16:] for _, r in talk.packets], [p.frame for p in packets], "odd: frames")
    said = [(i, p.comments) for i, p in enumerate(packets) if p.comments]
    at = len(talk.packets) - 11
    gap, = record["resp"]["gaps"]
    checks.equal([(at, ["out of order: 5 bytes ahead"]), (at + 2, ["retransmission"]),
                  (at + 3, ["wrong TCP checksum: not part of the stream"]),
                  (at + 4, ["out of order: 1460 bytes ahead"])],
                 [(i, c) for i, c in said if not c[0].startswith("gap")][:4], "odd: comments")
    gaps = [c for _, comments in said for c in comments if c.startswith("gap")]
    checks.equal([f"gap: 1460 bytes from 10.8.0.1:80 at {gap['offset']}, {gap['cause']}"], gaps,
                 "odd: the gap")
    name, = (out / "app-flow").iterdir()
    checks.equal(summary_of(packets, talk.addresses[0]), name.read_text(), "odd: the ten columns")
    flowloom("read", capture, "-o", out, "-q", "--force", "--write", "app-flow",
             "--summary-columns", "PacketNumber,Flow_with_Direction,Notes,Flow")
    name, = (out / "app-flow").iterdir()
    lines = name.read_text().splitlines()
    checks.equal(f"{at + 1} 1 o 10.8.0.1:80==>10.7.0.7:20007", lines[at], "columns of choice")
    checks.that(not (out / "pcap").exists(), "--force removes the captures of an earlier run")


def check_many_open(checks, flowloom, folder):
    """More connections with long streams than files may be open."""
    talks = [Talk(n).open(1 + n / 1000) for n in range(1, 151)]
    for i in range(60):
        for n, talk in enumerate(talks):
            talk.say(2 + i + n / 1000, 1, ACK | PSH, bytes([i]) * 1400)
    capture = capture_of(folder / "open.pcap", *talks)
    check_whole(checks, flowloom, capture, folder, "open")


def check_mistakes(checks, flowloom, folder):
    for options in (("--write", "app-flow", "--summary-columns", "Time,Tme"),
                    ("--write", "flows", "--summary-columns", "Time")):
        ran = flowloom.read([SAMPLE], folder / "wrong", *options)
        checks.equal((1, 1), (ran.status, ran.err.count("\n")), f"refuses {options}")
    flowloom.read([SAMPLE], folder / "pack", "-q", "--write", "pack")
    ran = flowloom("unpack", folder / "pack", "-o", folder / "none", "--write", "pcap")
    checks.that(ran.status == 1 and "no packets" in ran.err, "a pack holds no packets")


def main():
    checks, flowloom = Checks(), Command(sys.argv[1])
    with scratch() as name:
        folder = pathlib.Path(name)
        check_whole(checks, flowloom, SAMPLE, folder, "sample")
        syn = capture_of(folder / "syn.pcap", Talk(9).say(1, 0, SYN), Talk(10).open(2).close(3))
        check_whole(checks, flowloom, syn, folder, "syn")
        check_whole(checks, flowloom, generate(sys.argv[2], "many", folder / "many.pcap", "0.003"),
                    folder, "many")
        check_comments(checks, flowloom, folder)
        check_many_open(checks, flowloom, folder)
        check_mistakes(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
