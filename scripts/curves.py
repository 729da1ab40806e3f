#!/usr/bin/env python3
r"""How the cost of a packet grows with connections, sizes and churn: `flowloom bench` again and
again, as tables and pictures.

  scripts/curves.py --flowloom build/app/flowloom --markdown docs/performance.md \
      --svg docs/performance

Each point is the least of several runs: noise of a shared machine only adds.
"""
import argparse
import json
import pathlib
import subprocess

from report_page import markdown_table, replace_blocks

FLOWS = (1_000, 10_000, 100_000, 1_000_000, 10_000_000)
SEGMENTS = (6, 64, 128, 256, 512, 1024, 1460)
CHURN_FLOWS = (1_000, 10_000, 100_000, 1_000_000)
STAGES = ("receive", "parse", "checksum", "lookup", "track")


def run_bench(flowloom, seconds, *arguments):
    """The figures of one run."""
    command = [flowloom, "bench", "--json", "--seconds", str(seconds), *map(str, arguments)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def bench(options, *arguments):
    """The best of some runs, by wall time a packet."""
    runs = [run_bench(options.flowloom, options.seconds, *arguments)
            for _ in range(options.rounds)]
    return min(runs, key=lambda run: run["ns_per_packet"])


def measure(options):
    sweep = {"flows": [], "segment": [], "churn": []}
    for flows in FLOWS:
        sweep["flows"].append((flows, bench(options, "--flows", flows)))
    for size in SEGMENTS:
        sweep["segment"].append(
            (size, bench(options, "--traffic", "bulk", "--flows", 1000, "--segment", size)))
    for flows in CHURN_FLOWS:
        sweep["churn"].append((flows, bench(options, "--traffic", "http", "--flows", flows)))
    return sweep


def tables(sweep):
    def stages(run):
        return [f"{run['stages'][stage]:.1f}" for stage in STAGES]
    yield "flows", markdown_table(
        ("connections", "ns/packet", "Mpps", *STAGES),
        [(f"{flows:,}", f"{run['ns_per_packet']:.1f}", f"{run['mpps']:.1f}", *stages(run))
         for flows, run in sweep["flows"]], left=0)
    yield "segment", markdown_table(
        ("payload bytes", "ns/packet", "Gbit/s of payload", *STAGES),
        [(size, f"{run['ns_per_packet']:.1f}", f"{run['gbps']:.1f}", *stages(run))
         for size, run in sweep["segment"]], left=0)
    yield "churn", markdown_table(
        ("open at a time", "ns/packet", "connections/s", *STAGES),
        [(f"{flows:,}", f"{run['ns_per_packet']:.1f}",
          f"{run['connections_per_second']:,.0f}", *stages(run))
         for flows, run in sweep["churn"]], left=0)


def draw(sweep, folder):
    import matplotlib
    matplotlib.use("svg")
    from matplotlib import pyplot
    labels = {"flows": "live connections (64-byte frames)",
              "segment": "payload bytes of a segment (1,000 connections)",
              "churn": "connections open at a time (10 packets each)"}
    for name, points in sweep.items():
        figure, axes = pyplot.subplots(figsize=(6.4, 3.4))
        axes.plot([x for x, _ in points], [run["ns_per_packet"] for _, run in points], "o-")
        axes.set_xscale("log")
        axes.set_ylim(bottom=0)
        axes.set_xlabel(labels[name])
        axes.set_ylabel("ns a packet, one core")
        axes.grid(True, linewidth=0.3)
        figure.tight_layout()
        figure.savefig(pathlib.Path(folder) / f"{name}.svg")
        pyplot.close(figure)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--flowloom", required=True)
    parser.add_argument("--seconds", type=float, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--markdown", metavar="FILE", help="page whose tables are replaced")
    parser.add_argument("--svg", metavar="DIR", help="where the pictures go (needs matplotlib)")
    parser.add_argument("--json", metavar="FILE", help="results for machines")
    options = parser.parse_args()
    sweep = measure(options)
    blocks = list(tables(sweep))
    for _, table in blocks:
        print(table, end="\n\n")
    if options.json:
        pathlib.Path(options.json).write_text(json.dumps(sweep, indent=1))
    if options.markdown:
        replace_blocks(options.markdown, "curves", blocks)
    if options.svg:
        draw(sweep, options.svg)


if __name__ == "__main__":
    main()
