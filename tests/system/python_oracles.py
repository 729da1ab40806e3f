"""Second opinions on the Python module: streams of clean captures (no loss, nothing contradictory)
put together from what dpkt and scapy dissect, and captures made for the tests."""
import collections
import ipaddress
import pathlib
import struct

import dpkt

from support import ACK, PCAP_HEADER, PSH, Capture, Talk, capture_of


def from_dpkt(path):
    """{(client, port, server, port): [bytes of the client, bytes of the server]}: the segments of
    each sender by their distance from its SYN; a second SYN of the client begins another one."""
    parts = collections.defaultdict(lambda: [{}, {}])
    origins, uses = {}, collections.Counter()
    with open(path, "rb") as file:
        for _, frame in dpkt.pcap.Reader(file):
            ip = dpkt.ethernet.Ethernet(frame).data
            if not isinstance(ip, (dpkt.ip.IP, dpkt.ip6.IP6)) or \
                    not isinstance(ip.data, dpkt.tcp.TCP):
                continue
            tcp = ip.data
            ends = (str(ipaddress.ip_address(ip.src)), tcp.sport), \
                (str(ipaddress.ip_address(ip.dst)), tcp.dport)
            if tcp.flags & dpkt.tcp.TH_SYN:
                if not tcp.flags & dpkt.tcp.TH_ACK:
                    uses[ends] += 1
                    origins[ends, "client"] = True
                origins[ends] = tcp.seq + 1
            side = 0 if (ends, "client") in origins else 1
            pair = ends if side == 0 else ends[::-1]
            key = (*pair[0], *pair[1], uses[pair])
            if tcp.data:
                parts[key][side][(tcp.seq - origins[ends]) & 0xFFFFFFFF] = tcp.data
            else:
                parts.setdefault(key, [{}, {}])
    return {key: [joined(side) for side in sides] for key, sides in parts.items()}


def joined(pieces):
    data = b""
    for at in sorted(pieces):
        assert at <= len(data), "this oracle is for captures without gaps"
        data += pieces[at][len(data) - at:]
    return data


def from_scapy(path):
    """The same by scapy, for captures of a few hundred packets."""
    from scapy.all import IP, TCP, IPv6, rdpcap  # pylint: disable=import-outside-toplevel
    parts, origins, clients = {}, {}, set()
    for packet in rdpcap(str(path)):
        if TCP not in packet:
            continue
        ip, tcp = packet[IP] if IP in packet else packet[IPv6], packet[TCP]
        ends = (ip.src, tcp.sport), (ip.dst, tcp.dport)
        if tcp.flags.S:
            origins[ends] = tcp.seq + 1
            if not tcp.flags.A:
                clients.add(ends)
        side = 0 if ends in clients else 1
        pair = ends if side == 0 else ends[::-1]
        size = (ip.len - 4 * ip.ihl if ip.version == 4 else ip.plen) - 4 * tcp.dataofs
        if size:
            data = bytes(tcp.payload)[:size]
            sides = parts.setdefault((*pair[0], *pair[1], 1), [{}, {}])
            sides[side][(tcp.seq - origins[ends]) & 0xFFFFFFFF] = data
        else:
            parts.setdefault((*pair[0], *pair[1], 1), [{}, {}])
    return {key: [joined(side) for side in sides] for key, sides in parts.items()}


def talk(number, rounds=3, size=200, start=1_600_000_000.0, close=True):
    """A conversation of `rounds` requests and answers."""
    one = Talk(number).open(start)
    for i in range(rounds):
        at = start + 0.001 * (i + 1)
        one.say(at, 0, PSH | ACK, f"request {i} of {number} ".encode() * (1 + number % 3))
        one.say(at, 1, PSH | ACK, bytes((number + i + k) & 255 for k in range(size)))
    return one.close(start + 0.001 * (rounds + 2)) if close else one


def clean_capture(path, count=120):
    """Connections side by side, of many sizes."""
    return capture_of(path, *(talk(n, 1 + n % 5, 1 + 37 * n % 1400, 1_600_000_000 + n * 0.0007)
                              for n in range(1, count + 1)))


def save(path, *talks):
    """The packets as they were made, one connection behind the other."""
    packets = [packet for one in talks for packet in one.packets]
    return Capture(PCAP_HEADER, packets).save(pathlib.Path(path))


def key_of(client, port, server, other, use=1):
    def end(address, number):
        return f"[{address}]:{number}" if ":" in address else f"{address}:{number}"
    return f"{end(client, port)} ==> {end(server, other)}" + (f" #{use}" if use > 1 else "")


def frames_of(path):
    """[(stamp in ns, frame)] of a capture of any of the four classic magics."""
    data = pathlib.Path(path).read_bytes()
    unit = 1 if struct.unpack_from("=I", data)[0] == 0xA1B23C4D else 1000
    at, found = 24, []
    while at < len(data):
        seconds, rest, captured, _ = struct.unpack_from("=IIII", data, at)
        found.append((seconds * 1_000_000_000 + rest * unit, data[at + 16:at + 16 + captured]))
        at += 16 + captured
    return found
