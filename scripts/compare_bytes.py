#!/usr/bin/env python3
"""Who delivered the right bytes? flowloom, tcpflow, tshark and libnids side by side.

Every capture comes with what its streams really are: X.expect.json (streams with a verdict, from
tshark and a reference by sequence numbers) or X.truth.jsonl (flowloom-gen). Each tool reads each
capture, and every direction with bytes is right (the same bytes, nothing added, nothing missing of
what was captured), wrong (a stream of these end points, with other bytes) or missing. Streams in
which the capture lost bytes are counted apart. What is a matter of policy is left out, and so are
streams on whose bytes tshark and the reference do not agree. Where checksums are wrong it is as
right to drop those packets as to take them. Tools that are not installed are named.

  scripts/compare_bytes.py --build BUILDDIR CAPTURE|FOLDER...
  scripts/compare_bytes.py --build BUILDDIR --made            made captures, one mishap each
  scripts/compare_bytes.py ... --markdown docs/comparison.md  replaces the tables there
"""
import argparse
import collections
import hashlib
import ipaddress
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

from report_page import replace_blocks

TIMEOUT = 300
FOLLOWED_AT_ONCE = 200  # streams of one tshark run
MADE = (("clean", "timestamps"), ("short frames padded", "padding"),
        ("loss, disorder, repetition", "timestamps,loss,reorder,repeat"),
        ("capture loss", "timestamps,capture-loss"), ("sequence wrap", "timestamps,wrap"),
        ("fragments", "timestamps,fragments"), ("VLANs", "timestamps,vlan,two-vlans,vlan-twins"),
        ("IPv6", "timestamps,ipv6"), ("tunnels", "timestamps,tunnels"),
        ("fast open", "timestamps,syn-data"),
        ("simultaneous open", "timestamps,simultaneous"), ("end points reused", "timestamps,reuse"),
        ("closed window", "timestamps,zero-window"), ("resets", "timestamps,reset"),
        ("started in the middle", "timestamps,mid-stream"), ("one side", "timestamps,one-sided"),
        ("each packet twice", "timestamps,capture-repeat"),
        ("acknowledged before seen", "timestamps,skew"))
MADE_CONVERSATIONS = 300
EMPTY = hashlib.sha256(b"").hexdigest()

Stream = collections.namedtuple("Stream", "ends bytes digests gaps")
Score = collections.namedtuple("Score", "right wrong missing")


def endpoint(address, port):
    ip = ipaddress.ip_address(address.strip("[]"))
    return f"[{ip}]:{int(port)}" if ip.version == 6 else f"{ip}:{int(port)}"


def normal(text):
    return endpoint(*text.rsplit(":", 1))


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# What is right

def expected_of_truth(path):
    """Lines of flowloom-gen."""
    with open(path, encoding="utf-8") as lines:
        for truth in map(json.loads, lines):
            ends = (normal(truth["client"]), normal(truth["server"]))
            if truth["captured_bytes"] and "sha256" in truth:
                yield Stream(ends if truth["direction"] == "cts" else ends[::-1],
                             truth["captured_bytes"], {truth["sha256"]}, bool(truth["gaps"]))


def expected_of_expectation(path):
    """Solid streams, and those where nothing but a gap is debatable."""
    with open(path, encoding="utf-8") as f:
        expectation = json.load(f)
    for stream in expectation["streams"]:
        why = [reason.split(":", 1)[-1].split("=")[0] for reason in stream.get("why", [])]
        if stream["verdict"] == "debatable" and set(why) - {"gap", "missing-before-fin"}:
            continue
        for one in stream["dirs"]:
            reference = one["ref"]
            digests = {reference["sha256"]}
            if "ref_without_bad_checksum_packets" in one:
                digests.add(one["ref_without_bad_checksum_packets"]["sha256"])
            if reference["bytes"]:
                yield Stream((normal(one["src"]), normal(one["dst"])), reference["bytes"], digests,
                             bool(reference["gaps"]))


def expected_streams(capture):
    for suffix, reader in ((".truth.jsonl", expected_of_truth),
                           (".expect.json", expected_of_expectation)):
        if os.path.exists(capture + suffix):
            return list(reader(capture + suffix))
    return None


# The tools: each yields (ends, digest) of every direction with bytes

class Flowloom:
    name = "flowloom"

    def __init__(self, options):
        build = options.build and os.path.join(options.build, "app/flowloom")
        self.path = options.flowloom or (build if build and os.access(build, os.X_OK) else None) \
            or shutil.which("flowloom")

    def version(self):
        return first_line([self.path, "--version"])

    def streams(self, capture, folder):
        run([self.path, "read", capture, "-o", folder, "-q", "--force", "--write", "flows",
             "--sha256"])
        with open(os.path.join(folder, "flows.jsonl"), encoding="utf-8") as lines:
            for record in map(json.loads, lines):
                sides = record["orig"], record["resp"]
                for me, other in (sides, sides[::-1]):
                    if me["stream_bytes"]:
                        yield (endpoint(me["addr"], me["port"]),
                               endpoint(other["addr"], other["port"])), me["sha256"]


class Tcpflow:
    name = "tcpflow"
    PORT = re.compile(r"^(.*)\.(\d{5})$")

    def __init__(self, _options):
        self.path = shutil.which("tcpflow")

    def version(self):
        return first_line([self.path, "--version"])

    def ends(self, name):
        """Of "010.000.000.001.01024-...", with what tcpflow appends to connections and VLANs."""
        sides = re.sub(r"(--\d+|c\d+)+$", "", name).split("-")
        matched = [self.PORT.match(side) for side in sides]
        if len(sides) != 2 or not all(matched):
            return None
        result = []
        for match in matched:
            address = match.group(1)
            if ":" not in address:
                address = ".".join(str(int(part)) for part in address.split("."))
            result.append(endpoint(address, match.group(2)))
        return tuple(result)

    def streams(self, capture, folder):
        run([self.path, "-r", capture, "-o", folder, "-S", "enable_report=NO"])
        for path in pathlib.Path(folder).iterdir():
            ends = self.ends(path.name)
            if ends and path.stat().st_size:
                yield ends, sha256(path.read_bytes())


class Tshark:
    name = "tshark"
    MARKER = re.compile(rb"\[\d+ bytes missing in capture file\]\0?")

    def __init__(self, _options):
        self.path = shutil.which("tshark")

    def version(self):
        return first_line([self.path, "--version"])

    def streams(self, capture, _folder):
        numbers = run([self.path, "-n", "-r", capture, "-T", "fields", "-e", "tcp.stream"]).split()
        last = max((int(n) for line in numbers for n in line.split(b",")), default=-1)
        for begin in range(0, last + 1, FOLLOWED_AT_ONCE):
            follow = []
            for number in range(begin, min(begin + FOLLOWED_AT_ONCE, last + 1)):
                follow += ["-z", f"follow,tcp,raw,{number}"]
            yield from self.parsed(run([self.path, "-n", "-q", "-r", capture, *follow]))

    def parsed(self, output):
        nodes, data = [], [[], []]
        for line in output.splitlines():
            if line.startswith(b"Node "):
                nodes.append(normal(line.split(b": ", 1)[1].decode().strip()))
            elif line.startswith(b"===") and nodes:
                for side in (0, 1):
                    octets = self.MARKER.sub(b"", bytes.fromhex(b"".join(data[side]).decode()))
                    if octets:
                        yield (nodes[side], nodes[1 - side]), sha256(octets)
                nodes, data = [], [[], []]
            elif len(nodes) == 2:
                data[line.startswith(b"\t")].append(line.strip())


class Libnids:
    name = "libnids"
    STREAMS = "1000000"

    def __init__(self, options):
        built = options.build and os.path.join(options.build, "perf/nids-count")
        self.path = built if built and os.access(built, os.X_OK) else shutil.which("nids-count")

    def version(self):
        known = first_line(["dpkg-query", "-W", "-f", "${Version}\n", "libnids1.21"])
        return f"libnids {known}"

    def streams(self, capture, folder):
        run([self.path, capture, self.STREAMS, folder])
        for path in pathlib.Path(folder).iterdir():
            sides = [side.rsplit(".", 1) for side in path.name.split("-")[:2]]
            yield tuple(endpoint(*side) for side in sides), sha256(path.read_bytes())


TOOLS = (Flowloom, Tcpflow, Tshark, Libnids)


def run(command):
    """Standard output, whatever the status: a damaged capture is still read up to the damage."""
    try:
        return subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
                              timeout=TIMEOUT, check=False).stdout
    except subprocess.TimeoutExpired:
        print(f"{command[0]} did not end within {TIMEOUT} s", file=sys.stderr)
        return b""


def first_line(command):
    try:
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        return (ran.stdout or ran.stderr).strip().splitlines()[0].strip(" .")
    except (OSError, IndexError):
        return "?"


# The comparison

def score(expected, found):
    """Of streams with and without gaps: right, wrong, missing."""
    left = collections.defaultdict(list)
    for ends, digest in found:
        left[ends].append(digest)
    counts = {False: [0, 0, 0], True: [0, 0, 0]}
    open_ = []
    for stream in expected:
        same = next((d for d in left[stream.ends] if d in stream.digests), None)
        if same is None:
            open_.append(stream)
        else:
            left[stream.ends].remove(same)
            counts[stream.gaps][0] += 1
    for stream in open_:
        if EMPTY in stream.digests and not left[stream.ends]:
            counts[stream.gaps][0] += 1  # all packets have wrong checksums, and were dropped
        elif left[stream.ends]:
            left[stream.ends].pop()
            counts[stream.gaps][1] += 1
        else:
            counts[stream.gaps][2] += 1
    return Score(*counts[False]), Score(*counts[True])


def compare(tools, capture):
    """{tool: (score of whole streams, score of those with gaps)}"""
    expected = expected_streams(capture)
    if not expected:
        return None
    result = {}
    for tool in tools:
        with tempfile.TemporaryDirectory(prefix="flowloom-bytes-") as folder:
            result[tool.name] = score(expected, tool.streams(capture, folder))
    return result


def cell(one):
    if sum(one) == 0:
        return "-"
    parts = [str(one.right)]
    if one.wrong:
        parts.append(f"{one.wrong} wrong")
    if one.missing:
        parts.append(f"{one.missing} missing")
    return ", ".join(parts)


def table(tools, rows, title):
    """Markdown; a row per capture, and the sums."""
    lines = [f"| {title} | streams | " + " | ".join(tool.name for tool in tools) + " |",
             "|---|---:|" + "---|" * len(tools)]
    for gaps, label in ((0, "whole"), (1, "with gaps")):
        sums = {tool.name: [0, 0, 0] for tool in tools}
        for name, result in rows:
            scores = {tool.name: result[tool.name][gaps] for tool in tools}
            total = sum(next(iter(scores.values())))
            for tool in tools:
                sums[tool.name] = [a + b for a, b in zip(sums[tool.name], scores[tool.name])]
            if total:
                cells = " | ".join(cell(scores[tool.name]) for tool in tools)
                lines.append(f"| {name}{', gaps' if gaps else ''} | {total} | {cells} |")
        total = sum(next(iter(sums.values())))
        if total:
            cells = " | ".join(cell(Score(*sums[tool.name])) for tool in tools)
            lines.append(f"| **all {label}** | **{total}** | {cells} |")
    return "\n".join(lines)


def captures_of(paths):
    for path in paths:
        if os.path.isdir(path):
            names = sorted(os.listdir(path))
            yield from (os.path.join(path, n) for n in names
                        if f"{n}.expect.json" in names or f"{n}.truth.jsonl" in names)
        else:
            yield path


def made_rows(tools, generator):
    rows = []
    with tempfile.TemporaryDirectory(prefix="flowloom-bytes-") as folder:
        path = os.path.join(folder, "made.pcap")
        for name, features in MADE:
            subprocess.run([generator, "random", path, "--connections", str(MADE_CONVERSATIONS),
                            "--with", features], check=True)
            rows.append((name, compare(tools, path)))
    return rows


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("captures", nargs="*", metavar="CAPTURE|FOLDER")
    parser.add_argument("--build", metavar="DIR", help="build directory with app/ and perf/")
    parser.add_argument("--flowloom", metavar="PATH", help="binary; default BUILD/app/flowloom")
    parser.add_argument("--made", action="store_true", help="captures of flowloom-gen as well")
    parser.add_argument("--markdown", metavar="FILE", help="page whose tables are replaced")
    options = parser.parse_args()
    if not options.captures and not options.made:
        parser.error("no captures")
    return options


def main():
    options = parse_options()
    known = [tool(options) for tool in TOOLS]
    tools = [tool for tool in known if tool.path]
    for tool in known:
        if not tool.path:
            print(f"{tool.name} is not installed", file=sys.stderr)
    tables = []
    if options.captures:
        rows = []
        for capture in captures_of(options.captures):
            result = compare(tools, capture)
            if result is None:
                print(f"{capture}: no stream that is certain", file=sys.stderr)
            else:
                rows.append((os.path.basename(capture), result))
        tables.append(("captures", table(tools, rows, "capture")))
    if options.made:
        generator = os.path.join(options.build or "", "perf/flowloom-gen")
        tables.append(("made", table(tools, made_rows(tools, generator), "made capture")))
    versions = "; ".join(tool.version() for tool in tools)
    print("\n\n".join([versions, *(content for _, content in tables)]))
    if options.markdown:
        replace_blocks(options.markdown, "bytes", [("versions", versions), *tables])


if __name__ == "__main__":
    main()
