"""flowloom bench: every kind of traffic comes out exact, and the figures say what was asked for.
How fast it is, is not judged here.

usage: bench_test.py FLOWLOOM
"""
import json
import sys

import support

KINDS = ("small", "bulk", "http", "reorder", "loss", "synflood", "fragments")
FIELDS = ("traffic", "flows", "workers", "packets", "payload_bytes", "mpps", "gbps", "wire_gbps",
          "connections_per_second", "ns_per_packet", "floor_ns_per_packet", "stages")
COPIED_FIELDS = ("copy_floor_ns_per_packet", "copy_floor_ratio", "writer_cpu_ns_per_packet",
                 "writer_waits", "export_bytes_left")


def bench(flowloom, *arguments):
    return flowloom("bench", "--json", "--seconds", "0.05", *arguments)


def check_kinds(checks, flowloom):
    for kind in KINDS:
        ran = bench(flowloom, "--traffic", kind, "--flows", "200")
        if not checks.equal(0, ran.status, f"{kind}: exit status ({ran.err})"):
            continue
        figures = json.loads(ran.out)
        checks.equal([], [f for f in FIELDS if f not in figures], f"{kind}: fields that miss")
        checks.that(figures["packets"] > 0, f"{kind}: packets were measured")
        checks.equal(figures["expected_bytes"], figures["delivered_bytes"], f"{kind}: bytes")
        checks.equal(True, figures["ledger_balanced"], f"{kind}: the ledger")
        checks.equal(0, figures["objects_left"], f"{kind}: the pools are empty")


def check_segments(checks, flowloom):
    for size in (6, 100, 1460):
        figures = json.loads(bench(flowloom, "--traffic", "bulk", "--flows", "50",
                                   "--segment", str(size)).out)
        # Two segments and an acknowledgement.
        mean = figures["payload_bytes"] / figures["packets"]
        checks.that(abs(mean - size * 2 / 3) < 0.05 * size, f"--segment {size}: mean of {mean}")
    checks.that(bench(flowloom, "--segment", "1461").status != 0, "--segment 1461 is refused")


def check_copied(checks, flowloom):
    """Every byte passes through an exporter and its ring, and all memory comes home."""
    for kind in KINDS:
        for workers in (1, 3) if kind in ("bulk", "http", "small") else (1,):
            name = f"copied, {kind}, {workers} workers"
            ran = bench(flowloom, "--consume", "copied", "--traffic", kind, "--flows", "200",
                        "--workers", str(workers))
            if not checks.equal(0, ran.status, f"{name}: exit status ({ran.err})"):
                continue
            check_copied_figures(checks, name, json.loads(ran.out))


def check_copied_figures(checks, name, figures):
    checks.equal("copied", figures["consume"], f"{name}: consume")
    checks.equal([], [f for f in COPIED_FIELDS if f not in figures], f"{name}: fields that miss")
    checks.that(figures["delivered_bytes"] > 0, f"{name}: bytes arrived")
    checks.equal(figures["expected_bytes"], figures["delivered_bytes"], f"{name}: bytes")
    checks.equal(True, figures["ledger_balanced"], f"{name}: the ledger")
    checks.equal(0, figures["export_bytes_left"], f"{name}: export memory came home")
    checks.equal(0, figures["objects_left"], f"{name}: the pools are empty")
    checks.that(figures["writer_cpu_ns_per_packet"] > 0, f"{name}: the writer took time")
    for floor in ("floor", "copy_floor"):
        ratio = figures["ns_per_packet"] / figures[floor + "_ns_per_packet"]
        checks.that(abs(figures[floor + "_ratio"] / ratio - 1) < 0.01, f"{name}: {floor}_ratio")


def check_consume(checks, flowloom):
    figures = json.loads(bench(flowloom, "--flows", "200").out)
    checks.equal("in-place", figures["consume"], "consume, where nothing is said")
    checks.equal([], [f for f in COPIED_FIELDS if f in figures], "in place: fields of copied")
    checks.that(bench(flowloom, "--consume", "moved").status != 0, "--consume moved is refused")
    ran = bench(flowloom, "--consume", "copied", "--source", "ring", "--traffic", "bulk",
                "--flows", "200", "--workers", "2")
    if checks.equal(0, ran.status, f"copied, ring: exit status ({ran.err})"):
        check_copied_figures(checks, "copied, ring", json.loads(ran.out))


def check_workers(checks, flowloom):
    ran = bench(flowloom, "--workers", "2", "--flows", "200")
    checks.equal(0, ran.status, f"two workers: exit status ({ran.err})")
    checks.equal(2, json.loads(ran.out)["workers"], "two workers")


def check_ports(checks, flowloom):
    """Traffic through mbufs and net_ring; http has time-outs and more tuples than flows."""
    for kind, workers in (("small", 2), ("bulk", 1), ("http", 1), ("synflood", 1)):
        ran = bench(flowloom, "--source", "ring", "--traffic", kind, "--flows", "200",
                    "--workers", str(workers))
        if not checks.equal(0, ran.status, f"ring, {kind}: exit status ({ran.err})"):
            continue
        figures = json.loads(ran.out)
        checks.equal("ring", figures["source"], f"ring, {kind}: source")
        checks.that(figures["delivered_bytes"] > 0, f"ring, {kind}: bytes were delivered")
        checks.equal(figures["expected_bytes"], figures["delivered_bytes"], f"ring, {kind}: bytes")
    ran = bench(flowloom, "--source", "null")
    checks.equal(0, ran.status, f"null: exit status ({ran.err})")
    ran = bench(flowloom, "--source", "ring", "--workers", "17")
    checks.that(ran.status not in (0, None) and "16 queues" in ran.err,
                f"more workers than net_ring has queues: status {ran.status}, {ran.err}")


def main():
    flowloom = support.Command(sys.argv[1])
    checks = support.Checks()
    check_kinds(checks, flowloom)
    check_segments(checks, flowloom)
    check_workers(checks, flowloom)
    check_copied(checks, flowloom)
    check_consume(checks, flowloom)
    check_ports(checks, flowloom)
    checks.finish()


if __name__ == "__main__":
    main()
