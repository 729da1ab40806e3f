#!/usr/bin/env python3
"""Random conversations against their exact ground truth.

Makes three times 10,000 conversations with everything that flowloom-gen knows (loss, reordering,
repetition, retransmissions cut anew, wrap, padding, VLANs, IPv6, fragments, ...), reads them with
1, 2 and 4 workers, and holds every direction of every connection against OUT.truth.jsonl: delivered
bytes by their digest, gaps by offset, length and cause. The output of all worker counts must be the
same to the byte. What does not agree is printed with the command that makes this conversation
alone.
usage: random_conversations_test.py FLOWLOOM GENERATOR [SEED [CONVERSATIONS]]
       A seed, which may also stand in FLOWLOOM_SEED, is the only one that is tested then.
"""
import collections
import json
import os
import sys
import time

from support import (Checks, Command, balances, contents, endpoint, generate, records,
                     same_contents, same_endpoint, scratch, stats)

SEEDS = (20_260_001, 20_260_002, 20_260_003)
CONVERSATIONS = 10_000
WITHOUT = []  # features that are not tested here
PRINTED = 5


def truths(path):
    """Connections of the capture, in the order of their starts: (key, {direction: line})."""
    connections = collections.defaultdict(list)
    with open(f"{path}.truth.jsonl", encoding="utf-8") as lines:
        for forth, back in zip(*[map(json.loads, lines)] * 2):
            ends = same_endpoint(forth["client"]), same_endpoint(forth["server"])
            key = (frozenset(ends), tuple(forth["vlan"]), tuple(forth["tunnel"]))
            connections[key].append({ends[0]: forth, ends[1]: back})
    return connections


def found_records(out):
    connections = collections.defaultdict(list)
    for record in sorted(records(out), key=lambda r: r["start"]):
        sides = {endpoint(record[name]): record[name] for name in ("orig", "resp")}
        key = (frozenset(sides), tuple(record.get("vlan", [])), tuple(record.get("tunnel", [])))
        connections[key].append((sides, record))
    return connections


def merged(gaps):
    """(offset, length, causes) without the seams between gaps that touch."""
    result = []
    for offset, length, cause in gaps:
        if result and result[-1][0] + result[-1][1] == offset:
            last = result.pop()
            result.append((last[0], last[1] + length, last[2] | {cause}))
        else:
            result.append((offset, length, {cause}))
    return result


def difference(truth, side):
    """What of one direction is not as it must be, or None."""
    if truth["captured_bytes"] != side["stream_bytes"]:
        return f"{side['stream_bytes']} bytes of {truth['captured_bytes']}"
    if side["stream_bytes"] and truth["sha256"] != side["sha256"]:
        return "other bytes"
    wanted = merged([*g, c] for g, c in zip(truth["gaps"], truth["causes"]))
    gaps = merged((g["offset"], g["length"], g["cause"]) for g in side["gaps"])
    if not truth["certain"]:
        # Only the end is open: by one position, or all of a stream that was only acknowledged.
        wanted, gaps = wanted[:-1], gaps[:len(wanted[:-1])]
    if [g[:2] for g in wanted] != [g[:2] for g in gaps]:
        return f"gaps {gaps} of {wanted}"
    for mine, theirs in zip(gaps, wanted):
        if theirs[2] != {""} and theirs[2] != mine[2]:
            return f"causes of {gaps}, must be {wanted}"
    return None


def compare(expected, found):
    """Yields (line of the truth, what differs)."""
    for key, connections in expected.items():
        mine = found.get(key, [])
        if len(mine) != len(connections):
            for truth in connections:
                line = next(iter(truth.values()))
                yield line, f"{len(mine)} records of {len(connections)}: " + \
                    "; ".join(f"{r['history']} {r['close']}" for _, r in mine)
            continue
        for truth, (sides, record) in zip(connections, mine):
            for talker, line in truth.items():
                wrong = difference(line, sides[talker])
                if wrong:
                    yield line, f"{talker}: {wrong} (history {record['history']})"
    for key in found.keys() - expected.keys():
        yield None, f"a connection that is none: {key}"


def check_seed(checks, flowloom, generator, seed, conversations, folder):
    path, out = f"{folder}/random.pcap", f"{folder}/out"
    making = ["--seed", str(seed), "--connections", str(conversations), *WITHOUT]
    began = time.monotonic()
    generate(generator, "random", path, "1", *making)
    with open(f"{path}.truth.json", encoding="utf-8") as f:
        totals = json.load(f)
    expected = truths(path)
    lines = [line for c in expected.values() for truth in c for line in truth.values()]
    uncertain = sum(not line["certain"] for line in lines)
    checks.that(uncertain * 20 < len(lines), f"seed {seed}: {uncertain} ends are not certain")
    checks.that(sum(bool(line["gaps"]) for line in lines) * 20 > len(lines), "hardly any gaps")
    first = None
    for workers in (1, 2, 4):
        ran = flowloom.read([path], out, "-q", "--write", "flows", "--sha256",
                            "--workers", workers)
        what = f"seed {seed}, {workers} workers"
        ledger = stats(out)
        checks.equal((0, []), (ran.status, ledger["limits"]), f"{what}: {ran.err.strip()}")
        checks.that(balances(ledger), f"{what}: the ledger")
        checks.equal(totals["packets"], ledger["packets"]["received"], f"{what}: packets")
        output = contents(out) | {"standard output": ran.out}
        first = first or output
        same_contents(checks, first, output, what)
        wrong = list(compare(expected, found_records(out)))
        checks.that(not wrong, f"{what}: {len(wrong)} of {totals['connections']} connections")
        for line, text in wrong[:PRINTED]:
            print(f"  {text}", flush=True)
            if line:
                print(f"  {','.join(line['features'])}\n  again: flowloom-gen random one.pcap "
                      f"{' '.join(making)} --only {line['talk']}", flush=True)
    print(f"seed {seed}: {conversations} conversations, {totals['connections']} connections, "
          f"{totals['packets']} packets, {totals['captured_bytes']} bytes, "
          f"{totals['gap_directions']} directions with gaps, {time.monotonic() - began:.1f} s")


def main():
    flowloom, generator, *rest = sys.argv[1:]
    chosen = rest[0] if rest else os.environ.get("FLOWLOOM_SEED")
    conversations = int(rest[1]) if len(rest) > 1 else CONVERSATIONS
    checks = Checks()
    with scratch() as folder:
        for seed in [int(chosen)] if chosen else SEEDS:
            print(f"seed {seed}", flush=True)
            check_seed(checks, Command(flowloom), generator, seed, conversations, folder)
    checks.finish()


if __name__ == "__main__":
    main()
