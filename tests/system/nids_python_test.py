#!/usr/bin/env python3
"""The Python module `nids`: pynids' interface, under Debian's Python.

usage: nids_python_test.py MODULE       the built nids.*.so
"""
import gc
import os
import pathlib
import subprocess
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path[:0] = [str(HERE), str(HERE / "nids")]
import support  # noqa: E402
import traffic  # noqa: E402
from talks import ACK, CLIENT, CLOSING, PORTS, SERVER, URG, conversation, write  # noqa: E402
from nids_test import PYTHON, sanitizer_of  # noqa: E402

ENDS = (("10.1.1.101", 3177), ("10.1.1.1", 80))

# The program of the article that many pynids users began with, in Python 3.
ARTICLE = """
import nids, sys
ends = (nids.NIDS_CLOSE, nids.NIDS_TIMEOUT, nids.NIDS_RESET)

def handle(tcp):
    if tcp.nids_state == nids.NIDS_JUST_EST:
        tcp.client.collect = 1
        tcp.server.collect = 1
    elif tcp.nids_state == nids.NIDS_DATA:
        tcp.discard(0)
    elif tcp.nids_state in ends:
        ((src, sport), (dst, dport)) = tcp.addr
        to_server = tcp.server.data[:tcp.server.count]
        to_client = tcp.client.data[:tcp.client.count]
        print("[+] %s:%s - %s:%s (CTS: %dB | STC: %dB)" % (
            src, sport, dst, dport, len(to_server), len(to_client)))
        if len(sys.argv) > 2:
            print(to_server + to_client)

nids.param("scan_num_hosts", 0)
nids.chksum_ctl([("0.0.0.0/0", False)])
nids.param("filename", sys.argv[1])
nids.init()
nids.register_tcp(handle)
try:
    nids.run()
except nids.error as error:
    print("failed", error)
"""
ARTICLE_LINES = {(3177, 476, 435), (3188, 574, 4601), (3189, 597, 8566), (3190, 600, 9330),
                 (3195, 601, 692), (3196, 614, 1540), (3197, 622, 2509), (3198, 632, 9248),
                 (3199, 632, 10990), (3200, 637, 191777)}


TALK = [(0, b"GET / HTTP/1.0\r\n\r\n"), (1, b"HTTP/1.0 200 OK\r\n"), (1, b"\r\nhello")]


class Follower:
    """A callback that collects everything, and notes what it saw."""

    def __init__(self, nids, discard=None):
        self.nids = nids
        self.discard = discard
        self.states = []
        self.seen = []
        self.kept = []

    def __call__(self, tcp):
        self.states.append(tcp.nids_state)
        self.kept.append((tcp, tcp.client, tcp.server))
        if tcp.nids_state == self.nids.NIDS_JUST_EST:
            tcp.client.collect = tcp.server.collect = True
            tcp.client.collect_urg = tcp.server.collect_urg = 1
        elif tcp.nids_state == self.nids.NIDS_DATA:
            half = tcp.server if tcp.server.count_new + tcp.server.count_new_urg else tcp.client
            self.seen.append(half.urgdata if half.count_new_urg else half.data)
            if self.discard is not None and half.count_new:
                tcp.discard(self.discard)


def follow(nids, path, follower):
    nids.param("filename", path)
    nids.init()
    nids.register_tcp(follower)
    nids.run()
    return follower


def test_article(checks, folder, environment):
    program = os.path.join(folder, "article.py")
    pathlib.Path(program).write_text(ARTICLE, encoding="utf-8")

    def run(*arguments):
        return subprocess.run([PYTHON, program, *arguments], capture_output=True, text=True,
                              check=False, env=environment)

    made = write(folder, "article.pcap", conversation(TALK, CLOSING))
    checks.equal("[+] 10.1.1.101:3177 - 10.1.1.1:80 (CTS: 18B | STC: 24B)\n", run(made).stdout,
                 "the article's program, made capture")
    captures = os.environ.get("FLOWLOOM_CAPTURES")
    if not captures:
        return
    wanted = {f"[+] 10.1.1.101:{port} - 10.1.1.1:80 (CTS: {cts}B | STC: {stc}B)"
              for port, cts, stc in ARTICLE_LINES}
    lines = run(os.path.join(captures, "http_witp_jpegs.cap")).stdout.splitlines()
    checks.equal(10, len(lines), "lines of the article's program")
    checks.equal(wanted, set(lines), "the article's table")
    text = run(os.path.join(captures, "http.cap"), "content").stdout
    checks.that("145.254.160.237:3372 - 65.208.228.223:80 (CTS: 479B | STC: 18364B)" in text and
                "GET /download.html HTTP/1.1" in text and "</html>" in text,
                "the article's second program")


def test_events(checks, nids, folder):
    path = write(folder, "talk.pcap", conversation(TALK, CLOSING))
    seen = follow(nids, path, Follower(nids))
    checks.equal([1, 2, 2, 2, 3], seen.states, "events")
    checks.equal([piece for _, piece in TALK], seen.seen, "data")
    kept = follow(nids, path.encode(), Follower(nids, 0))
    checks.equal(TALK[1][1] + TALK[2][1], kept.seen[-1], "data that is kept comes again")
    follow(nids, pathlib.Path(path), Follower(nids))
    checks.equal(path, nids.param("filename"), "a path")
    del seen
    gc.collect()
    tcp, client, server = kept.kept[-1]
    checks.equal((ENDS, 3), (tcp.addr, tcp.nids_state), "a stream after its callback")
    checks.that(tcp.client is client and server.collect, "one object a half")
    checks.equal((TALK[0][1], 18, 0, 0), (server.data, server.count, server.offset,
                                          server.count_new), "a half after its callback")
    for what in (lambda: tcp.discard(0), tcp.kill):
        checks.that(raises(nids.error, what), "what only a callback can do")


def raises(kind, function):
    try:
        function()
    except kind:
        return True
    return False


def test_urgent(checks, nids, folder):
    urgent = (0, b"abXcd", {"urgent": 3})
    packets = conversation([(0, b"first")], ())
    ends = CLIENT, SERVER
    packets.append(traffic.ip(*ends, 6, traffic.tcp(*ends, PORTS, 1006, 9001, ACK | URG, urgent[1],
                                                    urgent=3)))
    seen = follow(nids, write(folder, "urgent.pcap", packets), Follower(nids))
    checks.equal([b"first", b"ab", b"X", b"cd"], seen.seen, "urgent byte")


def test_exiting(checks, nids, folder):
    path = write(folder, "open.pcap", conversation(TALK))
    seen = follow(nids, path, Follower(nids))
    checks.equal([1, 2, 2, 2], seen.states, "no end without asking for it")
    nids.exit()
    checks.equal(nids.NIDS_EXITING, seen.states[-1], "exit()")
    nids.param("exiting", 1)
    seen = follow(nids, path, Follower(nids))
    nids.param("exiting", 0)
    checks.equal(nids.NIDS_EXITING, seen.states[-1], "run() with exiting")
    seen = follow(nids, path, Follower(nids))
    nids.init()
    checks.equal(nids.NIDS_EXITING, seen.states[-1], "the next init()")
    nids.exit()


def test_exceptions(checks, nids, folder):
    path = write(folder, "raise.pcap", conversation(TALK, CLOSING))
    calls = []

    def callback(tcp):
        calls.append(tcp.nids_state)
        tcp.server.collect = 1
        if tcp.nids_state == nids.NIDS_DATA:
            raise KeyError("mine")

    nids.param("filename", path)
    nids.init()
    nids.register_tcp(callback)
    checks.that(raises(KeyError, nids.run), "an exception of the callback")
    checks.equal([1, 2], calls, "and nothing behind it")
    nids.register_tcp(None)
    nids.run()
    nids.param("filename", os.path.join(folder, "absent.pcap"))
    checks.that(raises(nids.error, nids.init), "a file that is not there")
    checks.that(raises(nids.error, nids.next), "next() without init()")
    checks.that(raises(nids.error, nids.getfd), "getfd() without init()")
    checks.that(raises(TypeError, lambda: nids.register_tcp(5)), "no callback")
    checks.that(raises(nids.error, lambda: nids.chksum_ctl([("1.2.3/99", True)])), "no network")


def test_parameters(checks, nids):
    checks.equal(1040, nids.param("n_tcp_streams", 99), "the value before")
    checks.equal(99, nids.param("n_tcp_streams", 1040), "the value set")
    checks.equal(None, nids.param("no_such_thing"), "an unknown name")
    checks.equal(None, nids.param("device", b"lo"), "no string before")
    checks.equal("lo", nids.param("device", None), "a string given as bytes")
    checks.equal(None, nids.param("device"), "a string cleared")
    checks.equal(("0.6.2", "1.26"), (nids.__version__, nids.__nids_version__), "versions")
    checks.equal((1, 2, 3, 4, 5, 5, 6), (
        nids.NIDS_JUST_EST, nids.NIDS_DATA, nids.NIDS_CLOSE, nids.NIDS_RESET, nids.NIDS_TIMED_OUT,
        nids.NIDS_TIMEOUT, nids.NIDS_EXITING), "constants")


def test_datagrams(checks, nids, folder):
    payload = b"\0\65\0\65\0\14\0\0data"
    whole = traffic.ip(CLIENT, SERVER, 17, payload, 7)
    parts = [traffic.ip(CLIENT, SERVER, 17, payload[:8], 7, 0, 1),
             traffic.ip(CLIENT, SERVER, 17, payload[8:], 7, 1, 0)]
    nids.param("filename", write(folder, "udp.pcap", [whole, *parts]))
    nids.init()
    seen = {"udp": [], "ip": [], "ip_frag": []}
    nids.register_udp(lambda *arguments: seen["udp"].append(arguments))
    nids.register_ip(seen["ip"].append)
    nids.register_ip_frag(seen["ip_frag"].append)
    checks.equal(2, nids.dispatch(2), "two packets")
    checks.equal(1_600_000_001.25, nids.get_pkt_ts(), "time of the packet")
    checks.equal((1, 0), (nids.next(), nids.next()), "one more, then none")
    ends = (("10.1.1.101", 53), ("10.1.1.1", 53))
    checks.equal([(ends, b"data")] * 2, [row[:2] for row in seen["udp"]], "UDP")
    checks.equal(whole, seen["udp"][0][2], "with its packet")
    checks.equal([whole, *parts], seen["ip_frag"], "packets as they come")
    checks.equal([len(whole)] * 2, [len(packet) for packet in seen["ip"]], "whole packets")
    for name in ("udp", "ip", "ip_frag"):
        getattr(nids, "register_" + name)(None)
    checks.that(raises(nids.error, nids.get_pcap_stats), "a file has no statistics")


def test_checksums(checks, nids, folder):
    packets = conversation([(0, b"good"), (0, b"wrong", {"damage": 1}), (0, b"more")])
    path = write(folder, "sums.pcap", packets)
    checks.equal([b"good"], follow(nids, path, Follower(nids)).seen, "a wrong checksum")
    nids.chksum_ctl([(b"10.1.1.0/24", False)])
    checks.equal([b"good", b"wrong", b"more"], follow(nids, path, Follower(nids)).seen,
                 "checksums that are not looked at")
    nids.chksum_ctl([])


class Packet:
    """Looks like one of scapy's."""

    def __init__(self, data, time):
        self.data, self.time = data, time

    def __bytes__(self):
        return self.data


def test_feed(checks, nids):
    nids.exit()
    seen = Follower(nids)
    nids.register_tcp(seen)
    packets = conversation(TALK, CLOSING)
    ahead = traffic.ETHERNET + b"\10\0"
    forms = [lambda p: nids.feed(ahead + p, 5.5),
             lambda p: nids.feed(bytearray(p), (5, 500000), 101),
             lambda p: nids.feed(Packet(ahead + p, 5.5)),
             lambda p: nids.feed(memoryview(p), timestamp=5.5, linktype=101)]
    for number, packet in enumerate(packets):
        forms[number % len(forms)](packet)
        checks.equal(5.5, nids.get_pkt_ts(), "time of a packet fed")
    checks.equal([1, 2, 2, 2, 3], seen.states, "events of packets fed")
    checks.equal([piece for _, piece in TALK], seen.seen, "data of packets fed")
    checks.that(raises(nids.error, lambda: nids.feed(b"x", 1, 147)), "an unknown link type")
    for packet in packets[:5]:
        nids.feed(ahead + packet, 6)
    nids.exit()
    checks.equal(nids.NIDS_EXITING, seen.states[-1], "the end of feeding")
    nids.register_tcp(None)


def test_exact(checks, nids, folder):
    packets = conversation([(0, b"one"), (0, b"lost"), (0, b"three")], CLOSING)
    path = write(folder, "gap.pcap", [p for p in packets if b"lost" not in p])
    checks.equal([b"one"], follow(nids, path, Follower(nids)).seen, "libnids stalls at a gap")
    nids.param("exact", 1)
    exact = follow(nids, path, Follower(nids))
    nids.param("exact", 0)
    checks.equal([b"one", b"three"], exact.seen, "exact rules skip it")
    checks.equal(12, exact.kept[-1][2].count, "and count what is missing")
    checks.equal(nids.NIDS_CLOSE, exact.states[-1], "and see the end")


def main():
    module = os.path.abspath(sys.argv[1])
    environment = {**os.environ, **sanitizer_of(module), "PYTHONPATH": os.path.dirname(module)}
    if "NIDS_WORKER" not in os.environ:
        environment["NIDS_WORKER"] = "1"
        os.execve(PYTHON, [PYTHON, "-B", *sys.argv], environment)
    import nids  # pylint: disable=import-error,import-outside-toplevel
    checks = support.Checks()
    nids.param("scan_num_hosts", 0)
    with tempfile.TemporaryDirectory() as folder:
        test_article(checks, folder, environment)
        for test in (test_events, test_urgent, test_exiting, test_exceptions, test_datagrams,
                     test_checksums, test_exact):
            test(checks, nids, folder)
        test_parameters(checks, nids)
        test_feed(checks, nids)
    checks.finish()


if __name__ == "__main__":
    main()
