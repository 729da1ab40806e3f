#!/usr/bin/env python3
"""The Python module flowloom: what streams() and events() yield, held against what dpkt and scapy
make of clean captures, and how they behave: lock, interrupts, threads, fork, errors.

usage: python_module_test.py        with the package in PYTHONPATH
"""
import collections
import gc
import os
import pathlib
import signal
import subprocess
import sys
import threading
import time
import warnings

import flowloom
import python_oracles as oracles
from support import ACK, PSH, RST, SAMPLE, SYN, Checks, Talk, capture_of, scratch


def found_by(streams):
    found, uses = {}, collections.Counter()
    for stream in sorted(streams, key=lambda s: s.info.start_ns):
        ends = *stream.client, *stream.server
        uses[ends] += 1
        found[*ends, uses[ends]] = [stream.client_data, stream.server_data]
    return found


def check_content(checks, folder):
    made = oracles.clean_capture(folder / "clean.pcap")
    reused = oracles.save(folder / "reused.pcap", oracles.talk(1),
                          oracles.talk(1, 2, start=1_600_000_500.0), oracles.talk(2))
    for path in (made, reused, SAMPLE):
        expected = oracles.from_dpkt(path)
        checks.that(len(expected) >= 3, f"dpkt finds {len(expected)} streams in {path.name}")
        for workers in (1, 3):
            with flowloom.streams(path, workers=workers, everything=True) as streams:
                checks.equal(expected, found_by(streams), f"{path.name} as dpkt, {workers} workers")
    expected = oracles.from_scapy(SAMPLE)
    checks.equal(expected, found_by(flowloom.streams(SAMPLE, everything=True)), "as scapy")
    both = found_by(flowloom.streams(made, str(SAMPLE)))
    checks.equal(found_by(flowloom.streams(made)) | found_by(flowloom.streams(SAMPLE)), both,
                 "several captures")


def check_events(checks, folder):
    streams, ends = {}, {}
    for event in flowloom.events(folder / "clean.pcap"):
        if event.kind == "opened":
            streams[event.stream] = [b"", b""]
            checks.passed += event.info.reason == "open"
        elif event.kind == "data":
            side = 0 if event.sender == "client" else 1
            checks.passed += event.offset == len(streams[event.stream][side])
            streams[event.stream][side] += event.data
        elif event.kind == "closed":
            ends[event.stream] = event.info
    found = {(*info.client, *info.server, 1): streams[number] for number, info in ends.items()}
    checks.equal(oracles.from_dpkt(folder / "clean.pcap"), found, "events carry the same bytes")
    kinds = [event.kind for event in flowloom.events(SAMPLE) if event.stream == 1]
    checks.equal(["opened", "closed"], [kinds[0], kinds[-1]], "first and last event")


def lossy_capture(path):
    one = Talk(7).open(1_600_000_000.0)
    one.say(1_600_000_000.1, 0, PSH | ACK, b"first")
    one.say(1_600_000_000.2, 0, PSH | ACK, b"never seen")
    del one.packets[-1]
    one.say(1_600_000_000.3, 0, PSH | ACK, b"third")
    one.say(1_600_000_000.4, 1, PSH | ACK, b"got it")
    return capture_of(path, one.close(1_600_000_000.5))


def check_gaps(checks, folder):
    path = lossy_capture(folder / "lossy.pcap")
    stream, = flowloom.streams(path)
    checks.equal(b"firstthird", stream.client_data, "delivered bytes around a gap")
    checks.equal([flowloom.Gap(5, 10, "capture-loss")], stream.client_gaps, "the gap")
    checks.equal([], stream.server_gaps, "no gap of the server")
    gaps = [e for e in flowloom.events(path) if e.kind == "gap"]
    checks.equal([(5, 10, "capture-loss", "client")],
                 [(e.offset, e.length, e.cause, e.sender) for e in gaps], "the gap as an event")


def check_attributes(checks):
    stream = next(iter(flowloom.streams(SAMPLE)))
    checks.equal(("192.0.2.10", 40001), stream.client, "client")
    checks.equal("192.0.2.10:40001 ==> 192.0.2.1:80", stream.key, "key")
    checks.equal("fin", stream.reason, "reason")
    checks.equal("SF", stream.info.state, "state")
    checks.equal(102, stream.info.client_side["stream_bytes"], "bytes of the record")
    checks.that(0 < stream.end - stream.start < 10, f"{stream.start} to {stream.end}")
    checks.that(stream.key in repr(stream) and "102 B" in repr(stream), repr(stream))
    with flowloom.streams(SAMPLE, bpf_filter="port 443") as streams:
        checks.equal([443], [s.server[1] for s in streams], "a filter")
        checks.that(streams.statistics["balances"], "the ledger balances")
        checks.equal(431, streams.statistics["packets"], "packets of the ledger")


def raised(action):
    try:
        action()
    except Exception as error:  # pylint: disable=broad-except
        return type(error).__name__, str(error)
    return None, "nothing was raised"


def check_scans(checks, folder):
    talks = []
    for port in range(1, 31):
        one = Talk(5)
        one.ports = 40000 + port, port
        talks.append(one.say(1_600_000_000 + 0.01 * port, 0, SYN)
                     .say(1_600_000_000.001 + 0.01 * port, 1, RST | ACK))
    path = capture_of(folder / "scan.pcap", *talks)
    scans = [e.scan for e in flowloom.events(path, scan_ports=10) if e.kind == "scan"]
    checks.equal([("10.7.0.5", "ports", 11)],
                 [(s["source"], s["across"], len(s["targets"])) for s in scans], "a port scan")
    checks.equal(0, sum(e.kind == "scan" for e in flowloom.events(SAMPLE, scan_ports=10)),
                 "and none where there is none")


def check_linger(checks, folder):
    """What comes after both FINs counts with linger=True only; the bytes are the same."""
    late = oracles.talk(1).say(1_600_000_000.9, 0, ACK)
    path = oracles.save(folder / "late.pcap", late, oracles.talk(2, start=1_600_000_001.0))
    early, final = ({s.client[1]: s for s in flowloom.streams(path, linger=linger)}
                    for linger in (False, True))
    for number, more in ((20001, 1), (20002, 0)):
        one, other = early[number], final[number]
        checks.equal(one.client_data, other.client_data, "bytes do not depend on it")
        checks.equal(("fin", one.info.history), (other.reason, other.info.history), "nor the end")
        checks.equal("fin", one.reason, "an ended stream is closed by FIN")
        checks.equal(one.info.client_side["packets"] + more, other.info.client_side["packets"],
                     "packets that came late")
    frames = oracles.frames_of(path)
    order = [s.client[1] for s in flowloom.streams(path)]
    checks.that(len(frames) > 20 and order == [20001, 20002], f"in the order of the ends {order}")


def check_errors(checks, folder):
    rows = [
        ("FileNotFoundError", "missing.pcap", lambda: flowloom.streams(folder / "missing.pcap")),
        ("TypeError", "captures", flowloom.streams),
        ("TypeError", "no option 'colour'", lambda: flowloom.streams(SAMPLE, colour=1)),
        ("ValueError", "'memory' does not fit", lambda: flowloom.streams(SAMPLE, memory="x")),
        ("ValueError", "overlap: 'x'", lambda: flowloom.events(SAMPLE, overlap="x")),
        ("ValueError", "filter 'prt 1'", lambda: flowloom.streams(SAMPLE, bpf_filter="prt 1")),
        ("RuntimeError", "no-such-if", lambda: flowloom.streams(iface="no-such-if")),
        ("RuntimeError", __file__, lambda: flowloom.streams(__file__)),
    ]
    for kind, words, action in rows:
        found, text = raised(action)
        checks.that(found == kind and words in text, f"{kind} {words}: {found} {text}")
    cut = folder / "cut.pcap"
    cut.write_bytes(SAMPLE.read_bytes()[:100_000])
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        total = sum(1 for _ in flowloom.streams(cut))
    checks.that(total >= 2, f"{total} streams before the damage")
    checks.equal([flowloom.CaptureWarning], [w.category for w in caught], "damage is a warning")
    checks.that("cut.pcap" in str(caught[0].message), str(caught[0].message))


def threads():
    return len(os.listdir("/proc/self/task"))


def settled(expected, patience=10.0):
    """Whether so many threads are left, soon."""
    end = time.monotonic() + patience
    while threads() != expected and time.monotonic() < end:
        time.sleep(0.01)
    return threads() == expected


def check_threads(checks, folder):
    before = threads()
    path, fifo = folder / "clean.pcap", folder / "held"
    os.mkfifo(fifo)
    with open(os.open(fifo, os.O_RDWR), "wb") as held:
        held.write(SAMPLE.read_bytes()[:20_000])
        held.flush()
        iterator = flowloom.events(fifo)
        next(iterator)
        checks.equal(before + 1, threads(), "the engine has a thread")
        del iterator
        gc.collect()
        checks.that(settled(before), "an abandoned iterator stops its thread")
    with flowloom.streams(path) as streams:
        kept = next(streams)
    checks.that(settled(before), "leaving the block stops it")
    checks.that(len(kept.server_data) > 0, "what was handed out stays good")
    checks.equal([], list(streams), "a closed iterator is empty")
    checks.equal("ValueError", raised(lambda: streams.statistics)[0], "no statistics of a part")
    several = [flowloom.events(path) for _ in range(5)]
    counts = [sum(1 for _ in one) for one in several]
    checks.that(len(set(counts)) == 1 and counts[0] > 500, f"five at once: {counts}")
    del several
    gc.collect()
    checks.that(settled(before), "all threads are gone")


def check_lock(checks, folder):
    """While the iterator waits for a silent pipe, other threads of Python run; and what came
    through the pipe does not wait for more."""
    fifo = folder / "fifo"
    os.mkfifo(fifo)
    ticks, stop = [0], threading.Event()

    def count():
        while not stop.is_set():
            ticks[0] += 1
            time.sleep(0.001)

    def write():
        with open(fifo, "wb") as file:
            data = SAMPLE.read_bytes()
            file.write(data[:60_000])
            file.flush()
            time.sleep(0.5)
            file.write(data[60_000:])

    writer, counter = threading.Thread(target=write), threading.Thread(target=count)
    writer.start()
    events = flowloom.events(fifo)
    first = next(events)
    counter.start()
    at_first = ticks[0]
    total = sum(event.length for event in events if event.kind == "data")
    stop.set()
    writer.join()
    counter.join()
    checks.equal("opened", first.kind, "the first event comes before the pipe ends")
    checks.equal(269975, total, "bytes through a pipe")
    checks.that(ticks[0] - at_first > 50, f"{ticks[0] - at_first} ticks of another thread")


def check_interrupt(checks, folder):
    """Ctrl-C while the iterator waits."""
    fifo = folder / "silent"
    os.mkfifo(fifo)
    program = ("import flowloom, sys\n"
               "events = flowloom.events(sys.argv[1])\n"
               "print('waiting', flush=True)\n"
               "try:\n    next(events)\n"
               "except KeyboardInterrupt:\n    print('interrupted', flush=True)\n")
    with subprocess.Popen([sys.executable, "-c", program, fifo], stdout=subprocess.PIPE,
                          text=True) as running:
        with open(fifo, "wb") as held:
            held.write(SAMPLE.read_bytes()[:24])
            held.flush()
            checks.equal("waiting\n", running.stdout.readline(), "it waits")
            time.sleep(0.3)
            start = time.monotonic()
            running.send_signal(signal.SIGINT)
            checks.equal("interrupted\n", running.stdout.readline(), "Ctrl-C works")
            checks.equal(0, running.wait(20), "and the program ends")
            checks.that(time.monotonic() - start < 10, "soon")


def check_fork(checks, folder):
    events = flowloom.events(folder / "clean.pcap")
    extractor = flowloom.TCPStreamExtractor(folder / "clean.pcap")
    next(events)
    extractor.next()
    reader, writer = os.pipe()
    child = os.fork()
    if child == 0:
        words = [raised(lambda: next(events))[1], raised(extractor.next)[1]]
        del events
        gc.collect()
        words.append(str(sum(1 for _ in flowloom.streams(SAMPLE))))
        os.write(writer, "\n".join(words).encode())
        os._exit(0)
    os.close(writer)
    with os.fdopen(reader) as pipe:
        words = pipe.read().split("\n")
    checks.equal(0, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), "the child ends well")
    checks.that(len(words) == 3 and all("fork()" in word for word in words[:2]),
                f"the engine raises in the child: {words}")
    checks.equal("12", words[-1], "a new engine works in the child")
    checks.that(sum(1 for _ in events) > 500, "the parent goes on")


def check_types(checks):
    """The stub names what there is, and nothing else."""
    package = pathlib.Path(flowloom.__file__).parent
    checks.that((package / "py.typed").exists(), "the package is typed")
    stub = {}
    text = (package / "__init__.pyi").read_text(encoding="utf-8")
    code = compile("from __future__ import annotations\n" + text, "stub", "exec")
    exec(code, stub)  # pylint: disable=exec-used
    for name in ("Stream", "StreamInfo", "Event", "StreamIterator", "EventIterator",
                 "TCPStreamExtractor"):
        def public(cls):
            return {key for key in vars(cls) if not key.startswith("_")}
        missing = public(stub[name]) ^ public(getattr(flowloom, name))
        checks.equal(set(), missing - {"timer"}, f"names of {name}")
    known = set(stub) | set(stub["__annotations__"])
    checks.equal(set(), set(flowloom.__all__) - known, "the stub has every public name")


def main():
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        check_content(checks, folder)
        check_events(checks, folder)
        check_gaps(checks, folder)
        check_attributes(checks)
        check_linger(checks, folder)
        check_scans(checks, folder)
        check_errors(checks, folder)
        check_threads(checks, folder)
        check_lock(checks, folder)
        check_interrupt(checks, folder)
        check_fork(checks, folder)
        check_types(checks)
    checks.finish()


if __name__ == "__main__":
    main()
