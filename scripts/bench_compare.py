#!/usr/bin/env python3
"""Compares two runs of Google Benchmark and fails where the new one is slower for certain.

usage: bench_compare.py BASE.json NEW.json [--allow-missing] [--min-repetitions N]

Both files come from --benchmark_format=json --benchmark_repetitions=10 (or more). A benchmark is
slower when its median CPU time grew by more than 3 % and by more than 3 MAD, the median absolute
deviation of the noisier of the two runs: the first bound forgives what nobody feels, the second
what the machine does by itself.

Exit status: 0 no benchmark is slower, 1 one is or is missing, 2 a file cannot be compared.
"""

import argparse
import json
import statistics
import sys

GROWTH_MAX = 0.03
MADS_MAX = 3
MIN_REPETITIONS = 10
NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


class NotComparable(Exception):
    """A file that holds no usable repetitions."""


def times_of(report):
    """Benchmark name -> CPU times of its repetitions in nanoseconds."""
    times = {}
    for row in report.get("benchmarks", []):
        if row.get("run_type", "iteration") != "iteration":
            continue  # Google Benchmark's own mean, median, stddev
        name = row.get("run_name", row["name"])
        if row.get("error_occurred"):
            raise NotComparable(f"{name} failed: {row.get('error_message', 'no reason given')}")
        times.setdefault(name, []).append(row["cpu_time"] * NANOSECONDS[row["time_unit"]])
    if not times:
        raise NotComparable("no repetitions (was --benchmark_report_aggregates_only given?)")
    return times


def median_and_mad(values):
    median = statistics.median(values)
    return median, statistics.median(abs(value - median) for value in values)


def is_slower(base, new):
    base_median, base_mad = median_and_mad(base)
    new_median, new_mad = median_and_mad(new)
    growth = new_median - base_median
    return growth > GROWTH_MAX * base_median and growth > MADS_MAX * max(base_mad, new_mad)


def compare(base, new, allow_missing=False, min_repetitions=MIN_REPETITIONS):
    """Lines to print, and how many benchmarks are slower or missing."""
    lines, bad = [], 0
    for name in sorted(base.keys() | new.keys()):
        if name not in new:
            bad += 0 if allow_missing else 1
            lines.append(f"missing  {name}")
            continue
        if name not in base:
            lines.append(f"new      {name}")
            continue
        for values in (base[name], new[name]):
            if len(values) < min_repetitions:
                raise NotComparable(
                    f"{name}: {len(values)} repetitions, at least {min_repetitions} are needed")
        (before, before_mad), (after, after_mad) = map(median_and_mad, (base[name], new[name]))
        slower = is_slower(base[name], new[name])
        faster = is_slower(new[name], base[name])
        bad += slower
        word = "SLOWER" if slower else "faster" if faster else "same"
        change = (after / before - 1) * 100 if before > 0 else 0.0
        lines.append(f"{word:8} {name}: {before:.2f} -> {after:.2f} ns ({change:+.1f} %), "
                     f"MAD {before_mad:.2f} and {after_mad:.2f}")
    return lines, bad


def load(path):
    try:
        with open(path, encoding="utf-8") as source:
            return times_of(json.load(source))
    except (OSError, ValueError, KeyError, NotComparable) as error:
        raise NotComparable(f"{path}: {error}") from error


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("base")
    parser.add_argument("new")
    parser.add_argument("--allow-missing", action="store_true")
    parser.add_argument("--min-repetitions", type=int, default=MIN_REPETITIONS)
    options = parser.parse_args()
    try:
        lines, bad = compare(load(options.base), load(options.new), options.allow_missing,
                             options.min_repetitions)
    except NotComparable as error:
        print(f"bench_compare: {error}", file=sys.stderr)
        return 2
    print("\n".join(lines))
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
