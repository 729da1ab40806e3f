#!/usr/bin/env python3
"""Plays the connection scripts to flowloom and to other reassemblers and says who delivered exactly
the bytes that a script expects, per connection and direction: none missing, none invented.

usage: museum.py --build BUILDDIR [--out FILE]
       museum.py --check FLOWLOOM SCRIPTS_TEST     flowloom only, and only what it promises; exit
                                                   status 1 and a line per script if it is wrong

BUILDDIR/tests/segment_scripts_test writes each script's packets as a capture, those of the scripts
that still wait included. Scripts that set an option are left out, since every program runs with its
defaults; so are tools that are not installed. Prints Markdown, or writes it to FILE; a copy is kept
in docs/museum.md.
"""

import argparse
import json
import os
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile

import evasions

HEAD = """# Side by side: the evasions as captures

Every case of [evasions.md](evasions.md) that needs no option, as a capture, given to flowloom
(`read`), tshark 4.0.17 (`follow,tcp,raw`) and tcpflow 1.6.1. *Right* means: exactly the expected
bytes, per connection and direction; a gap filled with zeros or text is not exact, nor is a session
in two parts. `scripts/museum.py --build BUILDDIR --out docs/museum.md` made this page; the second
table lists the starred cases and all where somebody is wrong.
"""
RESPONDER_PORT = 80  # `<` of every script
TEXT = re.compile(r'=> (?:#(\d+) )?(?:data ([<>]) (\d+)|bytes ([<>])) (?:fill (\d+)|"(.*)")\s*$')
ESCAPE = re.compile(rb"\\(x[0-9a-f]{2}|.)")


def unescaped(text):
    def one(found):
        code = found[1]
        if code[:1] == b"x":
            return bytes([int(code[1:], 16)])
        return {b"n": b"\n", b"0": b"\0"}.get(code, code)
    return ESCAPE.sub(one, text.encode())


def fill(side, position, count):
    """The made bytes of a script, as tests/support/segment_script.cpp makes them."""
    base = 0 if side == ">" else 101
    return bytes(((position + i) % 251 + base) % 251 for i in range(count))


def expected(script):
    """Sorted (side, bytes) of every direction that delivers anything."""
    streams = {}
    for line in script.splitlines():
        found = TEXT.match(line)
        if found is None:
            continue
        side = found[2] or found[4]
        position = int(found[3] or 0)
        more = fill(side, position, int(found[5])) if found[5] else unescaped(found[6])
        key = (int(found[1] or 1), side)
        streams[key] = streams.get(key, b"") + more
    return sorted((side, content) for (_, side), content in streams.items() if content)


def side_of(port):
    return "<" if int(port) == RESPONDER_PORT else ">"


def run(arguments, folder):
    return subprocess.run(arguments, cwd=folder, capture_output=True, check=False).stdout


class Flowloom:
    name = "flowloom"

    def __init__(self, program):
        self.program = program

    def found(self):
        return self.program.exists()

    def streams(self, capture, folder):
        out = folder / "out"
        run([self.program, "read", "-q", "-o", out, capture], folder)
        for line in (out / "flows.jsonl").read_text().splitlines():
            record = json.loads(line)
            for side in (record["orig"], record["resp"]):
                if "file" in side:
                    yield side_of(side["port"]), (out / side["file"]).read_bytes()


class Tcpflow:
    name = "tcpflow"

    def found(self):
        return shutil.which(self.name) is not None

    def streams(self, capture, folder):
        run([self.name, "-r", capture, "-o", folder / "out"], folder)
        for path in (folder / "out").iterdir():
            ports = re.search(r"\.(\d{5})-.*\.(\d{5})", path.name)
            if ports is not None and path.stat().st_size < 1 << 24:
                yield side_of(ports[1]), path.read_bytes()


class Tshark:
    name = "tshark"
    STREAMS_MAX = 8

    def found(self):
        return shutil.which(self.name) is not None

    def streams(self, capture, folder):
        wanted = [word for i in range(self.STREAMS_MAX) for word in ("-z", f"follow,tcp,raw,{i}")]
        text = run([self.name, "-r", capture, "-q", *wanted], folder).decode()
        for block in text.split("Follow: tcp,raw")[1:]:
            nodes = re.findall(r"^Node [01]: .*:(\d+)$", block, re.MULTILINE)
            lines = re.findall(r"^(\t?)([0-9a-f]+)$", block, re.MULTILINE)
            for number, mark in enumerate(("", "\t")):
                content = b"".join(bytes.fromhex(part) for tab, part in lines if tab == mark)
                if len(nodes) == 2:
                    yield side_of(nodes[number]), content


def verdict(tool, capture, wanted):
    with tempfile.TemporaryDirectory() as folder:
        found = tool.streams(capture, pathlib.Path(folder))
        return sorted((side, content) for side, content in found if content) == wanted


def scripts_to_play(root, folders=(evasions.SCRIPTS, evasions.PENDING)):
    """name -> (cases, expected streams) of the scripts that run with every program's defaults. Of
    two with one name the later folder's counts."""
    paths = {}
    for folder in folders:
        paths.update({path.stem: path for path in (root / folder).glob("*.seg")})
    scripts = {}
    for path in (paths[name] for name in sorted(paths)):
        text = path.read_text(encoding="utf-8")
        named = evasions.CASE_LINE.search(text)
        settings = re.findall(r"^set (?!only )", text, re.MULTILINE)
        if named is not None and not settings:
            scripts[path.stem] = (named[1].split(), expected(text))
    return scripts


def results_of(tools, scripts, captures):
    """name -> {tool: whether it was right}"""
    return {name: {tool.name: verdict(tool, captures / f"{name}.pcap", wanted)
                   for tool in tools}
            for name, (_, wanted) in scripts.items()}


def page_of(tools, scripts, results, starred):
    names = [tool.name for tool in tools]
    head = " | ".join(names)
    lines = [HEAD, f"| | scripts | {head} |", "|---" * (len(names) + 2) + "|"]
    for letter, title in evasions.SECTIONS.items():
        own = [name for name, (cases, _) in scripts.items() if cases[0][0] == letter]
        right = [sum(results[name][tool] for name in own) for tool in names]
        if own:
            lines.append(f"| {letter}. {title} | {len(own)} | {' | '.join(map(str, right))} |")
    right = [sum(result[tool] for result in results.values()) for tool in names]
    lines.append(f"| all | {len(results)} | {' | '.join(map(str, right))} |")
    lines += ["", f"| script | {head} |", "|---" * (len(names) + 1) + "|"]
    for name, (cases, _) in scripts.items():
        marks = ["yes" if results[name][tool] else "**no**" for tool in names]
        if set(cases) & starred or "**no**" in marks:
            lines.append(f"| {name} ({', '.join(cases)}) | {' | '.join(marks)} |")
    return "\n".join(lines) + "\n"


def write_captures(program, captures, folders=(evasions.SCRIPTS, evasions.PENDING)):
    """Of all scripts, whether flowloom meets them or not."""
    for folder in folders:
        subprocess.run([program, "--gtest_filter=ScriptsTcp/*"], check=False,
                       env={**os.environ, "FLOWLOOM_SCRIPT_CAPTURES": captures,
                            "FLOWLOOM_SCRIPTS": str(evasions.ROOT / folder)},
                       stdout=subprocess.DEVNULL)


def check(program, scripts_test):
    folders = (evasions.SCRIPTS,)
    scripts = scripts_to_play(evasions.ROOT, folders)
    tool = Flowloom(program)
    with tempfile.TemporaryDirectory() as captures:
        write_captures(scripts_test, captures, folders)
        results = results_of([tool], scripts, pathlib.Path(captures))
    wrong = [name for name, result in results.items() if not result[tool.name]]
    for name in wrong:
        print(f"{name}: flowloom read does not deliver what the script expects")
    print(f"{len(results) - len(wrong)} of {len(results)} captures are exact")
    return 1 if wrong or not results else 0


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--build", type=pathlib.Path)
    parser.add_argument("--out", type=pathlib.Path)
    parser.add_argument("--check", type=pathlib.Path, nargs=2)
    options = parser.parse_args()
    if options.check is not None:
        return check(*(path.resolve() for path in options.check))
    if options.build is None:
        parser.error("--build or --check is needed")
    build = options.build.resolve()
    known = (Flowloom(build / "app" / "flowloom"), Tshark(), Tcpflow())
    tools = [tool for tool in known if tool.found()]
    scripts = scripts_to_play(evasions.ROOT)
    cases = evasions.cases_of((evasions.ROOT / "tests" / "evasions.txt").read_text())
    starred = {case for case, (_, star) in cases.items() if star}
    with tempfile.TemporaryDirectory() as captures:
        write_captures(build / "tests" / "segment_scripts_test", captures)
        page = page_of(tools, scripts, results_of(tools, scripts, pathlib.Path(captures)), starred)
    if options.out is None:
        sys.stdout.write(page)
    else:
        options.out.write_text(page, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
