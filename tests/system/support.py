"""What the system tests share: checks that are counted, the command as a user runs it, captures
cut and joined packet by packet, output folders as a whole, and the generator's ground truth."""
import collections
import hashlib
import ipaddress
import json
import os
import pathlib
import shutil
import struct
import subprocess
import sys
import tempfile
import time
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[2]
SAMPLE = ROOT / "samples" / "sample.pcap"
TIMEOUT = 120  # of one command, seconds; a hang is a failure

Ran = collections.namedtuple("Ran", "status out err seconds")


class Checks:
    """Counts what holds and prints what does not; the test ends with finish()."""

    def __init__(self):
        self.passed = 0
        self.failed = 0

    def that(self, holds, what):
        if holds:
            self.passed += 1
        else:
            self.failed += 1
            print(f"FAILED {what}", flush=True)
        return bool(holds)

    def equal(self, expected, found, what):
        return self.that(expected == found,
                         f"{what}: expected {str(expected)[:300]!r}, found {str(found)[:300]!r}")

    def finish(self):
        print(f"{self.passed} checks passed" + (f", {self.failed} failed" if self.failed else ""))
        sys.exit(1 if self.failed or not self.passed else 0)


class Command:
    """The flowloom program."""

    def __init__(self, path):
        self.path = os.path.abspath(path)

    def __call__(self, *arguments, **options):
        """Runs to the end; options are those of subprocess.run."""
        start = time.monotonic()
        ran = subprocess.run([self.path, *map(str, arguments)], check=False,
                             **{"stdout": subprocess.PIPE, "stderr": subprocess.PIPE,
                                "stdin": subprocess.DEVNULL, "timeout": TIMEOUT} | options)
        err = ran.stderr.decode() if ran.stderr is not None else ""
        return Ran(ran.returncode, ran.stdout, err, time.monotonic() - start)

    def read(self, captures, out, *options, **more):
        """flowloom read into a new folder."""
        return self("read", *captures, "-o", fresh(out), *options, **more)

    def run(self, captures, out, *options, **more):
        """flowloom run with one net_pcap device per capture."""
        vdevs = [f"--vdev=net_pcap{i},rx_pcap={path}" for i, path in enumerate(captures)]
        return self("run", *vdevs, "--", "-o", fresh(out), *options, **more)


def fresh(folder):
    shutil.rmtree(folder, ignore_errors=True)
    return folder


def scratch():
    """A temporary folder, in memory where there is some: the tests write thousands of files."""
    memory = "/dev/shm"
    roomy = os.path.isdir(memory) and shutil.disk_usage(memory).free > 2 << 30
    return tempfile.TemporaryDirectory(prefix="flowloom-", dir=memory if roomy else None)


def generate(generator, kind, path, size, *options):
    subprocess.run([generator, kind, path, "-n", size, *options], check=True, timeout=TIMEOUT)
    return path


# Output

def contents(folder):
    """Every file below `folder`: relative name -> bytes."""
    folder = pathlib.Path(folder)
    return {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def same_contents(checks, expected, found, what):
    """One check over all files, naming the first that differ."""
    names = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
    return checks.that(not names, f"{what}: {len(names)} files differ, such as {names[:3]}")


def records(out):
    """The objects of flows.jsonl; every line must be one."""
    text = (pathlib.Path(out) / "flows.jsonl").read_text(encoding="utf-8")
    return [json.loads(line) for line in text.splitlines()]


def stats(out):
    return json.loads((pathlib.Path(out) / "stats.json").read_text(encoding="utf-8"))


def balances(ledger):
    """The contract's two sums."""
    packets, payload = ledger["packets"], ledger["payload_bytes"]
    return packets["received"] == sum(packets["verdicts"].values()) and \
        payload["seen"] == sum(payload["fates"].values()) and \
        ledger["connections"]["created"] == sum(ledger["connections"]["closed"].values())


def endpoint(side):
    address = side["addr"]
    return f"[{address}]:{side['port']}" if ":" in address else f"{address}:{side['port']}"


def streams(out):
    """(sender, receiver) -> [(record, side of the sender, bytes)], in the order of the records."""
    found = collections.defaultdict(list)
    for record in records(out):
        for me, other in (("orig", "resp"), ("resp", "orig")):
            side = record[me]
            data = (pathlib.Path(out) / side["file"]).read_bytes() if "file" in side else b""
            found[endpoint(side), endpoint(record[other])].append((record, side, data))
    return found


# Captures: classic pcap of Ethernet, the byte order of this machine

class Capture:
    """Packets of a pcap file as (stamp, bytes of the whole record)."""

    def __init__(self, header, packets):
        self.header = header
        self.packets = packets

    @classmethod
    def load(cls, path):
        data = pathlib.Path(path).read_bytes()
        packets, at = [], 24
        while at < len(data):
            seconds, micros, captured, _ = struct.unpack_from("=IIII", data, at)
            packets.append(((seconds, micros), data[at:at + 16 + captured]))
            at += 16 + captured
        return cls(data[:24], packets)

    def save(self, path, packets=None):
        records_ = self.packets if packets is None else packets
        pathlib.Path(path).write_bytes(self.header + b"".join(r for _, r in records_))
        return path

    def cut(self, folder, name, pieces):
        """Files one after the other in time."""
        size = -(-len(self.packets) // pieces)
        return [self.save(pathlib.Path(folder) / f"{name}{i}.pcap",
                          self.packets[i * size:(i + 1) * size]) for i in range(pieces)]

    def deal(self, folder, name, pieces):
        """Files whose packets take turns; packets of one stamp stay together, in their order."""
        hands = [[] for _ in range(pieces)]
        turn, last = 0, None
        for stamp, record in self.packets:
            turn += stamp != last
            last = stamp
            hands[turn % pieces].append((stamp, record))
        return [self.save(pathlib.Path(folder) / f"{name}{i}.pcap", hand)
                for i, hand in enumerate(hands)]

    def without_fragments(self):
        """The same packets with every complete IPv4 or IPv6 datagram in one piece, in the place
        of its last fragment; pieces of datagrams that never complete are left out."""
        waiting, packets = {}, []
        for stamp, record in self.packets:
            joined = join_fragment(record[16:], waiting)
            if joined is not None:
                size = struct.pack("=II", len(joined), len(joined))
                packets.append((stamp, record[:8] + size + joined))
        return Capture(self.header, packets)


def ones_sum(data):
    data += b"\0" * (len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


FIN, SYN, RST, PSH, ACK, URG = 1, 2, 4, 8, 16, 32


class Talk:
    """Makes the packets of one IPv4 TCP connection: up (of the client) and down."""

    def __init__(self, number=1):
        self.addresses = bytes([10, 7, number >> 8, number & 255]), bytes([10, 8, 0, 1])
        self.ports = 20000 + number % 20000, 80
        self.next = [1000, 5000]
        self.packets = []

    def say(self, stamp, side, flags, payload=b"", seq=None):
        """One segment at `stamp` seconds; without `seq` the next one in order."""
        at = self.next[side] if seq is None else seq
        options = b"\3\3\x0e\0" if flags & SYN else b""  # a window scale of 14: there is room
        tcp = struct.pack("!HHIIBBHHH", self.ports[side], self.ports[1 - side], at & 0xFFFFFFFF,
                          self.next[1 - side] if flags & ACK else 0,
                          (20 + len(options)) << 2, flags, 60000, 0,
                          len(payload) if flags & URG else 0) + options
        ends = self.addresses[side] + self.addresses[1 - side]
        pseudo = ends + struct.pack("!HH", 6, len(tcp) + len(payload))
        check = struct.pack("!H", ones_sum(pseudo + tcp + payload) ^ 0xFFFF)
        header = b"\x45\0\0\0\0\0\x40\0\x40\x06\0\0" + ends
        frame = b"\2\0\0\0\0\1\2\0\0\0\0\2\x08\0" + \
            whole_header(header, len(tcp) + len(payload)) + tcp[:16] + check + tcp[18:] + payload
        micros = round(stamp * 1_000_000)
        size = len(frame)
        when = divmod(micros, 1_000_000)
        self.packets.append((when, struct.pack("=IIII", *when, size, size) + frame))
        if seq is None:
            self.next[side] += len(payload) + bool(flags & (SYN | FIN))
        return self

    def open(self, stamp):
        return self.say(stamp, 0, SYN).say(stamp, 1, SYN | ACK).say(stamp, 0, ACK)

    def close(self, stamp):
        return self.say(stamp, 0, FIN | ACK).say(stamp, 1, FIN | ACK).say(stamp, 0, ACK)


PCAP_HEADER = struct.pack("=IHHIIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)


def capture_of(path, *talks):
    """A capture of connections, their packets merged by time."""
    packets = sorted((p for talk in talks for p in talk.packets), key=lambda packet: packet[0])
    return Capture(PCAP_HEADER, packets).save(path)


def fragment_of(frame):
    """(key, offset, more, IP header of the whole datagram, body); more is None for whole ones."""
    ip = frame[14:]
    if frame[12:14] == b"\x08\x00":
        total, ident, field = struct.unpack_from("!HHH", ip, 2)
        more = bool(field & 0x2000) if field & 0x3FFF else None
        return ("4", ip[12:20], ident), (field & 0x1FFF) * 8, more, ip[:20], ip[20:total]
    length, following = struct.unpack_from("!HB", ip, 4)
    if following != 44:
        return None, 0, None, ip[:40], ip[40:40 + length]
    following, field, ident = struct.unpack_from("!BxHI", ip, 40)
    header = ip[:6] + bytes([following]) + ip[7:40]
    return ("6", ip[8:40], ident), field & 0xFFF8, bool(field & 1), header, ip[48:40 + length]


def join_fragment(frame, waiting):
    """The frame itself, the frame that it completes, or None."""
    key, offset, more, header, body = fragment_of(frame)
    if more is None:
        return frame
    pieces = waiting.setdefault(key, {})
    pieces[offset] = (body, more)
    data = b""
    while len(data) in pieces:
        piece, more = pieces[len(data)]
        data += piece
        if not more:
            del waiting[key]
            return frame[:14] + whole_header(header, len(data)) + data
    return None


def whole_header(header, length):
    if header[0] >> 4 == 6:
        return header[:4] + struct.pack("!H", length) + header[6:]
    header = header[:2] + struct.pack("!H", 20 + length) + header[4:6] + b"\0\0" + \
        header[8:10] + b"\0\0" + header[12:]
    return header[:10] + struct.pack("!H", ones_sum(header) ^ 0xFFFF) + header[12:]


# The generator's ground truth

def same_endpoint(text):
    address, port = text.rsplit(":", 1)
    ip = ipaddress.ip_address(address.strip("[]"))
    return f"[{ip}]:{port}" if ip.version == 6 else f"{ip}:{port}"


def check_truth(checks, capture, out, what):
    """Holds the streams under `out` against CAPTURE.truth.jsonl: the delivered bytes always, the
    gaps where both ends of the direction were captured, so that its length is known."""
    found = streams(out)
    wrong, exact, total = [], 0, 0
    with open(f"{capture}.truth.jsonl", encoding="utf-8") as lines:
        for truth in map(json.loads, lines):
            total += 1
            ends = same_endpoint(truth["client"]), same_endpoint(truth["server"])
            parts = found[ends if truth["direction"] == "cts" else ends[::-1]]
            data = b"".join(part[2] for part in parts)
            if len(data) != truth["captured_bytes"] or \
                    f"{zlib.crc32(data):08x}" != truth["crc32_captured"]:
                wrong.append(f"{ends} {truth['direction']}: {len(data)} bytes of "
                             f"{truth['captured_bytes']}")
            elif len(parts) == 1 and whole_history(*parts[0][:2]):
                gaps = [[g["offset"], g["length"]] for g in parts[0][1]["gaps"]]
                exact += 1
                if gaps != truth["gaps"]:
                    wrong.append(f"{ends} {truth['direction']}: gaps {gaps} of {truth['gaps']}")
    checks.that(not wrong, f"{what}: {len(wrong)} of {total} directions, such as {wrong[:2]}")
    checks.that(exact * 10 >= total * 9, f"{what}: only {exact} of {total} directions are whole")


def whole_history(record, side):
    """Whether the direction's SYN and FIN were seen."""
    letters = "SF" if side is record["orig"] else "hf"
    return all(letter in record["history"] for letter in letters)


def sha256(data):
    return hashlib.sha256(data).hexdigest()
