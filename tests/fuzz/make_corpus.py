#!/usr/bin/env python3
"""Makes tests/fuzz/corpus: small inputs of the fuzz targets, from the project's sample and from
nothing. The same files every time as long as the sample is the same.

usage: make_corpus.py [--gen FLOWLOOM-GEN] [--flowloom FLOWLOOM] [FOLDER]

With the capture generator (perf/ of a build) the inputs `random-*` are made anew, too, with the
program itself (app/) the packs.
"""
import argparse
import gzip
import pathlib
import random
import struct
import subprocess
import tempfile

import mutate_captures

HERE = pathlib.Path(__file__).resolve().parent
# Position of a link type in lib/net/links.def, counted from 1.
LINKS = {line.split("(")[1].split(",")[0]: index for index, line in enumerate(
    (line for line in (HERE.parents[1] / "lib" / "net" / "links.def").read_text().splitlines()
     if line.startswith("LINK(")), 1)}

RAW, ETHERNET = 1, 2                          # control bits of pipeline_fuzz
RESPONDER, IPV6, OTHER, TAGGED, SHORT = 2, 4, 8, 16, 32
FIN, SYN, RST, PSH, ACK, URG, ECE = 1, 2, 4, 8, 16, 32, 64


def checksum(data):
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f">{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def tcp(payload=b"hello", options=b"\x02\x04\x05\xb4\x01\x03\x03\x07\x04\x02\x00\x00"):
    words = 5 + len(options) // 4
    return struct.pack(">HHIIBBHHH", 40000, 80, 1000, 2000, words << 4, ACK | PSH, 64000, 0, 0) + \
        options + payload


def ipv4(body, protocol=6, offset=0, more=False):
    header = struct.pack(">BBHHHBBH4s4s", 0x45, 0, 20 + len(body), 7, more << 13 | offset // 8, 64,
                         protocol, 0, bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)))
    return header[:10] + struct.pack(">H", checksum(header)) + header[12:] + body


def ipv6(body, following=6):
    ends = bytes.fromhex("20010db8000000000000000000000001" "20010db8000000000000000000000002")
    return struct.pack(">IHBB", 6 << 28, len(body), following, 64) + ends + body


def ethernet(body, kind=0x0800, tags=()):
    ends = b"\x02\0\0\0\0\2" b"\x02\0\0\0\0\1"
    return ends + b"".join(struct.pack(">HH", 0x8100, tag) for tag in tags) + \
        struct.pack(">H", kind) + body


def udp(body, port):
    return ipv4(struct.pack(">HHHH", 50000, port, 8 + len(body), 0) + body, 17)


def gre(flags, kind, body):
    return ipv4(struct.pack(">HH", flags, kind) + body, 47)


def word(value):
    return struct.pack(">I", value)


def tunnels():
    """name -> IP datagram with a tunnel in it."""
    v4, v6 = ipv4(tcp()), ipv6(tcp())
    bridged4, bridged6 = ethernet(v4), ethernet(v6, 0x86dd, tags=(9,))
    vxlan = b"\x08\0\0\0" + word(42 << 8)
    cut = ipv4(tcp()[:24], more=True)
    found = {
        "ipip": ipv4(v4, 4),
        "6in4": ipv4(v6, 41),
        "etherip": ipv4(b"\x30\0" + bridged4, 97),
        "l2tp3": ipv4(word(7) + word(8) + bridged4, 115),
        "gre-fields": gre(0xb000, 0x0800, word(0) + word(1) + word(2) + v4),
        "nvgre": gre(0x2000, 0x6558, word(0x12345678) + bridged6),
        "pptp": gre(0x3081, 0x880b, word(99 << 16 | 1) + word(2) + word(3) + b"\xff\x03\0\x21" +
                    v4),
        "erspan2": gre(0x1000, 0x88be, word(1) + word(1 << 28 | 0x405) + word(0) + bridged4),
        "erspan3": gre(0x1000, 0x22eb, word(1) + word(2 << 28) + word(0) + word(1) + bytes(8) +
                       bridged6),
        "wccp": gre(0, 0x883e, word(0) + v4),
        "gre-mpls": gre(0, 0x8847, word(17 << 12 | 0x140) + word(0) + bridged4),
        "vxlan": udp(vxlan + bridged6, 4789),
        "gpe-nsh": udp(b"\x0c\0\0\4" + word(0) + b"\x0f\xc6\1\3" + bytes(20) + bridged4, 4790),
        "geneve": udp(b"\x02\0\x65\x58" + word(0) + bytes(8) + bridged4, 6081),
        "gtp": udp(struct.pack(">BBHIHBB", 0x36, 255, len(v4) + 8, 1, 0, 0, 0x85) +
                   b"\1\0\0\0" + v4, 2152),
        "teredo": udp(b"\0\1\0\0" + bytes(9) + bytes(8) + v6, 3544),
        "mpls-udp": udp(word(17 << 12) + word(18 << 12 | 0x140) + v6, 6635),
        "l2tp2": udp(struct.pack(">HHHHHH", 0x4a02, 0, 1, 2, 3, 4) + b"\0\0\x21" + v4, 1701),
        "lisp": udp(b"\x08\0\0\0" + word(5 << 8) + v4, 4341),
        "tzsp": udp(b"\1\0\0\1\0\x0a\1\0\1" + bridged4, 37008),
        "fragment-in-vxlan": udp(vxlan + ethernet(cut), 4789),
    }
    deep = v4
    for _ in range(4):
        deep = gre(0, 0x0800, udp(vxlan + ethernet(deep), 4789))
    return {f"tunnel-{name}": datagram for name, datagram in
            (found | {"deep": deep, "too-deep": ipv4(deep, 4)}).items()}


def decode_inputs():
    segment, v4, v6 = tcp(), ipv4(tcp()), ipv6(tcp())
    snap = b"\xaa\xaa\x03\0\0\0"
    frames = {
        "ethernet-ipv4": ("Ethernet", ethernet(v4)),
        "ethernet-ipv6": ("Ethernet", ethernet(v6, 0x86dd)),
        "ethernet-padded": ("Ethernet", ethernet(ipv4(tcp(b"", b""))) + bytes(6)),
        "two-tags": ("Ethernet", ethernet(v4, tags=(5, 6))),
        "mpls": ("Ethernet", ethernet(struct.pack(">II", 16 << 12 | 64, 17 << 12 | 0x140) + v4,
                                      0x8847)),
        "pppoe": ("Ethernet", ethernet(struct.pack(">BBHHH", 0x11, 0, 1, len(v4) + 2, 0x21) + v4,
                                       0x8864)),
        "llc-snap": ("Ethernet", ethernet(snap + b"\x08\0" + v4, len(v4) + 8)),
        "ipv6-extensions": ("Ethernet", ethernet(
            ipv6(bytes((60, 0)) + bytes(6) + bytes((6, 1)) + bytes(14) + segment, 0), 0x86dd)),
        "fragment": ("Ethernet", ethernet(ipv4(segment[:24], more=True))),
        "ipv6-fragment": ("Ethernet", ethernet(
            ipv6(struct.pack(">BBHI", 6, 0, 1, 9) + segment[:24], 44), 0x86dd)),
        "options-garbage": ("Ethernet", ethernet(ipv4(tcp(options=b"\x05\x0a" + b"\x07" * 6)))),
        "raw": ("Raw", v4),
        "ipv6-raw": ("Ipv6", v6),
        "null": ("Null", struct.pack("<I", 2) + v4),
        "sll": ("LinuxSll", struct.pack(">HHH8sH", 0, 1, 6, b"\2\0\0\0\0\1\0\0", 0x0800) + v4),
        "sll2": ("LinuxSll2", struct.pack(">HHIHBB8s", 0x86dd, 0, 2, 1, 0, 6,
                                          b"\2\0\0\0\0\1\0\0") + v6),
        "ppp": ("Ppp", b"\xff\x03\x00\x21" + v4),
        "hdlc": ("CiscoHdlc", b"\x0f\0\x08\0" + v4),
        "radiotap": ("Radiotap", bytes((0, 0, 8, 0, 0, 0, 0, 0, 8, 2)) + bytes(22) + snap +
                     b"\x08\0" + v4),
        "aggregate": ("Ieee80211", b"\x88\x02" + bytes(22) + b"\x80\0" + bytes(12) +
                      struct.pack(">H", len(v4) + 8) + snap + b"\x08\0" + v4),
    }
    frames |= {name: ("Ipv4", datagram) for name, datagram in tunnels().items()}
    frames |= {
        "frame-relay": ("FrameRelay", b"\x18\x41\3\0\x80\0\0\0\x08\0" + v4),
        "ppi": ("Ppi", b"\0\0\x08\0\1\0\0\0" + ethernet(v4)),
        "pktap": ("Pktap", struct.pack("<III", 108, 1, 1) + bytes(96) + ethernet(v4)),
        "dsa": ("DsaTag", bytes(12) + b"\xe0\x10\0\5\x08\0" + v4),
    }
    return {name: bytes((LINKS[link], 0)) + frame for name, (link, frame) in frames.items()}


def step(control, flags, seq, ack, size, wait=64, window=250, urgent=0, timestamp=0):
    extra = bytes([urgent] if flags & URG else []) + bytes([timestamp] if flags & ECE else [])
    return struct.pack("<BBBhhBB", control, wait, flags, seq, ack, size, window) + extra


def raw(frame, wait=64):
    return struct.pack("<BBH", RAW | ETHERNET, wait, len(frame)) + frame


HANDSHAKE = step(0, SYN, 0, 0, 7) + step(RESPONDER, SYN | ACK, 0, 1, 9) + step(0, ACK, 1, 1, 0)
CLOSE = step(0, FIN | ACK, 101, 1, 0) + step(RESPONDER, FIN | ACK, 1, 102, 0) + \
    step(0, ACK, 102, 2, 0)


def settings(a=0, b=2, idle=60, c=31, d=0, fragments=0):
    """See settings_of(); `d`: bit 0 --deliver acked, then --urgent in steps of 2."""
    return bytes((a, b, idle, c, d, fragments))


PLAIN = settings()


def pipeline_inputs():
    reordered = step(0, ACK, 61, 1, 40) + step(0, ACK, 31, 1, 30) + step(0, ACK, 1, 1, 30)
    conflict = step(0, ACK, 41, 1, 60) + step(OTHER, ACK, 21, 1, 40) + step(0, ACK, 1, 1, 40)
    syn_data = step(0, SYN, 0, 0, 12) + step(RESPONDER, SYN | ACK, 0, 13, 0) + \
        step(0, ACK, 13, 1, 9)
    lossy = step(0, ACK, 31, 1, 70) + b"".join(step(RESPONDER, ACK, 1, 101, 0, wait=191)
                                              for _ in range(12))
    whole = tcp(b"x" * 64)
    stamped = step(0, SYN | ECE, 0, 0, 7, timestamp=10) + \
        step(RESPONDER, SYN | ACK | ECE, 0, 1, 9, timestamp=10) + \
        step(0, ACK | ECE, 1, 1, 0, timestamp=15)
    fragments = raw(ethernet(ipv4(whole[:48], more=True))) + raw(ethernet(ipv4(whole[48:],
                                                                             offset=48)))
    sample = b"".join(raw(frame) for _, _, frame in mutate_captures.sample_records()[:24]
                      if len(frame) < 400)
    return {
        "in-order": PLAIN + HANDSHAKE + step(0, PSH | ACK, 1, 1, 100) + CLOSE,
        "reordered": PLAIN + HANDSHAKE + reordered + CLOSE,
    } | {
        f"conflict-{policy}": settings(policy, c=policy * 16) + HANDSHAKE + conflict + CLOSE
        for policy in range(POLICIES)
    } | {
        "depth": settings(0x40, 20, c=6) + HANDSHAKE + reordered + CLOSE,
        "one-page": settings(b=0) + HANDSHAKE + reordered + CLOSE,
        "data-on-syn": PLAIN + syn_data,
        "loss": PLAIN + HANDSHAKE + lossy + CLOSE,
        "mid-stream": PLAIN + reordered + step(RESPONDER, ACK, 1, 101, 50, wait=200),
        "reset": PLAIN + HANDSHAKE + step(0, RST, 1, 0, 0) + HANDSHAKE,
        "reuse": PLAIN + HANDSHAKE + CLOSE + step(0, SYN, 5000, 0, 0, wait=220),
        "ipv6-tagged": PLAIN + step(IPV6 | TAGGED, SYN, 0, 0, 0) +
            step(IPV6 | TAGGED, ACK, 1, 1, 255) + step(IPV6 | TAGGED, ACK, 2001, 1, 33),
        "snapped": PLAIN + HANDSHAKE + step(SHORT, ACK, 1, 1, 100) + CLOSE,
        "urgent": PLAIN + HANDSHAKE + step(0, URG | ACK, 1, 1, 100) + CLOSE,
        "table-full": settings(0x80) + b"".join(step(port << 6, SYN, 0, 0, 0)
                                                         for port in range(4)),
        "fragments": PLAIN + HANDSHAKE + fragments,
        "fragments-last": settings(fragments=3) + fragments + fragments,
        "tunnels": PLAIN + b"".join(raw(ethernet(d)) for d in tunnels().values()),
        "sample": PLAIN + sample,
        "acked": settings(d=1) + HANDSHAKE + conflict + step(RESPONDER, ACK, 1, 51, 0) +
            step(RESPONDER, ACK, 1, 101, 0) + CLOSE,
        "acked-urgent": settings(d=3) + HANDSHAKE + step(0, URG | ACK, 1, 1, 100, urgent=30) +
            step(RESPONDER, ACK, 1, 30, 0) + step(RESPONDER, ACK, 1, 101, 0) + CLOSE,
        "urgent-oob": settings(d=2) + HANDSHAKE + step(0, URG | ACK, 51, 1, 50, urgent=50) +
            step(0, URG | ACK, 1, 1, 50, urgent=7) + CLOSE,
        "urgent-drop": settings(d=4) + HANDSHAKE + step(0, URG | ACK, 1, 1, 60, urgent=60) +
            step(0, URG | ACK, 41, 1, 60, urgent=20) + CLOSE,
        "doubtful": PLAIN + stamped + step(0, ACK | ECE, 1, 1, 50, timestamp=1) +
            step(OTHER, 0, 1, 0, 100) + step(0, ACK | ECE, 1, 1, 100, timestamp=20) +
            step(0, ACK, 101, 9999, 20) + CLOSE,
        "joined": PLAIN + step(0, SYN, 0, 0, 7) + step(RESPONDER | TAGGED, SYN | ACK, 0, 1, 9) +
            step(0, ACK, 1, 1, 20) + step(RESPONDER | TAGGED, ACK, 1, 21, 20),
    }


def modified_pcap(records):
    """Alexey Kuznetsov's: eight bytes more before each frame."""
    header = struct.pack("<I", 0xa1b2cd34) + mutate_captures.pcap([], "<")[4:]
    return header + b"".join(
        struct.pack("<4IIHBB", seconds, fraction, len(frame), len(frame), 2, 0x0800, 0, 0) + frame
        for seconds, fraction, frame in records)


def capture_inputs():
    records = [record for record in mutate_captures.sample_records()[:16]
               if len(record[2]) < 300]
    little = mutate_captures.pcapng(records, "<")
    return {
        "pcap": mutate_captures.pcap(records, "<"),
        "pcap-swapped": mutate_captures.pcap(records, ">"),
        "pcap-nanoseconds": struct.pack("<I", 0xa1b23c4d) + mutate_captures.pcap(records,
                                                                                 "<")[4:],
        "pcap-modified": modified_pcap(records),
        "pcapng": little,
        "pcapng-swapped": mutate_captures.pcapng(records, ">"),
        "pcapng-sections": little + mutate_captures.pcapng(records[:3], ">"),
        "gzip": gzip.compress(little, mtime=0),
        "header-only": mutate_captures.pcap([], "<"),
    }


GENERATED, GENERATED_FRAMES = 6, 40
POLICIES = 9                                  # of segments; the same number of fragments
SEVENTEEN = ((2, 3), (6, 2), (8, 3), (12, 1), (15, 2), (17, 3), (20, 2), (22, 2), (24, 1), (3, 4),
             (8, 3), (11, 3), (14, 3), (18, 1), (21, 1), (22, 1), (24, 2), (1, 2), (0, 1))


def segments_inputs():
    """Of segments_fuzz: the worked example of the literature, and chance."""
    inputs = {}
    for policy in range(POLICIES):
        chance = random.Random(policy)
        example = b"".join(bytes((begin, length | index % 4 << 6))
                           for index, (begin, length) in enumerate(SEVENTEEN))
        inputs[f"seventeen-{policy}"] = bytes((policy, policy % 4, 110)) + example
        start = bytes((policy, chance.randrange(16), chance.randrange(150)))
        inputs[f"chance-{policy}"] = start + b"".join(
            bytes((chance.randrange(40), chance.randrange(8) | chance.randrange(4) << 6))
            for _ in range(60))
        inputs[f"syn-ack-missed-{policy}"] = bytes((policy, 16 | policy % 4, 70)) + example
    return inputs


def defragment_inputs():
    """Of defragment_fuzz."""
    v6, last, far, long, later = 1, 2, 4, 8, 16
    pair = bytes((0, 0, 3, last, 3, 2 | 5 << 4))
    inputs = {
        "pair": b"\0" + pair,
        "pair6": b"\0" + bytes((v6, 0, 3, v6 | last, 3, 2)),
        "overlap6": b"\0" + bytes((v6, 0, 3, v6 | 64, 2, 3, v6 | last, 3, 2)),
        "expired": b"\0" + pair[:3] + bytes((later | last, 3, 2, 31)),
        "oversize": b"\0" + bytes((far | long, 255, 15)),
        "two-ends": b"\0" + pair[3:] + bytes((last, 9, 2)),
        "beyond-the-end": b"\0" + pair[3:] + bytes((0, 4, 8)),
    }
    for policy in range(POLICIES):
        chance = random.Random(policy)
        inputs[f"chance-{policy}"] = bytes((policy,)) + b"".join(
            bytes((chance.randrange(4) << 6 | (last if chance.randrange(12) == 0 else 0),
                   chance.randrange(12), chance.randrange(1, 8))) for _ in range(80))
    return inputs


def generated_records(generator):
    """(seed, records) of captures by the generator, each of three conversations."""
    with tempfile.TemporaryDirectory() as folder:
        for seed in range(1, GENERATED + 1):
            path = pathlib.Path(folder) / "random.pcap"
            subprocess.run([generator, "random", path, "--connections", "3", "--size", "0.05",
                            "--seed", str(seed)], check=True, stdout=subprocess.DEVNULL)
            yield seed, mutate_captures.records_of(path)


def generated_inputs(generator):
    """Three conversations a piece by the capture generator, with what the seed brings."""
    found = {}
    for seed, records in generated_records(generator):
        frames = [raw(frame) for _, _, frame in records if len(frame) < 400]
        found[f"random-{seed}"] = settings(seed, d=seed, fragments=seed) + \
            b"".join(frames[:GENERATED_FRAMES])
    return found


def scans_inputs():
    """Of scans_fuzz: a probe is source, kind with flags, target, port, pause."""
    def probes(ports, source=1, kind=0, target=2, pause=10):
        return b"".join(bytes((source, kind, target, port, pause)) for port in ports)

    start = bytes((4, 9, 150))
    return {
        "ports": start + probes(range(30)),
        "anew": bytes((5, 3, 150)) + probes(range(30)),
        "hosts": start + b"".join(probes([80], target=host) for host in range(40)),
        "slow": start + probes(range(20), pause=205) + probes(range(20), pause=100),
        "kinds": start + b"".join(probes(range(12), source=kind, kind=kind | kind << 3)
                                  for kind in range(8)),
        "flood": bytes((0, 2, 150)) + b"".join(probes(range(5), source=source)
                                               for source in range(120)),
        "lull": start + probes(range(12)) + probes([1], pause=255) + probes(range(12)),
    }


def nids_inputs(captures):
    """Of nids_fuzz: two control bytes and a capture."""
    kinds = {"libnids": 0, "exact": 1, "threads": 2, "discard": 4 | 8, "unchecked": 16 | 1,
             "one-by-one": 128 | 32}
    return {f"{name}-{kind}": bytes((bits, 5)) + capture
            for name, capture in captures.items() for kind, bits in kinds.items()
            if name == "sample" or kind in ("libnids", "exact")}


def generated_captures(generator):
    return {f"random-{seed}": mutate_captures.pcap(records[:2 * GENERATED_FRAMES], "<")
            for seed, records in generated_records(generator)}


def pack_inputs(flowloom):
    """Of pack_fuzz: what the program packs of the sample, and of nothing."""
    found = {}
    records = [record for record in mutate_captures.sample_records() if len(record[2]) < 300]
    kinds = (("plain", 60, "pack", 0), ("repaired", 60, "pack", 1 | 2 | 32 | 64),
             ("zstd", 90, "pack=zstd", 1 | 4 | 128), ("filtered", 30, "pack", 1 | 8 | 16),
             ("empty", 0, "pack", 1))
    for name, count, writer, bits in kinds:
        with tempfile.TemporaryDirectory() as folder:
            capture = pathlib.Path(folder) / "capture.pcap"
            capture.write_bytes(mutate_captures.pcap(records[:count], "<"))
            out = pathlib.Path(folder) / "out"
            subprocess.run([flowloom, "read", capture, "-q", "-o", out, "--write", writer],
                           check=True, stdout=subprocess.DEVNULL)
            files = {file.name: file.read_bytes() for file in (out / "pack").iterdir()}
        index = files["index"]
        found[name] = struct.pack("<BH", bits, len(index)) + index + files.get("data-000000", b"")
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--gen")
    parser.add_argument("--flowloom")
    parser.add_argument("folder", nargs="?", type=pathlib.Path, default=HERE / "corpus")
    options = parser.parse_args()
    pipeline = pipeline_inputs() | (generated_inputs(options.gen) if options.gen else {})
    records = mutate_captures.sample_records()[:40]
    captures = {"sample": mutate_captures.pcap(records, "<")}
    if options.gen:
        captures |= generated_captures(options.gen)
    for target, inputs in (("scans", scans_inputs()), ("nids", nids_inputs(captures)),
                           ("pack", pack_inputs(options.flowloom) if options.flowloom else {}),
                           ("decode", decode_inputs()), ("pipeline", pipeline),
                           ("segments", segments_inputs()), ("defragment", defragment_inputs()),
                           ("capture", capture_inputs())):
        folder = options.folder
        (folder / target).mkdir(parents=True, exist_ok=True)
        for name, data in inputs.items():
            (folder / target / name).write_bytes(data)


if __name__ == "__main__":
    main()
