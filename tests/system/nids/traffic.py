#!/usr/bin/env python3
"""Writes random hostile captures for comparing followers of TCP: conversations whose segments are
reordered, repeated, cut, overlapped with other bytes, urgent, out of window or damaged, whose
packets are fragmented in every wrong way, and noise between them.

usage: traffic.py SEED OUT [CONVERSATIONS]
"""
import random
import struct
import sys

FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32
ETHERNET = bytes(12)


def checksum(data):
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    return ~total & 0xffff


def address(number):
    return bytes([10, 0, number >> 8 & 255, number & 255])


def ip(source, destination, protocol, payload, ident=1, offset=0, more=0, options=b"", length=None,
       damage=0):
    header = struct.pack("!BBHHHBBH4s4s", 0x45 + len(options) // 4, 0,
                         20 + len(options) + len(payload) if length is None else length, ident,
                         more << 13 | offset, 64, protocol, 0, source, destination) + options
    return header[:10] + struct.pack("!H", checksum(header) ^ damage) + header[12:] + payload


def tcp(source, destination, ports, seq, ack, flags, payload=b"", window=8192, options=b"",
        urgent=0, damage=0, offset=None):
    words = 5 + len(options) // 4 if offset is None else offset
    header = struct.pack("!HHIIBBHHH", *ports, seq & 0xffffffff, ack & 0xffffffff, words << 4,
                         flags, window, 0, urgent) + options
    pseudo = source + destination + struct.pack("!BBH", 0, 6, len(header) + len(payload))
    total = checksum(pseudo + header + payload) ^ damage
    return header[:16] + struct.pack("!H", total) + header[18:] + payload


class Talk:
    """One conversation: a list of IP packets in the order in which they are captured."""

    def __init__(self, rng, number):
        self.rng = rng
        self.client = address(1 + number % 7)
        self.server = address(100 + number % 3)
        self.ports = (1024 + number % 50, rng.choice((80, 25, 21)))
        near_wrap = lambda: rng.choice((rng.getrandbits(32), 0xffffff00 + rng.randrange(256),
                                        0x7fffff00 + rng.randrange(256)))
        self.isn = [near_wrap(), near_wrap()]
        self.stamps = rng.random() < 0.4
        self.clock = rng.getrandbits(31)
        self.packets = []

    def options(self, syn):
        rng = self.rng
        options = b""
        if syn:
            options += b"\2\4\5\264"
            if rng.random() < 0.5:
                options += bytes([1, 3, 3, rng.choice((0, 2, 7, 14, 20, 255))])
        if self.stamps or rng.random() < 0.02:
            back = 1000 if rng.random() < 0.05 else 0
            options += b"\1\1\10\12" + struct.pack("!II", self.clock - back & 0xffffffff, 0)
            self.clock += rng.randrange(3)
        if rng.random() < 0.02:
            kinds = (0, 1, 3, 8, 2, 10, 255)
            options = bytes(rng.choice(kinds) for _ in range(4 * rng.randrange(10)))
        return options

    def send(self, side, seq, ack, flags, payload=b"", **more):
        rng = self.rng
        ends = (self.client, self.server) if side == 0 else (self.server, self.client)
        ports = self.ports if side == 0 else self.ports[::-1]
        more.setdefault("window", rng.choice((8192, 8192, 8192, 65535, 1000, 0))
                        if rng.random() < 0.3 else 8192)
        if rng.random() < 0.01:
            more["damage"] = 1
        if rng.random() < 0.01:
            more["offset"] = rng.randrange(16)
        segment = tcp(*ends, ports, seq, ack, flags, payload,
                      options=self.options(flags & SYN), **more)
        ip_options = b""
        if rng.random() < 0.02:
            kind = rng.choice((7, 68, 131, 137, 0, 1, 148, 68))
            ip_options = (bytes([kind, rng.choice((3, 7, 8, 12, 2, 1, 40)),
                                 rng.choice((4, 5, 9, 13, 1, 250)), rng.getrandbits(8)]) +
                          bytes(rng.choice((0, 1, 7, 68, rng.getrandbits(8)))
                                for _ in range(4 * rng.randrange(9))))
        self.packets.append(ip(*ends, 6, segment, rng.getrandbits(16), options=ip_options,
                               damage=1 if rng.random() < 0.005 else 0))

    def handshake(self):
        rng = self.rng
        c, s = self.isn
        first = bytes(rng.getrandbits(8) for _ in range(rng.choice((0, 0, 0, 0, 0, 0, 0, 0, 9))))
        self.send(0, c, 0, SYN | rng.choice((0, 0, 0, 0xc0, PSH)), first)
        if rng.random() < 0.05:
            self.send(0, c + rng.choice((0, 0, 77)), 0, SYN)
        if rng.random() < 0.05:
            flags = rng.choice((ACK, PSH | ACK, RST, FIN, 0))
            self.send(rng.randrange(2), c + 1, 0, flags, b"early")
        if rng.random() < 0.05:
            self.icmp()
        self.send(1, s, c + 1 + rng.choice((0,) * 12 + (1, len(first))), SYN | ACK)
        if rng.random() < 0.05:
            self.send(1, s, c + 1, SYN | ACK)
        if rng.random() < 0.9:
            wrong = rng.choice((0,) * 12 + (1,))
            self.send(0, c + 1, s + 1 + wrong, rng.choice((ACK,) * 8 + (ACK | FIN, ACK | RST, FIN)),
                      b"first" if rng.random() < 0.2 else b"")

    def icmp(self):
        rng = self.rng
        quoted = ip(self.client, self.server, rng.choice((6, 6, 6, 17)),
                    struct.pack("!HHI", *self.ports, self.isn[0]))
        body = bytes([rng.choice((3, 3, 3, 11)), rng.randrange(18), 0, 0, 0, 0, 0, 0]) + quoted
        body = body[:2] + struct.pack("!H", checksum(body)) + body[4:]
        source = rng.choice((self.server, address(250)))
        self.packets.append(ip(source, self.client, 1, body))

    def data(self):
        """Both directions in pieces that nearly fit together."""
        rng = self.rng
        sent = []
        sides = []
        for side in (0, 1):
            stream = bytes(rng.getrandbits(8) for _ in range(rng.choice((0, 5, 200, 3000, 9000))))
            at = 0
            pieces = []
            while at < len(stream):
                size = rng.choice((1, 3, 100, 536, 1460))
                pieces.append((at, stream[at:at + size]))
                at += size
            sides.append(len(stream))
            for begin, bytes_ in pieces:
                sent.append((side, begin, bytes_))
        if rng.random() < 0.5:
            sent.sort(key=lambda piece: piece[1] + 3000 * piece[0])
        for _ in range(rng.choice((0, 0, 2, len(sent) // 3))):
            if len(sent) > 1:
                i = rng.randrange(len(sent) - 1)
                sent[i], sent[i + 1] = sent[i + 1], sent[i]
        got = [0, 0]
        for side, begin, bytes_ in sent:
            if rng.random() < 0.02:
                continue
            copies = 1 + (rng.random() < 0.05)
            for _ in range(copies):
                self.piece(side, begin, bytes_, got)
            got[side] = max(got[side], begin + len(bytes_))
            if rng.random() < 0.5:
                self.send(1 - side, self.isn[1 - side] + 1 + got[1 - side],
                          self.isn[side] + 1 + got[side], ACK)
        return sides

    def piece(self, side, begin, bytes_, got):
        rng = self.rng
        flags, urgent = ACK, 0
        if rng.random() < 0.1:
            begin, bytes_ = begin + rng.randrange(-20, 20), bytes(rng.randrange(1, 60))
        if rng.random() < 0.05:
            flags |= URG
            urgent = rng.choice((0, 1, 2, len(bytes_), len(bytes_) + 1, 700, 65535))
        flags |= rng.choice((0,) * 60 + (FIN, RST, PSH, SYN))
        if rng.random() < 0.01:
            begin += rng.choice((8000, 70000, 1 << 31))
        self.send(side, self.isn[side] + 1 + begin, self.isn[1 - side] + 1 + got[1 - side], flags,
                  bytes_, urgent=urgent)

    def close(self, sides):
        rng = self.rng
        how = rng.random()
        ends = [self.isn[0] + 1 + sides[0], self.isn[1] + 1 + sides[1]]
        if how < 0.15:
            return
        if how < 0.3:
            self.send(rng.randrange(2), ends[0] + rng.choice((0, 0, 5, 1 << 20)), 0, RST)
            return
        first = rng.randrange(2)
        self.send(first, ends[first], ends[1 - first], FIN | ACK)
        if rng.random() < 0.8:
            self.send(1 - first, ends[1 - first], ends[first] + 1, ACK)
        self.send(1 - first, ends[1 - first], ends[first] + 1, FIN | ACK)
        self.send(first, ends[first] + 1, ends[1 - first] + 1, ACK,
                  b"late" if rng.random() < 0.1 else b"")

    def play(self):
        self.handshake()
        self.close(self.data())
        return self.packets


def fragments(rng, packet, wild):
    """The packet in fragments; wild ones overlap, repeat, contradict or miss parts."""
    header, payload = packet[:20], packet[20:]
    source, destination, protocol = header[12:16], header[16:20], header[9]
    ident = rng.getrandbits(16)
    size = 8 * rng.choice((1, 2, 10, 64))
    parts = [[at, payload[at:at + size], at + size < len(payload)]
             for at in range(0, len(payload), size)][:120]
    if wild:
        for _ in range(rng.randrange(4)):
            at = 8 * rng.randrange(1 + len(payload) // 8)
            parts.insert(rng.randrange(len(parts) + 1),
                         [at, bytes(rng.randrange(1, 5) * 8), True])
        if rng.random() < 0.3:
            rng.shuffle(parts)
        if rng.random() < 0.1:
            parts.append([65528 - 8 * rng.randrange(3), bytes(24), False])
        if rng.random() < 0.1:
            parts.pop(rng.randrange(len(parts)))
    elif rng.random() < 0.3:
        rng.shuffle(parts)
    return [ip(source, destination, protocol, data, ident, at // 8, int(more))
            for at, data, more in parts]


def noise(rng):
    kind = rng.randrange(6)
    ends = address(rng.randrange(300)), address(rng.randrange(300))
    if kind == 0:
        return ip(*ends, 17, struct.pack("!HHHH", 53, 53, 8 + rng.choice((4, 4, 4, 90)),
                                         rng.choice((0, 1))) + b"abcd")
    if kind == 1:
        return bytes(rng.getrandbits(8) for _ in range(rng.randrange(80)))
    if kind == 2:
        return ip(*ends, 6, b"short", length=rng.choice((10, 25, 60, 2000)))
    if kind == 3:  # a scan
        return ip(address(77), address(rng.randrange(2)), 6,
                  tcp(address(77), address(0), (5, rng.randrange(9)), 1, 0,
                      rng.choice((SYN, FIN, 0, FIN | PSH | URG))))
    if kind == 4:
        return ip(bytes(4), bytes(4), 6, tcp(bytes(4), bytes(4), (1, 2), 3, 4, SYN))
    return b"\x60" + bytes(50)


def frame(rng, packet):
    if rng.random() < 0.02:
        return ETHERNET + b"\x81\0\0\7" + rng.choice((b"\10\0", b"\x81\0")) + packet
    if rng.random() < 0.01:
        return ETHERNET + rng.choice((b"\x86\xdd", b"\x88\xa8", b"\10\6")) + packet
    whole = ETHERNET + b"\10\0" + packet
    if rng.random() < 0.3:
        whole += bytes(max(0, 60 - len(whole)))
    return whole[:rng.randrange(80)] if rng.random() < 0.005 else whole


def packets(seed, conversations, wild=True):
    """(seconds, microseconds, frame), in the order of the capture."""
    rng = random.Random(seed)
    talks = [Talk(rng, number).play() for number in range(conversations)]
    order = [number for number, talk in enumerate(talks) for _ in talk]
    if rng.random() < 0.7:
        rng.shuffle(order)
    now = 1_600_000_000
    positions = [0] * len(talks)
    for number in order:
        packet = talks[number][positions[number]]
        positions[number] += 1
        now += rng.choice((0,) * 200 + (1, 5, 20, 5000, -3))
        parts = [packet]
        if rng.random() < 0.03 and len(packet) > 28 and packet[0] == 0x45:
            parts = fragments(rng, packet, wild and rng.random() < 0.7)
        if rng.random() < 0.03:
            parts.append(noise(rng))
        for part in parts:
            yield now, rng.randrange(1_000_000), frame(rng, part)


def file_header(link, order="<", magic=0xa1b2c3d4):
    return struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, 65535, link)


def record(seconds, fraction, data, order="<"):
    return struct.pack(order + "IIII", seconds, fraction, len(data), len(data)) + data


def write(path, seed, conversations, wild=True):
    with open(path, "wb") as out:
        out.write(file_header(1))
        for seconds, micro, data in packets(seed, conversations, wild):
            out.write(record(seconds, micro, data))


if __name__ == "__main__":
    write(sys.argv[2], int(sys.argv[1]), int(sys.argv[3]) if len(sys.argv) > 3 else 40)
