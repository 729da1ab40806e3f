#!/usr/bin/env python3
"""Makes docs/evasions.md: which test plays which named case of odd, broken and hostile traffic.

usage: evasions.py --check              exit status 1 and a line per mistake or difference
       evasions.py --update             rewrites the page
       evasions.py --adopt PROGRAM      plays the scripts that wait (PROGRAM is the built
                                        segment_scripts_test), moves those that pass to the others

The cases are those of tests/evasions.txt. A connection script (tests/scripts_tcp/*.seg) names its
case in a line "# case: A02", another test in the line before it: "// case: M04" or "# case: M01".
What a script expects is read from its expectations. Scripts of tests/scripts_tcp_pending wait for
flowloom to do what they say.
"""

import os
import pathlib
import re
import subprocess
import sys
from dataclasses import dataclass

ROOT = pathlib.Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "evasions.md"
SCRIPTS = "tests/scripts_tcp"
PENDING = "tests/scripts_tcp_pending"
SECTIONS = {
    "A": "Handshake", "B": "Sequence, acknowledgement, window", "C": "Retransmission and overlap",
    "D": "Gaps and capture loss", "E": "FIN, RST, close, reuse", "F": "Urgent data",
    "G": "Timestamps", "H": "Checksums, lengths, padding", "I": "IP options and fragments",
    "J": "VLAN and tunnel identity", "K": "Timers and time", "L": "Resource exhaustion",
    "M": "Capture files"}
CASE_LINE = re.compile(r"^\s*(?:#|//) case:((?: [A-Z]\d\d)+)$", re.MULTILINE)
TEST_NAME = re.compile(r"\s*(?:TEST(?:_F|_P)?\((\w+), (\w+)\)|def (\w+)\()")
SHOWN = 6  # expectations in a row
TEXT_SHOWN = 24

HEAD = """# Evasions: the cases and their tests

Traffic that is odd, broken or meant to deceive, case by case: what flowloom must say of it, and the
test that holds it to that. `scripts/evasions.py --update` makes this page from
`tests/evasions.txt` and the tests, and a lint test keeps it so. A row with a script shows
the head of what the script expects: bytes of the originator (`>`) and the responder (`<`), state,
close, gaps, anomalies, fates and verdicts of what was not delivered. In bold are the ten cases that
most programs get wrong; *waits* marks a script that flowloom does not meet yet.
"""


@dataclass(frozen=True)
class Row:
    case: str
    test: str       # Markdown
    expected: str
    waits: bool


def cases_of(text):
    """ID -> (name, whether starred), in order."""
    cases = {}
    for line in text.splitlines():
        if line.startswith("#") or not line.strip():
            continue
        words = line.split()
        cases[words[0]] = (words[1], words[2:] == ["*"])
    return cases


def delivered(lines):
    """What `>` and `<` of the first connection deliver, each as one word."""
    sides = {">": "", "<": ""}
    for line in lines:
        found = re.match(r'=> (?:data ([<>]) \d+|bytes ([<>])) (?:fill (\d+)|"(.*)")', line)
        if found is None:
            continue
        more = f"({found[3]} bytes)" if found[3] else found[4]
        sides[found[1] or found[2]] += more
    for side, text in sides.items():
        if text:
            safe = text.replace("|", "\\|")
            rest = "..." if len(safe) > TEXT_SHOWN else ""
            yield f"{side} `{safe[:TEXT_SHOWN]}`{rest}"


def expectation(script):
    """The head of what a script expects, in words."""
    lines = [line for line in script.splitlines() if line.startswith("=> ")]
    found = {"state": [], "close": [], "gap": [], "anomaly": [], "fate": [], "verdict": [],
             "connections": []}
    for words in (line.split() for line in lines):
        words = words[2:] if words[1].startswith("#") else words[1:]
        kind, rest = words[0], words[1:]
        if kind == "gap":
            found[kind].append(f"gap {rest[1]}+{rest[2]} {rest[3]}")
        elif kind == "connections" and rest[0] != "1":
            found[kind].append(f"{rest[0]} connections")
        elif kind in ("fate", "verdict"):
            found[kind].append(f"{rest[0]} {rest[1]}")
        elif kind in ("state", "close", "anomaly"):
            found[kind].append(rest[0])
    if found["state"][:1] == ["SF"]:
        found["close"] = []
    parts = found["connections"] + list(delivered(lines)) + found["state"][:1]
    parts += found["close"][:1] + found["gap"]
    parts += found["anomaly"] + found["fate"] + found["verdict"]
    unique = list(dict.fromkeys(parts))
    return ", ".join(unique[:SHOWN])


def rows_of_script(path, folder, text):
    named = CASE_LINE.search(text)
    if named is None:
        return
    link = f"[{path.stem}](../{folder}/{path.name})"
    for case in named[1].split():
        yield Row(case, link, expectation(text), folder == PENDING)


def rows_of_source(path, text):
    for named in CASE_LINE.finditer(text):
        test = TEST_NAME.match(text, named.end())
        if test is None:
            raise ValueError(f"{path}: no test follows the line '{named[0].strip()}'")
        name = f"{test[1]}.{test[2]}" if test[1] else test[3]
        for case in named[1].split():
            yield Row(case, f"`{name}` in [{path.name}](../{path})", "see there", False)


def all_rows(root):
    rows = []
    for folder in (SCRIPTS, PENDING):
        for path in sorted((root / folder).glob("*.seg")):
            rows += rows_of_script(path, folder, path.read_text(encoding="utf-8"))
    for folder in ("tests/unit", "tests/system"):
        for path in sorted((root / folder).rglob("*")):
            if path.suffix in (".cpp", ".py"):
                text = path.read_text(encoding="utf-8")
                rows += rows_of_source(path.relative_to(root), text)
    return rows


def mistakes(cases, rows):
    for row in rows:
        if row.case not in cases:
            yield f"{row.test}: there is no case {row.case}"


def page_of(cases, rows):
    lines = [HEAD]
    totals = {"covered": 0, "waiting": 0}
    for letter, title in SECTIONS.items():
        own = [case for case in cases if case[0] == letter]
        played = {row.case for row in rows if not row.waits and row.case in own}
        waiting = {row.case for row in rows if row.waits and row.case in own} - played
        totals["covered"] += len(played | waiting)
        totals["waiting"] += len(waiting)
        lines += [f"## {letter}. {title}", "",
                  f"{len(played | waiting)} of {len(own)} cases have a test"
                  + (f"; of {len(waiting)} every script waits." if waiting else "."), "",
                  "| case | name | test | expected |", "|---|---|---|---|"]
        for case in own:
            name, starred = cases[case]
            label = f"**{case}**" if starred else case
            of_case = [row for row in rows if row.case == case]
            for row in of_case:
                waits = " (*waits*)" if row.waits else ""
                lines.append(f"| {label} | {name} | {row.test}{waits} | {row.expected} |")
            if not of_case:
                lines.append(f"| {label} | {name} | none yet | |")
        lines.append("")
    scripts = {row.test for row in rows if ".seg)" in row.test}
    covered, waiting = totals["covered"], totals["waiting"]
    lines += ["## Count", "",
              f"{covered} of {len(cases)} cases have a test, in {len(scripts)} scripts and further "
              f"tests; of {waiting} of them every script waits.", ""]
    return "\n".join(lines)


def adopted(text):
    """A script that waits no longer."""
    return "".join(line for line in text.splitlines(True) if not line.startswith("# today:"))


def adopt(program):
    environment = {**os.environ, "FLOWLOOM_SCRIPTS": str(ROOT / PENDING)}
    played = subprocess.run([program, "--gtest_filter=ScriptsTcp/*"], capture_output=True,
                            text=True, env=environment, check=False).stdout
    for name in re.findall(r"^\[       OK \] \S*/(\w+) \(", played, re.MULTILINE):
        waiting = ROOT / PENDING / f"{name}.seg"
        text = adopted(waiting.read_text(encoding="utf-8"))
        (ROOT / SCRIPTS / waiting.name).write_text(text, encoding="utf-8")
        waiting.unlink()
        print(f"{name} passes")
    return 0


def main():
    if len(sys.argv) == 3 and sys.argv[1] == "--adopt":
        return adopt(sys.argv[2])
    if sys.argv[1:] not in (["--check"], ["--update"]):
        print(__doc__, file=sys.stderr)
        return 1
    cases = cases_of((ROOT / "tests" / "evasions.txt").read_text(encoding="utf-8"))
    rows = all_rows(ROOT)
    errors = list(mistakes(cases, rows))
    page = page_of(cases, rows)
    if sys.argv[1] == "--update" and not errors:
        PAGE.write_text(page, encoding="utf-8")
    elif not PAGE.exists() or PAGE.read_text(encoding="utf-8") != page:
        errors.append("docs/evasions.md is out of date: run scripts/evasions.py --update")
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
