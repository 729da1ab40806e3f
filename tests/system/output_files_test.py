#!/usr/bin/env python3
"""What the files say: every record is JSON with the contract's keys in the contract's order, its
numbers agree with the files and the ledger, names are safe, and a terminal gets a progress bar.
usage: output_files_test.py FLOWLOOM GENERATOR
"""
import calendar
import json
import os
import pathlib
import pty
import re
import string
import struct
import subprocess
import sys
import time

from support import (ACK, PCAP_HEADER, PSH, RST, SAMPLE, SYN, URG, Capture, Checks, Command, Talk,
                     balances, capture_of, endpoint, fresh, generate, scratch, stats)

RECORD_KEYS = ["uid", "community_id", "start", "end", "vlan", "tunnel", "orig", "resp", "close",
               "state", "history", "midstream", "anomalies"]
SIDE_KEYS = ["addr", "port", "packets", "ip_bytes", "payload_bytes", "stream_bytes", "gap_bytes",
             "gaps", "gaps_unlisted", "duplicate_bytes", "overlap_conflicts",
             "conflicts", "conflicts_unlisted", "out_of_order", "retransmissions",
             "urgent_bytes", "urgent_offsets", "file", "sha256"]
OPTIONAL = {"vlan", "tunnel", "midstream", "gaps_unlisted", "conflicts",
            "conflicts_unlisted", "urgent_offsets", "file", "sha256"}
CLOSES = {"fin", "rst", "idle", "syn-timeout", "evicted", "reused", "eof"}
STATES = {"S0", "S1", "SF", "REJ", "S2", "S3", "RSTO", "RSTR", "RSTOS0", "RSTRH", "SH", "SHR",
          "OTH"}
CAUSES = {"capture-loss", "network-loss", "cut", "unknown"}
STAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z")
UID = re.compile(r"C[0-9A-Za-z]{18}")
# Safe on every file system in use: no separators, colons, blanks, control characters.
NAME = re.compile(r"[0-9a-f.-]+-C[0-9A-Za-z]{18}")
LINE = re.compile(r"\[\+\] (\S+) - (\S+) \(CTS: (\d+)B \| STC: (\d+)B\)"
                  r"(?: gaps: (\d+) \((\d+)B\))?")
FLAT_FILES = 10_000


def in_order(keys, known):
    """Only known keys, in their order, and none that must be there is missing."""
    return list(keys) == [k for k in known if k in keys] and \
        all(k in keys for k in known if k not in OPTIONAL)


def wrong_of_side(side, out):
    if not in_order(side, SIDE_KEYS):
        return f"keys {list(side)}"
    if side["stream_bytes"] + side["duplicate_bytes"] > side["payload_bytes"]:
        return "more delivered than seen"
    if sum(g["length"] for g in side["gaps"]) != side["gap_bytes"]:
        return "the gaps do not add up"
    for gap in side["gaps"]:
        if list(gap) != ["offset", "length", "cause"] or gap["cause"] not in CAUSES:
            return f"gap {gap}"
    if ("file" in side) != (side["stream_bytes"] > 0):
        return "a file without bytes or bytes without a file"
    if "file" in side and (out / side["file"]).stat().st_size != side["stream_bytes"]:
        return "the file has another length"
    return None


def wrong_of_record(record, out):
    if not in_order(record, RECORD_KEYS):
        return f"keys {list(record)}"
    if not UID.fullmatch(record["uid"]) or not record["community_id"].startswith("1:"):
        return "uid or community id"
    if not (STAMP.fullmatch(record["start"]) and STAMP.fullmatch(record["end"])) or \
            record["start"] > record["end"]:
        return "stamps"
    if record["close"] not in CLOSES or record["state"] not in STATES:
        return f"close {record['close']}, state {record['state']}"
    if record.get("midstream", True) is not True:
        return "midstream is true or absent"
    for name in ("orig", "resp"):
        if wrong := wrong_of_side(record[name], out):
            return f"{name}: {wrong}"
    return wrong_of_names(record, out)


def spread_folder(start):
    """The folder of a connection that began then: quarters of a second in two digits of base 36."""
    seconds, nanoseconds = start.rstrip("Z").split(".")
    began = calendar.timegm(time.strptime(seconds, "%Y-%m-%dT%H:%M:%S"))
    quarters = began * 4 + int(nanoseconds) // 250_000_000
    digits = string.digits + string.ascii_lowercase
    return digits[quarters // 36 % 36] + digits[quarters % 36]


def wrong_of_names(record, out):
    ends = [f"{s['addr'].replace(':', '-')}.{s['port']}" for s in (record["orig"], record["resp"])]
    for side, (sender, receiver) in (("orig", ends), ("resp", ends[::-1])):
        if "file" not in record[side]:
            continue
        path = pathlib.PurePosixPath(record[side]["file"])
        if path.name != f"{sender}-{receiver}-{record['uid']}" or not NAME.fullmatch(path.name):
            return f"name {path}"
        folder = list(path.parts[:-1])
        if folder not in (["streams"], ["streams", spread_folder(record["start"])]):
            return f"folder of {path}"
    return None


def check_lines(checks, text, found, what):
    """Standard output against the records: those with a handshake or payload."""
    lines = []
    for record in found:
        orig, resp = record["orig"], record["resp"]
        if not orig["payload_bytes"] + resp["payload_bytes"] and not shook_hands(record):
            continue
        gaps = len(orig["gaps"]) + len(resp["gaps"])
        line = f"[+] {endpoint(orig)} - {endpoint(resp)} " \
               f"(CTS: {orig['stream_bytes']}B | STC: {resp['stream_bytes']}B)"
        if gaps:
            line += f" gaps: {gaps} ({orig['gap_bytes'] + resp['gap_bytes']}B)"
        lines.append(line)
    checks.equal(lines, text.splitlines(), f"{what}: standard output")
    checks.that(all(LINE.fullmatch(line) for line in lines), f"{what}: the form of lines")


def shook_hands(record):
    return record["history"].startswith("ShA")


def check_sums(checks, ledger, found, what):
    """The ledger against the sum of all records."""
    both = [side for record in found for side in (record["orig"], record["resp"])]
    fates = ledger["payload_bytes"]["fates"]

    def total(key):
        return sum(side[key] for side in both)
    checks.that(balances(ledger), f"{what}: the ledger balances")
    checks.equal(ledger["payload_bytes"]["seen"], total("payload_bytes"), f"{what}: seen")
    checks.equal(fates["delivered"], total("stream_bytes"), f"{what}: delivered")
    checks.equal(fates["duplicate"], total("duplicate_bytes"), f"{what}: duplicate")
    checks.equal(ledger["packets"]["verdicts"]["tcp"],
                 total("packets") - ledger["datagrams"].get("reassembled", 0), f"{what}: packets")
    checks.equal(ledger["connections"]["created"], len(found), f"{what}: connections")
    closes = {name: sum(r["close"] == name for r in found) for name in CLOSES}
    checks.equal({k: v for k, v in ledger["connections"]["closed"].items() if v},
                 {k: v for k, v in closes.items() if v}, f"{what}: how they closed")
    writers = ledger["writers"]
    checks.equal((len(found), sum("file" in side for side in both), 0),
                 (writers["flows"]["records"], writers["streams"]["records"],
                  sum(w["dropped"] for w in writers.values())), f"{what}: writers")


def check_capture(checks, flowloom, folder, capture, what, *options):
    out = folder / "out"
    ran = flowloom.read([capture], out, "-q", "--sha256", *options)
    checks.equal((0, ""), (ran.status, ran.err), what)
    text = (out / "flows.jsonl").read_bytes()
    checks.that(text.endswith(b"\n") or not text, f"{what}: the last line is whole")
    found = [json.loads(line) for line in text.decode().splitlines()]
    wrong = [f"{record['uid']}: {w}" for record in found if (w := wrong_of_record(record, out))]
    checks.that(not wrong, f"{what}: {wrong[:3]}")
    checks.equal(len(found), len({record["uid"] for record in found}), f"{what}: unique uids")
    named = {side["file"] for record in found for side in (record["orig"], record["resp"])
             if "file" in side}
    there = {str(p.relative_to(out)) for p in (out / "streams").rglob("*") if p.is_file()}
    checks.equal(named, there, f"{what}: files and records")
    checks.equal({"flows.jsonl", "stats.json", "streams"}, set(os.listdir(out)), f"{what}: files")
    check_sums(checks, stats(out), found, what)
    check_lines(checks, ran.out.decode(), found, what)
    return found


def with_tags(packets, *ids):
    """The same frames with VLAN tags, the outermost of a service provider."""
    tagged = []
    for stamp, record in packets:
        seconds, micros, size, _ = struct.unpack_from("=IIII", record)
        tags = b"".join(struct.pack("!HH", 0x88A8 if i + 1 < len(ids) else 0x8100, vlan)
                        for i, vlan in enumerate(ids))
        frame = record[16:28] + tags + record[28:]
        tagged.append((stamp, struct.pack("=IIII", seconds, micros, size + len(tags),
                                          size + len(tags)) + frame))
    return tagged


def check_odd_ones(checks, flowloom, folder):
    """Records of connections that are not just opened and closed."""
    tagged = Talk(1).open(1).say(1, 0, ACK | PSH, b"tags").close(2)
    refused = Talk(2).say(1, 0, SYN).say(1, 1, RST | ACK)
    late = Talk(3).say(1, 0, ACK | PSH, b"midstream").say(1, 1, ACK)
    urgent = Talk(4).open(1).say(1, 0, ACK | PSH | URG, b"now!").close(2)
    silent = Talk(5).open(1)
    lossy = Talk(6).open(1).say(1, 0, ACK | PSH, b"lost!").say(1, 0, ACK | PSH, b"after it")
    del lossy.packets[3]
    lossy.say(1, 1, ACK).close(2)
    talks = [refused, late, urgent, silent, lossy]
    packets = with_tags(tagged.packets, 30, 200) + [p for talk in talks for p in talk.packets]
    path = Capture(PCAP_HEADER, sorted(packets, key=lambda p: p[0])).save(folder / "odd.pcap")
    found = {record["orig"]["addr"].split(".")[-1]: record
             for record in check_capture(checks, flowloom, folder, path, "odd connections")}
    checks.equal([30, 200], found["1"].get("vlan"), "the tags, outermost first")
    checks.equal(("rst", "REJ", "Sr"), tuple(found["2"][k] for k in ("close", "state", "history")),
                 "a refused connection")
    checks.equal(True, found["3"].get("midstream"), "picked up midstream")
    checks.equal((4, 1), (found["4"]["orig"]["stream_bytes"], found["4"]["orig"]["urgent_bytes"]),
                 "the urgent byte stays in the stream")
    checks.equal([{"offset": 0, "length": 5, "cause": "capture-loss"}], found["6"]["orig"]["gaps"],
                 "a gap")
    checks.equal({"ack_unseen_segment": 1}, found["6"]["anomalies"], "its anomaly")
    checks.equal({}, found["5"]["anomalies"], "no anomalies")


def check_spread(checks, flowloom, generator, folder):
    """Beyond ten thousand files they lie in folders of their own."""
    path = generate(generator, "tiny", folder / "spread.pcap", "1/16")
    found = check_capture(checks, flowloom, folder, path, "many files", "--workers", "2")
    files = [side["file"] for record in found for side in (record["orig"], record["resp"])
             if "file" in side]
    checks.that(len(files) > FLAT_FILES, f"only {len(files)} files")
    checks.that(all(file.count("/") == (1 if i < FLAT_FILES else 2)
                    for i, file in enumerate(files)), "where files lie")


def on_terminal(flowloom, folder, *options, terminal):
    """Standard error of a slow run, on a terminal or in a pipe."""
    reader, writer = pty.openpty() if terminal else os.pipe()
    # A pipe as input, so that the run takes as long as the test wants.
    process = subprocess.Popen([flowloom.path, "read", "-", "-o", fresh(folder / "slow"), *options],
                               stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=writer)
    os.close(writer)
    process.stdin.write(SAMPLE.read_bytes())
    process.stdin.flush()
    time.sleep(1)
    process.stdin.close()
    text = b""
    try:
        while piece := os.read(reader, 65536):
            text += piece
    except OSError:
        pass  # how a terminal ends
    os.close(reader)
    return process.wait(), text.decode()


def check_progress(checks, flowloom, folder):
    status, text = on_terminal(flowloom, folder, terminal=True)
    checks.that(status == 0 and "\r" in text and "connections" in text.split("\n", 1)[0],
                f"a terminal gets a bar: {text[:200]!r}")
    bars, summary = text.rsplit("\r\x1b[K", 1) if "\r\x1b[K" in text else ("", text)
    checks.that(bars and summary.startswith("packets"), "the bar goes before the summary comes")
    status, text = on_terminal(flowloom, folder, "-q", terminal=True)
    checks.equal((0, ""), (status, text), "no bar with -q")
    status, text = on_terminal(flowloom, folder, terminal=False)
    checks.that(status == 0 and "\r" not in text and "\x1b" not in text and "packets" in text,
                f"no bar in a pipe: {text[:200]!r}")


def main():
    flowloom, generator = Command(sys.argv[1]), sys.argv[2]
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        check_capture(checks, flowloom, folder, SAMPLE, "sample")
        for kind, size, *options in (("messy", "1/250"), ("messy", "1/500", "-6"),
                                     ("syn", "1/5000")):
            path = generate(generator, kind, folder / "made.pcap", size, *options)
            check_capture(checks, flowloom, folder, path, " ".join([kind, *options]))
        empty = capture_of(folder / "empty.pcap")
        check_capture(checks, flowloom, folder, empty, "a capture without packets")
        check_odd_ones(checks, flowloom, folder)
        check_spread(checks, flowloom, generator, folder)
        check_progress(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
