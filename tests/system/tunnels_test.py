#!/usr/bin/env python3
"""The sample capture inside every kind of tunnel gives the streams that it gives outside.

Each frame of the sample is wrapped, so that the truth of the sample is the truth of the result; the
streams must be the same bytes, the record must name the tunnel, and one worker and several must
agree. Some are cut into fragments outside the tunnel, inside it, and on both sides. Where tshark is
installed, its streams of the wrapped captures must be the same, too: a second opinion on what was
wrapped here.
usage: tunnels_test.py FLOWLOOM GENERATOR
"""
import pathlib
import re
import shutil
import struct
import subprocess
import sys

from support import (SAMPLE, TIMEOUT, Capture, Checks, Command, balances, contents, ones_sum,
                     records, same_contents, scratch, sha256, stats, streams)

WORKERS = 3
MACS = b"\2\0\0\0\1\1\2\0\0\0\1\2"


def ethernet(kind, payload):
    return MACS + struct.pack("!H", kind) + payload


def outer4(protocol, payload, number=7, field=0):
    header = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), number, field, 64, protocol, 0)
    header += bytes((192, 0, 2, 1, 192, 0, 2, 2))
    check = struct.pack("!H", ones_sum(header) ^ 0xFFFF)
    return ethernet(0x0800, header[:10] + check + header[12:] + payload)


def outer6(following, payload):
    ends = bytes.fromhex("fd000000000000000000000000000001" "fd000000000000000000000000000002")
    return ethernet(0x86DD, struct.pack("!IHBB", 6 << 28, len(payload), following, 64) + ends +
                    payload)


def udp(port, payload, sender=51000):
    return outer4(17, struct.pack("!HHHH", sender, port, 8 + len(payload), 0) + payload)


def is6(frame):
    return frame[12:14] == b"\x86\xdd"


def kind(frame):
    return struct.unpack("!H", frame[12:14])[0]


def gre(flags, protocol, rest):
    return outer4(47, struct.pack("!HH", flags, protocol) + rest)


def word(value):
    return struct.pack("!I", value)


def ppp(frame):
    return b"\xff\x03\x00" + (b"\x57" if is6(frame) else b"\x21") + frame[14:]


def gtp(frame):
    return udp(2152, struct.pack("!BBHI", 0x30, 255, len(frame) - 14, 77) + frame[14:], 2152)


def l2tp(frame):
    return udp(1701, struct.pack("!HHH", 2, 4, 8) + ppp(frame), 1701)


def next_of(frame):
    return 41 if is6(frame) else 4


# name: (expected elements of the record for an IPv4 packet, wrap)
TUNNELS = {
    "ipv4": (["ipip"], lambda f: outer4(next_of(f), f[14:])),
    "ipv6": (["4in6"], lambda f: outer6(next_of(f), f[14:])),
    "gre": (["gre"], lambda f: gre(0, kind(f), f[14:])),
    "gre-key": (["gre:99"], lambda f: gre(0x3000, kind(f), word(99) + word(1) + f[14:])),
    "gre-bridged": (["gre"], lambda f: gre(0x8000, 0x6558, word(0) + f)),
    "nvgre": (["nvgre:70000"], lambda f: gre(0x2000, 0x6558, word(70000 << 8 | 5) + f)),
    "erspan1": (["erspan"], lambda f: gre(0, 0x88BE, f)),
    "erspan2": (["erspan:6"], lambda f: gre(0x1000, 0x88BE, word(1) + word(1 << 28 | 6) +
                                            word(0) + f)),
    "erspan3": (["erspan:6"], lambda f: gre(0x1000, 0x22EB, word(1) + word(2 << 28 | 6) +
                                            word(9) + word(0) + f)),
    "vxlan": (["vxlan:42"], lambda f: udp(4789, b"\x08\0\0\0" + word(42 << 8) + f)),
    "gpe": (["vxlan-gpe:42"], lambda f: udp(4790, b"\x0c\0\0" + (b"\2" if is6(f) else b"\1") +
                                            word(42 << 8) + f[14:])),
    "geneve": (["geneve:43"], lambda f: udp(6081, b"\x02\x40\x65\x58" + word(43 << 8) +
                                            b"\1\2\3\1" + word(9) + f)),
    "mpls": (["mpls:16", "mpls:17"], lambda f: ethernet(0x8847, word(16 << 12 | 64) +
                                                       word(17 << 12 | 0x140) + f[14:])),
    "mpls-pseudowire": (["mpls:17"], lambda f: ethernet(0x8847, word(17 << 12 | 0x140) + word(0) +
                                                        f)),
    "mpls-gre": (["gre", "mpls:17"], lambda f: gre(0, 0x8847, word(17 << 12 | 0x140) + f[14:])),
    "mpls-udp": (["mpls-in-udp", "mpls:17"], lambda f: udp(6635, word(17 << 12 | 0x140) +
                                                           f[14:])),
    "pppoe": (["pppoe:5"], lambda f: ethernet(0x8864, struct.pack(
        "!BBHH", 0x11, 0, 5, len(f) - 12) + ppp(f)[2:])),
    "gtp": (["gtp:77"], gtp),
    "l2tp": (["l2tp:8"], l2tp),
    "vntag": (["vntag:2"], lambda f: ethernet(0x8926, word(2 << 16 | 1) + f[12:])),
    "etherip": (["etherip"], lambda f: outer4(97, b"\x30\0" + f)),
}


def teredo(frame):
    return udp(3544, b"\0\0" + bytes(6) + frame[14:]) if is6(frame) else frame


def deep(frame):
    """Eight tunnels, with tags between them."""
    for name in ("gre", "vxlan", "ipv6", "nvgre", "ipv4", "geneve", "gre-key", "gtp"):
        frame = TUNNELS[name][1](frame)
    return frame


def cut(frame, number, size=512):
    """Fragments of an IPv4 frame."""
    header, body = frame[14:34], frame[34:]
    if frame[12:14] != b"\x08\0" or header[0] != 0x45 or len(body) <= size or header[6] & 0x3F:
        return [frame]
    pieces = []
    for at in range(0, len(body), size):
        part = body[at:at + size]
        field = at // 8 | (0x2000 if at + size < len(body) else 0)
        plain = header[:2] + struct.pack("!HHH", 20 + len(part), number & 0xFFFF, field) + \
            header[8:10] + b"\0\0" + header[12:]
        check = struct.pack("!H", ones_sum(plain) ^ 0xFFFF)
        pieces.append(frame[:14] + plain[:10] + check + plain[12:] + part)
    return pieces


def rewrite(sample, path, wrap_all):
    """A capture of what `wrap_all` makes of each frame of the sample: a list of frames."""
    packets = []
    for stamp, record in sample.packets:
        for frame in wrap_all(record[16:]):
            size = struct.pack("=II", len(frame), len(frame))
            packets.append((stamp, record[:8] + size + frame))
    return sample.save(path, packets)


def digests(out):
    return {ends: [(len(data), sha256(data)) for _, _, data in parts]
            for ends, parts in streams(out).items()}


def tshark_streams(path, count):
    """The bytes of every direction, as tshark delivers them."""
    options = [part for n in range(count) for part in ("-z", f"follow,tcp,raw,{n}")]
    ran = subprocess.run(["tshark", "-r", path, "-q", *options], capture_output=True, text=True,
                         timeout=TIMEOUT, check=True)
    found = []
    for block in ran.stdout.split("=" * 67)[1:]:
        lines = re.findall(r"^(\t?)([0-9a-f]+)$", block, re.MULTILINE)
        if "Node 0" not in block:
            continue
        for side in ("", "\t"):
            found.append(sha256(bytes.fromhex("".join(x for tab, x in lines if tab == side))))
    return sorted(found)


def check(checks, flowloom, folder, path, expected, what):
    out = pathlib.Path(folder) / "out"
    ran = flowloom.read([path], out)
    checks.equal((0, True), (ran.status, balances(stats(out))), f"{what}: status and ledger")
    checks.equal(expected, digests(out), f"{what}: streams")
    found = contents(out)
    several = pathlib.Path(folder) / "several"
    flowloom.read([path], several, "--workers", WORKERS)
    same_contents(checks, found, contents(several), f"{what}: {WORKERS} workers")
    return [record.get("tunnel") for record in records(out) if ":" not in record["orig"]["addr"]]


def check_peer(checks, path, expected, count, what):
    if shutil.which("tshark") is None:
        return
    digests_ = sorted(sum(([d for _, d in parts] for parts in expected.values()), []))
    checks.equal(digests_, tshark_streams(path, count), f"{what}: tshark's streams")


def main():
    flowloom, checks = Command(sys.argv[1]), Checks()
    sample = Capture.load(SAMPLE)
    with scratch() as folder:
        path = pathlib.Path(folder) / "wrapped.pcap"
        out = pathlib.Path(folder) / "plain"
        flowloom.read([SAMPLE], out)
        expected, count = digests(out), len(records(out))
        checks.that(count > 0, "the sample has connections")
        for name, (elements, wrap) in TUNNELS.items():
            rewrite(sample, path, lambda frame, wrap=wrap: [wrap(frame)])
            tunnels = check(checks, flowloom, folder, path, expected, name)
            checks.equal([elements] * len(tunnels), tunnels, f"{name}: the record")
            check_peer(checks, path, expected, count, name)
        rewrite(sample, path, lambda frame: [teredo(frame)])
        check(checks, flowloom, folder, path, expected, "teredo")
        rewrite(sample, path, lambda frame: [deep(frame)])
        tunnels = check(checks, flowloom, folder, path, expected, "eight tunnels")
        checks.that(all(len(t) == 8 for t in tunnels), "eight tunnels in the record")
        rewrite(sample, path, lambda frame: [TUNNELS["gre"][1](deep(frame))])
        flowloom.read([path], out)
        of_ip = sum(kind(record[16:]) in (0x0800, 0x86DD) for _, record in sample.packets)
        checks.equal(of_ip, stats(out)["packets"]["verdicts"]["too_many_tunnels"], "nine tunnels")
        numbers = iter(range(1, 1 << 30))
        ways = {
            "fragments outside": lambda frame: cut(TUNNELS["vxlan"][1](frame), next(numbers)),
            "fragments inside": lambda frame: [TUNNELS["vxlan"][1](piece)
                                               for piece in cut(frame, next(numbers))],
            "fragments on both sides": lambda frame: [
                part for piece in cut(frame, next(numbers), 1024)
                for part in cut(TUNNELS["gre-key"][1](piece), next(numbers), 256)],
            "fragments in fragments in deep tunnels": lambda frame: [
                part for piece in cut(TUNNELS["ipv4"][1](frame), next(numbers), 1024)
                for middle in cut(TUNNELS["geneve"][1](piece), next(numbers), 640)
                for part in cut(TUNNELS["vxlan"][1](middle), next(numbers), 256)],
        }
        for name, wrap_all in ways.items():
            rewrite(sample, path, wrap_all)
            check(checks, flowloom, folder, path, expected, name)
            check_peer(checks, path, expected, count, name)
    checks.finish()


if __name__ == "__main__":
    main()
