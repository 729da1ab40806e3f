#!/usr/bin/env python3
"""Adds up what `meson test` left behind: every GoogleTest case, and every other test as one.

usage: sum_tests.py [--extra-failed N] BUILD_FOLDER...

Prints the cases that failed and, as its last line, `N passed, N failed`. A test program that
failed without a failed case (it crashed, leaked, ran out of time) counts as one failure.
--extra-failed adds what failed before any test could run, such as a build.
"""

import argparse
import json
import os
import re
import sys
import xml.etree.ElementTree as ElementTree

GOOD = ("OK", "EXPECTEDFAIL", "SKIP")


def failed_programs(json_lines):
    """Names of the tests that meson calls failed."""
    rows = (json.loads(line) for line in json_lines if line.strip())
    return [row["name"].split(" / ")[-1] for row in rows if row["result"] not in GOOD]


def cases(junit):
    """Yields (name, 'passed', 'failed' or 'skipped') of each case of a JUnit document."""
    for suite in junit.iter("testsuite"):
        for case in suite.findall("testcase"):
            name = f"{suite.get('name')}.{case.get('name')}"
            if case.find("failure") is not None or case.find("error") is not None:
                yield name, "failed"
            elif case.find("skipped") is not None or case.get("status") == "notrun":
                yield name, "skipped"
            else:
                yield name, "passed"


def sum_of(junit, json_lines):
    """(passed, names of failed, skipped) of one run."""
    found = list(cases(junit))
    failed = [name for name, result in found if result == "failed"]
    for program in failed_programs(json_lines):
        # "project.program.Suite.Case", or "project.project:suite / program" without cases.
        if not any(program in re.split(r"\.| / ", name) for name in failed):
            failed.append(f"{program} (the program itself)")
    count = [result for _, result in found].count
    return count("passed"), failed, count("skipped")


def read(folder):
    logs = os.path.join(folder, "meson-logs")
    try:
        with open(os.path.join(logs, "testlog.json"), encoding="utf-8") as lines:
            return sum_of(ElementTree.parse(os.path.join(logs, "testlog.junit.xml")),
                          lines.readlines())
    except (OSError, ElementTree.ParseError, ValueError) as error:
        return 0, [f"{folder}: no test results ({error})"], 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n", 1)[0])
    parser.add_argument("--extra-failed", type=int, default=0)
    parser.add_argument("folder", nargs="*")
    options = parser.parse_args()
    passed, failed = 0, options.extra_failed
    for folder in options.folder:
        good, bad, skipped = read(folder)
        for name in bad:
            print(f"FAILED {name}")
        note = f", {skipped} skipped" if skipped else ""
        print(f"{os.path.basename(os.path.normpath(folder))}: "
              f"{good} passed, {len(bad)} failed{note}")
        passed += good
        failed += len(bad)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
