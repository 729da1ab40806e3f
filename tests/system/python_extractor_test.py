#!/usr/bin/env python3
"""TCPStreamExtractor of the Python module: its dictionaries against dpkt, its files against the
capture they come from, packets fed by scapy, an interface, a database, and its memory.

usage: python_extractor_test.py        with the package in PYTHONPATH
"""
import doctest
import http.server
import json
import os
import pathlib
import resource
import socket
import threading
import urllib.parse

import flowloom
import flowloom._types
import flowloom.extractor
import python_oracles as oracles
from flowloom import TCPStreamExtractor
from support import ROOT, SAMPLE, Checks, Talk, capture_of, scratch


def expected_streams(path):
    return {oracles.key_of(*key): {key[1]: sides[0], key[3]: sides[1]}
            for key, sides in oracles.from_dpkt(path).items()}


def check_dictionaries(checks, folder):
    clean = oracles.clean_capture(folder / "clean.pcap")
    reused = oracles.save(folder / "reused.pcap", oracles.talk(1),
                          oracles.talk(1, 2, start=1_600_000_500.0), oracles.talk(2))
    for path in (clean, reused, SAMPLE):
        expected = expected_streams(path)
        extractor = TCPStreamExtractor(str(path))
        checks.equal(expected, extractor.get_streams(), f"get_streams of {path.name}")
        lines = sorted(f"{key} (c) {len(a)}  (s) {len(b)}" for key, (a, b) in
                       ((key, tuple(both.values())) for key, both in expected.items()))
        checks.equal(lines, extractor.summary(), f"summary of {path.name}")
        both = {key: dict(zip(("client", "server"), sides.values()))
                for key, sides in expected.items()}
        checks.equal(both, extractor.get_client_server_streams(), f"by role, {path.name}")
        name = next(iter(both))
        checks.equal(both[name], extractor.get_client_server_streams(name), "one by its key")
        checks.that(extractor.statistics["balances"], "the ledger balances")
    checks.that("10.7.0.1:20001 ==> 10.8.0.1:80 #2" in TCPStreamExtractor(reused).get_streams(),
                "end points that were used again")
    alone = TCPStreamExtractor(str(clean), bpf_filter="port 20005")
    checks.equal(["client", "server"], list(alone.get_client_server_streams()),
                 "one stream alone is its own dictionary")


def check_equal_ports(checks, folder):
    one = Talk(3)
    one.ports = 5060, 5060
    path = capture_of(folder / "equal.pcap", one.open(1.0).say(1.1, 0, 0x18, b"x").close(1.2))
    extractor = TCPStreamExtractor(path)
    try:
        extractor.get_streams()
        checks.that(False, "equal ports raise")
    except ValueError as error:
        checks.that("streams()" in str(error) and "5060" in str(error), str(error))
    checks.equal([("10.7.0.3:5060 ==> 10.8.0.1:5060", b"x", b"")], extractor.streams(),
                 "streams() has no such limit")


def check_steps(checks):
    extractor = TCPStreamExtractor(str(SAMPLE))
    expected = oracles.frames_of(SAMPLE)
    found = []
    for packet in extractor:
        found.append((packet.time_ns, bytes(packet)))
        checks.passed += extractor.timestamp == int(packet.time) == packet.time_ns // 10 ** 9
    checks.equal(expected, found, "next() returns every packet, of whatever protocol")
    for _ in range(2):
        try:
            extractor.next()
            checks.that(False, "StopIteration at the end")
        except StopIteration:
            checks.passed += 1
    checks.equal(expected_streams(SAMPLE), extractor.get_streams(), "the streams after stepping")
    half = TCPStreamExtractor(str(SAMPLE))
    for _ in range(200):
        half.next()
    checks.equal(expected_streams(SAMPLE), half.get_streams(), "stepping, then the rest")
    packets, streams = TCPStreamExtractor(str(SAMPLE)).process_packets()
    checks.equal((431, expected_streams(SAMPLE)), (packets, streams), "process_packets()")
    checks.equal("Ether / ARP", TCPStreamExtractor(str(SAMPLE)).next().scapy().summary()[:11],
                 "a packet for scapy")


def check_feeding(checks, folder):
    from scapy.all import IP, Ether, rdpcap  # pylint: disable=import-outside-toplevel
    expected = expected_streams(folder / "clean.pcap")
    packets = rdpcap(str(folder / "clean.pcap"))
    extractor = TCPStreamExtractor()
    for packet in packets[:300]:
        extractor.feed(packet)
    checks.that(0 < len(extractor.get_streams()) < len(expected), "streams while they are fed")
    for packet in packets[300:]:
        extractor.feed(packet)
    extractor.finish()
    checks.equal(expected, extractor.get_streams(), "packets of scapy")
    frames = oracles.frames_of(folder / "clean.pcap")
    extractor = TCPStreamExtractor(hold_packets=False)
    for stamp_ns, frame in frames:
        extractor.feed(frame, stamp_ns / 1e9)
    extractor.finish()
    checks.equal(expected, extractor.get_streams(), "bytes of frames")
    extractor = TCPStreamExtractor(packet_list=[packet[IP] for packet in packets])
    checks.equal(expected, extractor.get_streams(), "a list of packets without a link layer")
    first = Ether(frames[0][1])
    try:
        TCPStreamExtractor(str(SAMPLE)).feed(first)
        checks.that(False, "feeding an extractor that reads raises")
    except ValueError as error:
        checks.that("feed()" in str(error), str(error))


def written(folder):
    """(pcaps, flows) of an output folder: names without their ending."""
    return tuple({path.stem: path for path in (folder / kind).iterdir()}
                 for kind in ("pcaps", "flows"))


def check_files(checks, folder):
    path, out = folder / "clean.pcap", folder / "out"
    TCPStreamExtractor(str(path), outputdir=out).run()
    pcaps, flows = written(out)
    expected = expected_streams(path)
    checks.equal(len(expected), len(pcaps), "a capture for each stream")
    checks.equal(set(pcaps), set(flows), "and a table")
    checks.that("T:1600000000.000700_C:10.7.0.1:20001_S:10.8.0.1:80" in pcaps,
                f"the name of a stream: {sorted(pcaps)[0]}")
    checks.equal(sorted(oracles.frames_of(path)),
                 sorted(frame for pcap in pcaps.values() for frame in oracles.frames_of(pcap)),
                 "every packet is in one of them, with its stamp")
    found = {}
    for pcap in pcaps.values():
        found |= expected_streams(pcap)
    checks.equal(expected, found, "and each is whole")
    one = Talk(9).open(1_600_000_000.000999)
    one.say(1_600_000_000.003999, 0, 0x18, b"x" * 48).say(1_600_000_000.005, 1, 0x18, b"y" * 24)
    extractor = TCPStreamExtractor(capture_of(folder / "one.pcap", one), outputdir=out)
    extractor.run()
    table = flows_of(out, "T:1600000000.000999_C:10.7.0.9:20009_S:10.8.0.1:80")
    checks.equal(["1600000000.000999 0 0 0.0 0.0 0 0.0 0.0 0.0 0.0",
                  "1600000000.000999 1 0 0.0 0.0 0 0.000000 0.0 0.0 0.000000",
                  "1600000000.000999 0 0 0.0 0.0 0 0.000000 0.000000 0.0 0.000000",
                  "1600000000.003999 0 48 48.0 0.0 48 0.003000 0.003000 0.0 0.003000",
                  "1600000000.005000 1 24 48.0 24.0 72 0.001001 0.003000 0.004001 0.004001"],
                 table, "the ten columns")


def flows_of(out, name):
    return (out / "flows" / f"{name}.app_flow").read_text().splitlines()


def check_write_stream(checks, folder):
    """Of a capture that was read without holding packets; the oldest order of arguments."""
    out = folder / "single"
    extractor = TCPStreamExtractor(str(folder / "clean.pcap"), str(out))
    checks.equal(str(out), extractor.outputdir, "the second argument may be the folder")
    plain = TCPStreamExtractor(str(folder / "clean.pcap"), outputdir=None)
    key = sorted(plain.get_streams())[0]
    plain.outputdir = out
    plain.write_stream(key)
    plain.write_stream(key)
    pcap, = written(out)[0].values()
    checks.equal(expected_streams(folder / "clean.pcap")[key], expected_streams(pcap)[key],
                 "one stream, and once only")
    plain.remove_stream(key)
    checks.that(key not in plain.get_streams(), "a removed stream is gone")


def check_memory(checks, folder):
    """With a small limit the files are the same, nothing is held, and get_streams() does not
    pretend."""
    big = oracles.save(folder / "big.pcap", *(oracles.talk(
        n, 40, 1400, 1_600_000_000 + 70 * n) for n in range(1, 60)))
    for name, limit in (("roomy", 1 << 30), ("tight", 100_000)):
        extractor = TCPStreamExtractor(big, outputdir=folder / name, memory_limit=limit)
        extractor.run()
    for kind in (0, 1):
        roomy = {n: p.read_bytes() for n, p in written(folder / "roomy")[kind].items()}
        tight = {n: p.read_bytes() for n, p in written(folder / "tight")[kind].items()}
        checks.equal(59, len(roomy), "files of all streams")
        checks.that(roomy == tight, f"the same files ({kind}) whatever the limit")
    long = oracles.save(folder / "long.pcap", oracles.talk(1, 3000, 1400))
    extractor = TCPStreamExtractor(long, outputdir=folder / "long", memory_limit=100_000)
    extractor.run()
    pcap, = written(folder / "long")[0].values()
    checks.equal(oracles.frames_of(long), oracles.frames_of(pcap), "a long stream in pieces")
    try:
        extractor.get_streams()
        checks.that(False, "a stream that was written in pieces is not shown as whole")
    except ValueError as error:
        checks.that("memory_limit" in str(error), str(error))


def check_cleanup(checks, folder):
    early, late = oracles.talk(1, close=False), oracles.talk(2, start=1_600_000_300.0)
    path = oracles.save(folder / "stale.pcap", early, late)
    extractor = TCPStreamExtractor(path, outputdir=folder / "stale")
    for _ in extractor:
        pass
    checks.equal([], extractor.cleanup_timedout_streams(1000), "nothing is so old")
    checks.equal(["10.7.0.1:20001 ==> 10.8.0.1:80"], extractor.cleanup_timedout_streams(),
                 "the silent stream is written and forgotten")
    checks.equal(["10.7.0.2:20002 ==> 10.8.0.1:80"], list(extractor.get_streams()), "one stays")
    checks.equal(1, len(written(folder / "stale")[0]), "and one is written")


class Couch(http.server.BaseHTTPRequestHandler):
    """As much of CouchDB as a document needs: databases, documents, conflicts."""
    databases = {}

    def do_PUT(self):  # pylint: disable=invalid-name
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        database, _, name = urllib.parse.unquote(self.path[1:]).partition("/")
        known = self.databases.get(database)
        if not name:
            status = 412 if known is not None else 201
            self.databases.setdefault(database, {})
        elif known is None:
            status = 404
        else:
            status = 409 if name in known else 201
            known.setdefault(name, json.loads(body))
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_):  # pylint: disable=arguments-differ
        pass


def check_database(checks, folder):
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Couch) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        url = f"http://127.0.0.1:{server.server_address[1]}/streams"
        for _ in range(2):
            TCPStreamExtractor(str(folder / "stale.pcap"), str(folder / "couch"), url).run()
        server.shutdown()
        thread.join()
    documents = Couch.databases["streams"]
    checks.equal(2, len(documents), "a document per stream, also the second time")
    one = documents["T:1600000300.000000_C:10.7.0.2:20002_S:10.8.0.1:80"]
    checks.equal(("10.7.0.2", "fin", 600),
                 (one["client"]["addr"], one["reason"], one["server"]["stream_bytes"]),
                 "its fields")


def check_live(checks):
    try:
        extractor = TCPStreamExtractor(iface="lo")
    except RuntimeError as error:
        # Without the privilege there is a sentence instead.
        checks.that(str(error).startswith("lo: ") and os.geteuid() != 0, str(error))
        return
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)) as client:
            accepted, _ = server.accept()
            own = client.getsockname()[1]
            client.sendall(b"over the loopback")
            accepted.recv(100)
            accepted.close()
    key = f"127.0.0.1:{own} ==> 127.0.0.1:{port}"
    while key not in extractor.get_streams() or not extractor.get_streams()[key][own]:
        extractor.next()
    extractor.close()
    checks.equal({own: b"over the loopback", port: b""}, extractor.get_streams()[key], "live")


def check_documentation(checks):
    """The examples in the doc strings and in docs/python.md."""
    os.chdir(ROOT)
    names = {"flowloom": flowloom, "Gap": flowloom.Gap}
    for module in (flowloom, flowloom.extractor, flowloom._types):
        result = doctest.testmod(module, extraglobs=names)
        checks.that(result.failed == 0, f"{result.failed} examples of {module.__name__}")
        checks.passed += result.attempted
    result = doctest.testfile(str(ROOT / "docs" / "python.md"), module_relative=False)
    checks.that(result.failed == 0 and result.attempted > 5,
                f"docs/python.md: {result.failed} of {result.attempted} examples")


def main():
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        check_dictionaries(checks, folder)
        check_equal_ports(checks, folder)
        check_steps(checks)
        check_feeding(checks, folder)
        check_files(checks, folder)
        check_write_stream(checks, folder)
        check_memory(checks, folder)
        check_cleanup(checks, folder)
        check_database(checks, folder)
    check_live(checks)
    check_documentation(checks)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    checks.that(peak < 4 << 20, f"{peak} KiB at most")
    checks.finish()


if __name__ == "__main__":
    main()
