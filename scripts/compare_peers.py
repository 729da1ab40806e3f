#!/usr/bin/env python3
"""Measures flowloom beside other reassemblers, in turns, on made captures of known content.

Every tool counts what it delivers and writes nothing; what is compared is the CPU time (user and
system) of the whole process and its peak memory, medians over the rounds. flowloom's totals are
held against the ground truth. Tools that are not installed are left out.

  scripts/compare_peers.py --build BUILDDIR             the full captures, 5 rounds
  scripts/compare_peers.py --build BUILDDIR --quick     a tenth of the size, 3 rounds
"""
import argparse
import json
import math
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

from report_page import markdown_table, replace_blocks

KINDS = ("many", "bulk", "tiny", "messy", "syn")
FULL_BYTES = {"many": 0.72e9, "bulk": 1.53e9, "tiny": 0.48e9, "messy": 0.72e9, "syn": 0.39e9}
MEMORY_LIMIT = 16 << 30  # a SYN flood costs some peers gigabytes


class Tool:
    """One competitor: how it is called for a capture, and how to read what it delivered."""

    def __init__(self, name, command, delivered=None, skip=(), check=None, note=""):
        self.name = name
        self.command = command      # capture, kind, folder -> argument list
        self.delivered = delivered  # standard output, folder -> bytes, or None
        self.skip = skip            # kinds that it cannot do in reasonable time or memory
        self.check = check          # folder, truth -> list of complaints
        self.note = note


def flowloom_complaints(folder, truth):
    with open(os.path.join(folder, "stats.json")) as f:
        stats = json.load(f)
    packets, payload = stats["packets"], stats["payload_bytes"]
    fates = payload["fates"]
    wanted = {
        "packets received": (packets["received"], truth["packets"]),
        "sum of verdicts": (sum(packets["verdicts"].values()), packets["received"]),
        "sum of fates": (sum(fates.values()), payload["seen"]),
        "payload seen": (payload["seen"], truth["payload_bytes"]),
        "delivered": (fates.get("delivered", 0), truth["captured_bytes"]),
        "repeated": (payload["seen"] - fates.get("delivered", 0), truth["duplicate_bytes"]),
    }
    if not truth["lost_packets"]:
        wanted["connections"] = (stats["connections"]["created"], truth["connections"])
    return [f"{what}: {got}, must be {must}" for what, (got, must) in wanted.items() if got != must]


def flowloom_delivered(_output, folder):
    with open(os.path.join(folder, "stats.json")) as f:
        return json.load(f)["payload_bytes"]["fates"].get("delivered", 0)


def json_delivered(output, _folder):
    return json.loads(output)["delivered_bytes"]


def tools_of(options):
    """Flowloom first, the bound last."""
    def built(name):
        path = os.path.join(options.build, "perf", name) if options.build else ""
        return path if os.access(path, os.X_OK) else shutil.which(name)

    flowloom = options.flowloom or (options.build and os.path.join(options.build, "app/flowloom"))
    if flowloom and os.access(flowloom, os.X_OK):
        for label, extra in [("flowloom", [])] + [tuple(v.split("=", 1)) for v in options.variant]:
            extra = extra.split() if isinstance(extra, str) else extra
            yield Tool(label, lambda c, k, d, extra=extra: [
                flowloom, "read", "--write", "none", "--workers", "1", "-q",
                "--stats", os.path.join(d, "stats.json"), *extra, c],
                flowloom_delivered, check=flowloom_complaints)
    if nids := built("nids-count"):
        # Room for 10 times the concurrency of `tiny` at any size; below a tenth its fixed cost is
        # all that is seen.
        streams = str(max(100_000, int(1_000_000 * options.scale)))
        yield Tool("libnids", lambda c, k, d: [nids, c, streams], json_delivered,
                   note="copies the payload; checksums off; no IPv6, so no -6")
    if "tcpflow" in options.peers and (tcpflow := shutil.which("tcpflow")):
        yield Tool("tcpflow -FX", lambda c, k, d: [tcpflow, "-q", "-FX", "-o", d, "-r", c],
                   skip=("syn",), note="tracks connections, stores no data: not a reassembly")
    if "tshark" in options.peers and (tshark := shutil.which("tshark")):
        yield Tool("tshark conv", lambda c, k, d: [tshark, "-r", c, "-q", "-z", "conv,tcp"],
                   skip=() if options.scale <= 0.1 else KINDS,
                   note="statistics; only at a tenth of the size or less")
    if bound := built("flowloom-bound"):
        # Filled to between a third and two thirds: 32 MiB at full size, 512 MiB for the flood.
        bits = {k: str(max(10, math.ceil(math.log2(2 * n * options.scale))))
                for k, n in (("syn", 4e6), ("other", 2e5))}
        yield Tool("bound", lambda c, k, d: [bound, c, bits.get(k, bits["other"])],
                   json_delivered, note="read, parse, look up, add: no rules at all")


def measure(tool, capture, kind):
    """One run: CPU seconds, wall seconds, peak memory, delivered bytes, complaints."""
    with tempfile.TemporaryDirectory(dir=os.path.dirname(capture)) as folder:
        out_path = os.path.join(folder, "stdout")
        with open(out_path, "wb") as out, open(os.path.join(folder, "stderr"), "wb") as err:
            start = time.monotonic()
            process = subprocess.Popen(
                tool.command(capture, kind, folder), stdout=out, stderr=err,
                preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT,) * 2))
            _, status, usage = os.wait4(process.pid, 0)
            wall = time.monotonic() - start
            process.returncode = os.waitstatus_to_exitcode(status)
        run = {"cpu_s": usage.ru_utime + usage.ru_stime, "user_s": usage.ru_utime,
               "wall_s": wall, "peak_mib": usage.ru_maxrss / 1024, "exit": process.returncode,
               "delivered": None, "complaints": []}
        if process.returncode != 0:
            with open(os.path.join(folder, "stderr"), errors="replace") as f:
                run["complaints"] = [f"exit {process.returncode}: {f.read()[-300:].strip()}"]
            return run
        with open(out_path) as f:
            run["delivered"] = tool.delivered(f.read(), folder) if tool.delivered else None
        if tool.check:
            with open(capture + ".truth.json") as f:
                run["complaints"] = tool.check(folder, json.load(f))
        return run


def make_captures(options, folder):
    generator = options.gen or os.path.join(options.build or "", "perf", "flowloom-gen")
    captures = {}
    for kind in options.kinds:
        path = os.path.join(folder, kind + ".pcap")
        ipv6 = ["-6"] if options.ipv6 else []
        subprocess.run([generator, kind, path, "-n", repr(options.scale), *ipv6], check=True)
        with open(path, "rb") as f:  # into the page cache, also where the folder is a disk
            while f.read(1 << 20):
                pass
        captures[kind] = path
    return captures


def median(runs, key):
    values = [r[key] for r in runs]
    return statistics.median(values) if values else None


def summary_of(kind, truth, runs):
    """One row per tool: medians, and how many times flowloom's CPU time it takes."""
    rows, base = [], None
    for name, results in runs.items():
        good = [r for r in results if r["exit"] == 0]
        if not good:
            rows.append({"kind": kind, "tool": name, "failed": results[0]["complaints"]})
            continue
        cpu = median(good, "cpu_s")
        base = cpu if base is None and name == "flowloom" else base
        spread = statistics.median(abs(r["cpu_s"] - cpu) for r in good)
        delivered = good[-1]["delivered"]
        rows.append({
            "kind": kind, "tool": name, "cpu_s": cpu, "mad_s": spread,
            "wall_s": median(good, "wall_s"), "peak_mib": median(good, "peak_mib"),
            "ns_per_packet": cpu / truth["packets"] * 1e9,
            "delivered": delivered, "captured": truth["captured_bytes"],
            "ratio": cpu / base if base else None,
            "complaints": sorted({c for r in results for c in r["complaints"]})})
    return rows


def print_table(rows):
    header = ("capture", "tool", "CPU s", "+-", "ns/packet", "peak MiB", "x flowloom", "delivered")
    lines = [header]
    for r in rows:
        if "failed" in r:
            lines.append((r["kind"], r["tool"], "failed", "", "", "", "", ""))
            continue
        share = "-"
        if r["delivered"] is not None:
            share = str(r["delivered"])
            if r["captured"]:
                share = f"{100 * r['delivered'] / r['captured']:.2f} %"
        lines.append((r["kind"], r["tool"], f"{r['cpu_s']:.3f}", f"{r['mad_s']:.3f}",
                      f"{r['ns_per_packet']:.0f}", f"{r['peak_mib']:.0f}",
                      f"{r['ratio']:.2f}" if r["ratio"] else "-", share))
    widths = [max(len(line[i]) for line in lines) for i in range(len(header))]
    for line in lines:
        left = [line[i].ljust(widths[i]) for i in range(2)]
        print("  ".join(left + [line[i].rjust(widths[i]) for i in range(2, len(header))]))
    for r in rows:
        for complaint in r.get("complaints", r.get("failed", [])):
            print(f"!! {r['kind']} {r['tool']}: {complaint}")


def markdown_of(rows):
    """The table for a page: one row per capture and tool."""
    cells = []
    for r in rows:
        if "failed" in r:
            cells.append((r["kind"], r["tool"], "failed", "", "", "", ""))
            continue
        cells.append((r["kind"], r["tool"], f"{r['cpu_s']:.2f}", f"{r['mad_s']:.2f}",
                      f"{r['ns_per_packet']:.0f}", f"{r['peak_mib']:.0f}",
                      f"{r['ratio']:.2f}" if r["ratio"] else "-"))
    return markdown_table(("capture", "tool", "CPU s", "+-", "ns/packet", "peak MiB", "x flowloom"),
                          cells, left=2)


def draw(rows, path):
    """Bars: CPU time of each tool as a multiple of flowloom's."""
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    good = [r for r in rows if r.get("ratio")]
    kinds = list(dict.fromkeys(r["kind"] for r in good))
    names = list(dict.fromkeys(r["tool"] for r in good))
    figure, axes = pyplot.subplots(figsize=(8, 3.6))
    width = 0.8 / len(names)
    for i, name in enumerate(names):
        ratios = {r["kind"]: r["ratio"] for r in good if r["tool"] == name}
        axes.bar([k + (i - (len(names) - 1) / 2) * width for k in range(len(kinds))],
                 [ratios.get(kind, 0) for kind in kinds], width, label=name)
    axes.axhline(1, color="black", linewidth=0.6)
    axes.set_xticks(range(len(kinds)), kinds)
    axes.set_ylabel("CPU time / flowloom's")
    axes.set_yscale("log")
    axes.legend()
    figure.tight_layout()
    figure.savefig(path)


def parse_options():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--build", metavar="DIR", help="build directory with app/ and perf/")
    parser.add_argument("--flowloom", metavar="PATH", help="binary; default BUILD/app/flowloom")
    parser.add_argument("--gen", metavar="PATH", help="generator; default BUILD/perf/flowloom-gen")
    parser.add_argument("--variant", action="append", default=[], metavar="NAME=OPTIONS",
                        help="a second flowloom with further options; may be repeated")
    parser.add_argument("--kinds", default=",".join(KINDS), help="default: %(default)s")
    parser.add_argument("--peers", default="", help="further peers: tcpflow,tshark")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--scale", type=float, default=0, help="size of the captures; default 1")
    parser.add_argument("--quick", action="store_true", help="scale 0.1, 3 rounds")
    parser.add_argument("-6", dest="ipv6", action="store_true", help="IPv6 captures")
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    parser.add_argument("--markdown", metavar="FILE", help="page whose table is replaced")
    parser.add_argument("--svg", metavar="FILE", help="bars of the ratios (needs matplotlib)")
    parser.add_argument("--dir", help="where the captures go; default: /dev/shm if there is room")
    options = parser.parse_args()
    options.kinds = [k for k in options.kinds.split(",") if k]
    options.peers = [p for p in options.peers.split(",") if p]
    options.scale = options.scale or (0.1 if options.quick else 1.0)
    options.rounds = options.rounds or (3 if options.quick else 5)
    if unknown := set(options.kinds) - set(KINDS):
        parser.error(f"unknown kinds: {', '.join(sorted(unknown))}")
    return options


def place_for(options):
    need = 1.3 * sum(FULL_BYTES[k] for k in options.kinds) * options.scale
    if options.dir:
        return options.dir
    shm = "/dev/shm"
    if os.path.isdir(shm) and shutil.disk_usage(shm).free > need:
        return shm
    return None


def main():
    options = parse_options()
    tools = list(tools_of(options))
    if not any(t.name == "flowloom" for t in tools):
        print("no flowloom binary: give --build or --flowloom", file=sys.stderr)
    rows, all_runs = [], {}
    with tempfile.TemporaryDirectory(dir=place_for(options), prefix="flowloom-peers-") as folder:
        captures = make_captures(options, folder)
        for kind, capture in captures.items():
            with open(capture + ".truth.json") as f:
                truth = json.load(f)
            taking_part = [t for t in tools if kind not in t.skip and
                           not (options.ipv6 and t.name == "libnids")]
            runs = {t.name: [] for t in taking_part}
            # In turns, so that a slow minute of the machine hits all alike.
            for _ in range(options.rounds):
                for tool in taking_part:
                    runs[tool.name].append(measure(tool, capture, kind))
            rows += summary_of(kind, truth, runs)
            all_runs[kind] = runs
    print_table(rows)
    for tool in tools:
        if tool.note:
            print(f"   {tool.name}: {tool.note}")
    if options.json:
        with open(options.json, "w") as f:
            json.dump({"scale": options.scale, "rounds": options.rounds, "ipv6": options.ipv6,
                       "summary": rows, "runs": all_runs}, f, indent=1)
    if options.markdown:
        replace_blocks(options.markdown, "peers", [("table", markdown_of(rows))])
    if options.svg:
        draw(rows, options.svg)
    ours = {t.name for t in tools if t.check}
    wrong = [r for r in rows if r["tool"] in ours and (r.get("complaints") or r.get("failed"))]
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
