#!/usr/bin/env python3
"""The command line: every mistake and every damaged input in one sentence with the right exit
status, what was read before it kept; and what each option does, seen from outside.
usage: command_line_test.py FLOWLOOM GENERATOR
"""
import json
import os
import pathlib
import resource
import subprocess
import sys
import time

from support import (ACK, PSH, SAMPLE, SYN, Capture, Checks, Command, Talk, balances, capture_of,
                     contents, fresh, generate, records, same_contents, scratch, stats)

LIBPCAP_WORDS = "syntax error"  # of the compiler, as it is
WHOLE_LINES = 12                # connections of the sample that are worth a line


class Suite:
    def __init__(self, checks, flowloom, generator, folder):
        self.checks, self.flowloom, self.generator = checks, flowloom, generator
        self.folder = pathlib.Path(folder)
        self.out = self.folder / "out"

    def path(self, name, data=None):
        path = self.folder / name
        if data is not None:
            path.write_bytes(data)
        return path

    def complains(self, status, words, *arguments, times=1, **options):
        """The command says `times` sentences, one of them with `words`, and nothing else."""
        ran = self.flowloom(*arguments, **options)
        what = " ".join(map(str, arguments))
        lines = ran.err.splitlines()
        self.checks.equal(status, ran.status, f"{what}: exit status ({ran.err.strip()[:200]})")
        self.checks.that(len(lines) == times and all(li.startswith("flowloom: ") for li in lines),
                         f"{what}: {times} sentences, found {lines}")
        self.checks.that(words in ran.err, f"{what}: '{words}' in {lines}")
        return ran

    # --- mistakes

    def test_usage(self):
        out = self.folder / "never"
        for words, *arguments in (
                ("no command", "nope"),
                ("CAPTURE", "read"),
                ("--nope", "read", "--nope", SAMPLE),
                ("nope", "read", "--write", "nope", "-o", out, SAMPLE),
                ("-o DIR", "read", "--write", "flows", SAMPLE),
                ("none", "read", "--write", "none,flows", "-o", out, SAMPLE),
                ("--workers", "read", "--workers", "0", SAMPLE),
                ("--workers", "read", "--workers", "many", SAMPLE),
                ("--max-flows", "read", "--max-flows", "1", SAMPLE),
                ("--memory", "read", "--memory", "1", SAMPLE),
                ("--memory", "read", "--memory", "12Q", SAMPLE),
                ("--depth", "read", "--depth", "-1", SAMPLE),
                ("--print-bytes", "read", "--print", "hex", "--print-bytes", "-5", SAMPLE),
                ("--idle-timeout", "read", "--idle-timeout", "0", SAMPLE),
                ("--idle-timeout", "read", "--idle-timeout", "nan", SAMPLE),
                ("--syn-timeout", "read", "--syn-timeout", "soon", SAMPLE),
                ("--burst", "read", "--burst", "33", SAMPLE),
                ("--print", "read", "--print", "colour", SAMPLE),
                ("--print", "read", "--print", "ascii", "--json", SAMPLE),
                ("-o DIR", "read", "--print", "raw", "--print-bytes", "0", SAMPLE),
                ("--overlap", "read", "--overlap", "middle", SAMPLE),
                ("--checksum", "read", "--checksum", "some", SAMPLE),
                ("--gap-fill", "read", "--gap-fill", "one", SAMPLE),
                ("-q", "read", "-q", "-v", SAMPLE),
                ("--out", "read", SAMPLE, "-o"),
                ("--nope", "run", f"--vdev=net_pcap0,rx_pcap={SAMPLE}", "--", "--nope"),
                ("--nope", "run", "--nope", "--"),
                ("no DPDK port", "run", "--"),
                ("--nope", "bench", "--nope")):
            ran = self.complains(1, words, *arguments)
            self.checks.equal(b"", ran.out, f"{arguments}: standard output")
        self.checks.that(not out.exists(), "a wrong command line makes no folder")
        ran = self.flowloom()
        self.checks.that(ran.status == 1 and "Usage" in ran.err, f"no argument: {ran.err}")

    def test_filter_mistakes(self):
        for expression in ("tcp port", "no such thing", "port 99999"):
            self.complains(1, f"'{expression}'", "read", "-f", expression, SAMPLE)
        self.complains(1, LIBPCAP_WORDS, "read", "-f", "tcp and and", SAMPLE)
        self.complains(1, LIBPCAP_WORDS, "run", f"--vdev=net_pcap0,rx_pcap={SAMPLE}", "--", "-f",
                       "tcp and and")

    def test_out_folder(self):
        taken = self.folder / "taken"
        taken.mkdir()
        (taken / "letter").write_text("dear")
        self.complains(1, "not empty", "read", "-q", SAMPLE, "-o", taken)
        self.checks.equal({"letter": b"dear"}, contents(taken), "a folder that is taken")
        self.complains(1, "unknown writer", "read", SAMPLE, "-o", taken, "--write", "x", "--force")
        ran = self.flowloom("read", "-q", SAMPLE, "-o", taken, "--force")
        self.checks.equal(0, ran.status, f"--force: {ran.err}")
        self.checks.equal(b"dear", contents(taken).get("letter"), "--force keeps what is not ours")
        before = contents(taken)
        self.complains(1, "unknown writer", "read", SAMPLE, "-o", taken, "--write", "x", "--force")
        same_contents(self.checks, before, contents(taken), "a mistake beside --force")
        self.flowloom("read", "-q", SAMPLE, "-o", taken, "--force")
        same_contents(self.checks, before, contents(taken), "the same run again with --force")
        self.complains(4, "letter/x", "read", "-q", SAMPLE, "-o", taken / "letter" / "x")
        self.complains(4, "letter", "read", "-q", SAMPLE, "-o", taken / "letter")
        self.complains(4, "/proc", "read", "-q", SAMPLE, "-o", "/proc/flowloom")
        locked = self.folder / "locked"
        locked.mkdir(mode=0o555)
        if not os.access(locked, os.W_OK):  # not root, who may write everywhere
            self.complains(4, "locked", "read", "-q", SAMPLE, "-o", locked / "out")
        self.complains(4, "no/such", "read", "-q", SAMPLE, "--stats", self.folder / "no/such")

    # --- inputs

    # case: M12
    def test_unreadable(self):
        empty, garbage = self.path("empty", b""), self.path("garbage", os.urandom(2000))
        text, missing = self.path("text", b"not a capture\n" * 99), self.folder / "missing"
        for words, path in (("missing", missing), ("empty", empty), ("garbage", garbage),
                            ("text", text), (str(self.folder), self.folder)):
            ran = self.complains(2, words, "read", "-q", path)
            self.checks.equal(b"", ran.out, f"{path}: standard output")
        for path in (missing, empty, garbage, text):
            self.complains(2, path.name, "run", f"--vdev=net_pcap0,rx_pcap={path}", "--", "-q")
        expected = self.flowloom("read", "-q", SAMPLE).out
        self.checks.equal(WHOLE_LINES, len(expected.splitlines()), "lines of the sample")
        ran = self.complains(2, "missing", "read", "-q", missing, SAMPLE, empty, garbage, times=3)
        self.checks.equal(expected, ran.out, "the others are processed")
        ran = self.complains(2, "missing", "run", f"--vdev=net_pcap0,rx_pcap={missing}",
                             f"--vdev=net_pcap1,rx_pcap={SAMPLE}", "--", "-q")
        self.checks.equal(expected, ran.out, "run processes the others, too")

    # case: M01 M03
    def test_truncated(self):
        whole = Capture.load(SAMPLE)
        kept = len(whole.packets) * 2 // 3
        prefix = whole.save(self.path("prefix.pcap"), whole.packets[:kept])
        next_record = whole.packets[kept][1]
        absurd = next_record[:8] + b"\xff\xff\xff\x7f" * 2 + next_record[16:]
        self.flowloom.read([prefix], self.out, "-q")
        expected = contents(self.out)
        for name, tail in (("in a header", next_record[:9]), ("in a packet", next_record[:-1]),
                           ("damaged", absurd + next_record)):
            path = self.path("cut.pcap", prefix.read_bytes() + tail)
            ran = self.complains(3, f"{kept} packets", "read", "-q", path, "-o", fresh(self.out))
            same_contents(self.checks, expected, contents(self.out), f"cut {name}")
            self.complains(3, f"{kept} packets", "run", f"--vdev=net_pcap0,rx_pcap={path}", "--",
                           "-q", "-o", fresh(self.out))
            same_contents(self.checks, expected, contents(self.out), f"run, cut {name}")
            self.checks.equal(len(ran.out.splitlines()),
                              len(self.flowloom("read", "-q", prefix).out.splitlines()), name)
        # Of two wrongs the higher status counts.
        self.complains(3, "missing", "read", "-q", path, self.folder / "missing", times=2)

    # --- outputs that fail

    def test_writers_that_fail(self):
        many = generate(self.generator, "many", self.path("many.pcap"), "1/500")
        limit = 20_000

        def limit_files():
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        ran = self.complains(4, "the writer flows failed", "read", "-q", many, "-o",
                             fresh(self.out), preexec_fn=limit_files)
        kept = records(self.out)
        self.checks.that(0 < len(kept) < 400, f"{len(kept)} whole records are kept")
        ledger = stats(self.out)
        flows = ledger["writers"]["flows"]
        self.checks.equal((len(kept), 400), (flows["records"], flows["records"] + flows["dropped"]),
                          "records written and lost")
        self.checks.that(f"{flows['dropped']} records" in ran.err, f"how much was lost: {ran.err}")
        self.checks.that(balances(ledger), "the ledger after a failed writer")
        with open("/dev/full", "wb") as full:
            self.complains(4, "No space left", "read", "-q", SAMPLE, stdout=full)

    def test_closed_streams(self):
        reader, writer = os.pipe()
        os.close(reader)
        self.complains(4, "the writer stdout failed", "read", "-q", SAMPLE, "-o", fresh(self.out),
                       stdout=writer)
        os.close(writer)
        expected = contents(self.out)
        # With a standard stream closed no file may take its place.
        for fd in (0, 1, 2):
            ran = self.flowloom("read", "-q", SAMPLE, "-o", fresh(self.out),
                                preexec_fn=lambda fd=fd: os.close(fd))
            self.checks.equal(4 if fd == 1 else 0, ran.status, f"descriptor {fd} closed: {ran.err}")
            found = contents(self.out)
            if fd != 1:
                found["stats.json"] = expected["stats.json"]  # there stdout has not failed
            else:
                found["stats.json"] = found["stats.json"].replace(b"Bad file descriptor",
                                                                  b"Broken pipe")
            same_contents(self.checks, expected, found, f"descriptor {fd} closed")

    # --- options

    def test_help(self):
        for arguments in (["read"], ["run"], ["bench"]):
            for option in ("--help", "-h"):
                ran = self.flowloom(*arguments, option)
                what = f"{arguments} {option}"
                self.checks.equal((0, ""), (ran.status, ran.err), what)
                last = ran.out.decode().strip().split("\n\n")[-1].strip().splitlines()
                self.checks.equal("Examples:", last[0], f"{what} ends with examples")
                self.checks.that(all(line.startswith("  ") and "flowloom" in line
                                     for line in last[1:]) and last[1:], f"{what}: {last}")
        ran = self.flowloom("--help")
        self.checks.that(ran.status == 0 and b"flowloom read" in ran.out, "--help")
        ran = self.flowloom("--version")
        self.checks.equal((0, ""), (ran.status, ran.err), "--version")
        self.checks.that(b"DPDK" in ran.out and b"libpcap" in ran.out, f"--version: {ran.out}")

    def test_quiet_and_verbose(self):
        ran = self.flowloom("read", "-q", SAMPLE)
        self.checks.equal((0, ""), (ran.status, ran.err), "-q")
        ran = self.flowloom("read", SAMPLE)
        self.checks.that("packets" in ran.err and "flowloom: " not in ran.err, "the summary")
        ran = self.flowloom("run", f"--vdev=net_pcap0,rx_pcap={SAMPLE}", "--", "-v")
        self.checks.that("--no-huge" in ran.err or "--in-memory" in ran.err, "-v: EAL's arguments")

    def test_filter(self):
        for filter_ in ("port 80", "ip6", "host 192.0.2.10 and port 80", "not tcp"):
            ran = self.flowloom.read([SAMPLE], self.out, "-q", "-f", filter_)
            ledger = stats(self.out)
            self.checks.equal((0, True), (ran.status, balances(ledger)), f"filter {filter_}")
            passes = {"port 80": lambda r: r["resp"]["port"] == 80,
                      "ip6": lambda r: ":" in r["orig"]["addr"],
                      "not tcp": lambda r: False}.get(filter_, lambda r:
                                                      r["orig"]["addr"] == "192.0.2.10"
                                                      and r["resp"]["port"] == 80)
            self.flowloom.read([SAMPLE], self.folder / "all", "-q")
            expected = [r["uid"] for r in records(self.folder / "all") if passes(r)]
            self.checks.equal(expected, [r["uid"] for r in records(self.out)], f"filter {filter_}")
            self.checks.that(ledger["packets"]["verdicts"]["filtered"] > 0, f"{filter_}: filtered")

    def test_json(self):
        ran = self.flowloom.read([SAMPLE], self.out, "-q", "--json", "--sha256")
        self.checks.equal((self.out / "flows.jsonl").read_bytes(), ran.out,
                          "--json prints the records")

    def test_print(self):
        self.flowloom.read([SAMPLE], self.out, "-q")
        first = records(self.out)[0]
        up = (self.out / first["orig"]["file"]).read_bytes()
        down = (self.out / first["resp"]["file"]).read_bytes()
        ran = self.flowloom("read", "-q", "--print", "ascii", "-f", "port 40001", SAMPLE)
        lines = ran.out.decode().splitlines()
        self.checks.that(lines[0].startswith("[+] 192.0.2.10:40001 - 192.0.2.1:80 "), lines[0])
        self.checks.that(any(line.startswith("GET / ") or line.startswith("GET /index")
                             for line in lines), "--print ascii shows the request")
        self.checks.that(any("HTTP/1.1 200 OK" in line for line in lines), "and the response")
        for size in (1, 10, 1000):
            ran = self.flowloom("read", "-q", "--print", "hex", "--print-bytes", size, "-f",
                                "port 40001", SAMPLE)
            self.checks.equal(up[:size] + down[:size], bytes_of_hex(ran.out), f"hex of {size}")
        ran = self.flowloom.read([SAMPLE], self.out, "-q", "--print", "raw", "--print-bytes", 0)
        for record in records(self.out):
            for side in ("orig", "resp"):
                if "file" in record[side]:
                    data = (self.out / record[side]["file"]).read_bytes()
                    self.checks.that(data in ran.out, f"raw shows {record[side]['file']}")

    def test_stats(self):
        file = self.folder / "ledger.json"
        self.flowloom("read", "-q", SAMPLE, "--stats", file)
        self.flowloom.read([SAMPLE], self.out, "-q")
        self.checks.equal(without_writers(stats(self.out)),
                          without_writers(stats_of(file)), "--stats FILE")
        ran = self.flowloom("read", "-q", SAMPLE, "--stats", "-", "--write", "none")
        self.path("printed", ran.out)
        self.checks.equal(without_writers(stats(self.out)),
                          without_writers(stats_of(self.folder / "printed")), "--stats -")

    # --- limits

    def limited(self, what, ran, *limits):
        ledger = stats(self.out)
        self.checks.equal(0, ran.status, f"{what}: {ran.err}")
        self.checks.that(balances(ledger), f"{what}: the ledger")
        self.checks.that(set(limits) <= set(ledger["limits"]), f"{what}: {ledger['limits']}")
        said = [line for line in ran.err.splitlines() if line.startswith("flowloom: ")]
        self.checks.that(len(said) == (1 if limits else 0) and
                         all(limit in said[0] for limit in limits), f"{what}: {said}")
        return ledger

    def test_depth(self):
        self.flowloom.read([SAMPLE], self.folder / "all", "-q")
        depth = 1000
        for size in (depth, "1k"):
            ran = self.flowloom.read([SAMPLE], self.out, "-q", "--depth", size)
            depth = 1024 if size == "1k" else size
            ledger = self.limited(f"--depth {size}", ran)
            cut = 0
            for record, whole in zip(records(self.out), records(self.folder / "all")):
                for side in ("orig", "resp"):
                    data = whole[side].get("file")
                    data = (self.folder / "all" / data).read_bytes() if data else b""
                    cut += max(0, len(data) - depth)
                    kept = record[side].get("file")
                    kept = (self.out / kept).read_bytes() if kept else b""
                    gaps = [{"offset": depth, "length": len(data) - depth, "cause": "cut"}]
                    self.checks.equal((data[:depth], gaps if len(data) > depth else []),
                                      (kept, record[side]["gaps"]), f"--depth {size}")
            self.checks.equal(cut, ledger["payload_bytes"]["fates"]["cut_depth"], "cut_depth")

    def test_limits(self):
        tiny = generate(self.generator, "tiny", self.path("tiny.pcap"), "1/1000")
        ran = self.flowloom.read([tiny], self.out, "-q", "--max-flows", 16)
        ledger = self.limited("--max-flows 16", ran, stats(self.out)["limits"][0])
        self.checks.that(ledger["connections"]["closed"]["evicted"] > 0, "--max-flows evicts")
        # Two megabytes that all come before the bytes in front of them.
        talk = Talk().open(1)
        talk.say(1.5, 1, ACK)  # its window is the first that is scaled
        size, count = 1400, 1500
        for i in reversed(range(count)):
            talk.say(2, 0, ACK | PSH, bytes([i & 255]) * size, seq=1001 + i * size)
        backwards = capture_of(self.path("backwards.pcap"), talk)
        ran = self.flowloom.read([backwards], self.out, "-q", "--memory", "1M")
        ledger = self.limited("--memory 1M", ran, *stats(self.out)["limits"][:1])
        self.checks.that(ledger["limits"] != [], "--memory 1M is a limit that is reached")
        self.checks.equal(size * count, ledger["payload_bytes"]["seen"], "--memory: seen")
        ran = self.flowloom.read([backwards], self.out, "-q", "--memory", "1G")
        self.limited("--memory 1G", ran)
        self.checks.equal(size * count, records(self.out)[0]["orig"]["stream_bytes"], "all of it")
        # The way to the writer is narrow, and everything arrives all the same.
        bulk = generate(self.generator, "bulk", self.path("bulk.pcap"), "1/100")
        for workers in (1, 4):
            ran = self.flowloom.read([bulk], self.out, "--memory", "1M", "--workers", workers)
            self.checks.equal((0, True), (ran.status, balances(stats(self.out))), "narrow")
            self.checks.equal(stats(self.out)["payload_bytes"]["seen"],
                              sum(len(data) for name, data in contents(self.out).items()
                                  if name.startswith("streams/")), f"narrow, {workers} workers")

    def test_timeouts(self):
        quiet = Talk(1).open(0).say(1, 0, ACK | PSH, b"one").say(100, 0, ACK | PSH, b"two")
        knock = Talk(2).say(1, 0, SYN)
        closed = Talk(3).open(1).say(2, 0, ACK | PSH, b"bye").close(3)
        closed.say(73, 0, ACK | PSH, b"bye", seq=1001)
        path = capture_of(self.path("timeouts.pcap"), quiet, knock, closed)
        for options, expected in (
                ([], [(3, "fin"), (2, "syn-timeout"), (1, "eof"), (3, "eof")]),
                (["--idle-timeout", "50"], [(1, "idle"), (1, "eof")]),
                (["--syn-timeout", "200"], [(2, "eof")]),
                (["--closed-timeout", "100"], [(3, "fin")])):
            self.flowloom.read([path], self.out, "-q", *options)
            found = [(int(r["orig"]["addr"].split(".")[-1]), r["close"]) for r in records(self.out)
                     if r["orig"]["addr"].startswith("10.7.")]
            mine = [f for f in found if f[0] in {number for number, _ in expected}]
            self.checks.equal(sorted(expected), sorted(mine), f"time-outs {options}")
            self.checks.that(balances(stats(self.out)), f"time-outs {options}: the ledger")

    def test_start_up(self):
        capture = capture_of(self.path("small.pcap"), Talk().open(1).close(2))
        best = min(self.flowloom("read", "-q", capture).seconds for _ in range(5))
        self.checks.that(best < 0.2, f"start-up takes {best:.3f} s")


def without_writers(ledger):
    return {key: value for key, value in ledger.items() if key != "writers"}


def stats_of(file):
    """The ledger at the end of a file."""
    text = file.read_text(encoding="utf-8")
    return json.loads(text[text.index("{\n"):])


def bytes_of_hex(text):
    """Back from tcpdump's columns."""
    rows = [line[10:50] for line in text.decode().splitlines() if line.startswith("\t0x")]
    return bytes.fromhex("".join(rows))


def main():
    checks = Checks()
    with scratch() as folder:
        suite = Suite(checks, Command(sys.argv[1]), sys.argv[2], folder)
        for name in dir(suite):
            if name.startswith("test_"):
                start = time.monotonic()
                getattr(suite, name)()
                print(f"{name[5:]}: {time.monotonic() - start:.1f} s", flush=True)
    checks.finish()


if __name__ == "__main__":
    main()
