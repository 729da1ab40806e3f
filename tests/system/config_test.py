#!/usr/bin/env python3
"""Options from a file: every one of them, the command line before the file, what --check-config
says, and that nothing in a file is passed over.
usage: config_test.py FLOWLOOM
"""
import pathlib
import re
import sys

from support import SAMPLE, Checks, Command, contents, fresh, records, same_contents, scratch

NOT_OF_FILES = {"help", "config", "check-config"}


def settings(text):
    """name -> (values, where they come from) of what --check-config printed."""
    found = {}
    for line in text.decode().splitlines():
        if not line.startswith("# "):
            name, value, where = re.fullmatch(r"([\w-]+) = (.*)  # (.*)", line).groups()
            found.setdefault(name, ([], where))[0].append(value)
    return found


def options_of(flowloom, command):
    """Long names as --help has them."""
    text = flowloom(command, "--help").out.decode()
    return set(re.findall(r"^  (?:-\w,)?--([\w-]+)", text, re.MULTILINE)) - NOT_OF_FILES


def write(path, text):
    path.write_text(text, encoding="utf-8")
    return path


def check_every_option(checks, flowloom, folder):
    """What --check-config prints names every option, and is a file that gives the same again."""
    for command, more in (("read", ()), ("run", ("--",)), ("live", ("-i", "eth9"))):
        first = flowloom(command, *more, "--check-config")
        checks.equal((0, ""), (first.status, first.err), f"{command}: --check-config")
        named = set(re.findall(rb"^(?:# )?([\w-]+)", first.out, re.MULTILINE))
        checks.equal(options_of(flowloom, command), {name.decode() for name in named},
                     f"{command}: all options are there")
        path = folder / f"{command}.conf"
        path.write_bytes(first.out)
        dashes = ("--",) if command == "run" else ()
        again = flowloom(command, *dashes, "--config", path, "--check-config")
        checks.equal(0, again.status, f"{command}: its output is a file: {again.err}")
        checks.equal({name: values for name, (values, _) in settings(first.out).items()},
                     {name: values for name, (values, _) in settings(again.out).items()},
                     f"{command}: with the same values")
        checks.that(all(where.startswith(str(path)) for _, where in settings(again.out).values()),
                    f"{command}: and says that they come from it")


def check_precedence(checks, flowloom, folder):
    path = write(folder / "some.conf", "\n".join([
        "# a comment", "", "; another one", "workers=2", "  idle-timeout =  77  # seconds",
        "filter = 'tcp port 80 or tcp[13] & 2 != 0'", "json", "sha256 = true", "depth = 2K",
        "write = flows,pack", "out = /nonexistent/out", "[live]", "interface = eth9", "workers = 5",
        "[read]", "max-flows = 1000", "[run]", "max-flows = 2000"]))
    ran = flowloom("read", "--config", path, "--check-config", "--idle-timeout", "88",
                   "--json=false")
    checks.equal((0, ""), (ran.status, ran.err), "precedence: status")
    found = settings(ran.out)
    expected = {"workers": (["2"], f"{path}:4"), "idle-timeout": (["88"], "command line"),
                "filter": (["tcp port 80 or tcp[13] & 2 != 0"], f"{path}:6"),
                "json": (["false"], "command line"), "sha256": (["true"], f"{path}:8"),
                "depth": (["2048"], f"{path}:9"), "write": (["flows,pack"], f"{path}:10"),
                "max-flows": (["1000"], f"{path}:16"), "overlap": (["bsd"], "default")}
    for name, value in expected.items():
        checks.equal(value, found.get(name), f"precedence: {name}")
    checks.that("interface" not in found, "another command's section is not ours")
    live = flowloom("live", "--config", write(
        folder / "live.conf", "[live]\ninterface = eth9\nworkers = 5\n"), "--check-config")
    checks.equal((["eth9"], ["5"]), (settings(live.out)["interface"][0],
                                     settings(live.out)["workers"][0]), "its own section is")


def check_mistakes(checks, flowloom, folder):
    """One sentence each that names file and line; nothing is written."""
    out = folder / "never"
    for text, line, sentence in (
            ("out = x\nworker = 2\n", 2, "there is no option 'worker'"),
            ("CAPTURE = a.pcap", 1, "there is no option 'CAPTURE'"),
            ("config = other.conf", 1, "there is no option 'config'"),
            ("help", 1, "there is no option 'help'"),
            ("check-config = true", 1, "there is no option 'check-config'"),
            ("w = flows", 1, "there is no option 'w'"),
            ("= 5", 1, "there is no option ''"),
            ("\n\nworkers = 99", 3, "--workers: Value 99 not in range"),
            ("memory = 12 bananas", 1, "--memory"),
            ("idle-timeout = soon", 1, "--idle-timeout"),
            ("overlap = bst", 1, "--overlap"),
            ("json = maybe", 1, "--json"),
            ("filter = 'tcp", 1, "a quote that does not end"),
            ("workers = 1\nworkers = 2", 2, "'workers' is given for the second time"),
            ("[write]", 1, "is no section"),
            ("[read", 1, "is no section"),
            ("[read] workers = 1", 1, "is no section")):
        path = write(folder / "wrong.conf", text)
        for more in (("--check-config",), ()):
            ran = flowloom("read", SAMPLE, "-o", out, "--config", path, *more)
            what = f"{text!r} {more}"
            checks.equal(1, ran.status, f"{what}: status")
            checks.that(ran.err.startswith(f"flowloom: {path}:{line}: ") and sentence in ran.err
                        and ran.err.count("\n") == 1, f"{what}: says {ran.err!r}")
    for text, sentence in (("print = ascii\njson", "exclude each other"),
                           ("filter = tcp prot", "filter"), ("rotate = soon", "--rotate soon"),
                           ("write = foo", "unknown writer"),
                           ("write = flows", "needs an output folder")):
        path = write(folder / "wrong.conf", text)
        ran = flowloom("read", "--config", path, "--check-config")
        checks.that((ran.status, ran.out) == (1, b"") and sentence in ran.err and
                    ran.err.count("\n") == 1, f"{text!r}: {ran}")
    ran = flowloom("read", SAMPLE, "--config", folder / "missing.conf")
    checks.that(ran.status == 1 and "missing.conf" in ran.err, f"a missing file: {ran.err!r}")
    checks.that(not out.exists(), "a wrong file leaves no folder behind")


def check_run(checks, flowloom, folder):
    """The same run by options and by file."""
    by_options, by_file = folder / "options", folder / "file"
    flowloom.read([SAMPLE], by_options, "-q", "--sha256", "--write", "flows,streams,pack",
                  "-f", "tcp port 80", "--gap-fill", "zero")
    path = write(folder / "run.conf",
                 f"out = {by_file}\nsha256\nwrite = flows,streams,pack\nfilter = tcp port 80\n"
                 "gap-fill = zero\nquiet = on\n")
    fresh(by_file)
    ran = flowloom("read", SAMPLE, "--config", path)
    checks.equal((0, ""), (ran.status, ran.err), "by file: status")
    checks.that(len(records(by_options)) > 3, "something to compare")
    same_contents(checks, contents(by_options), contents(by_file), "the same by file")
    ran = flowloom("run", f"--vdev=net_pcap0,rx_pcap={SAMPLE}", "--", "--config", path, "--force")
    checks.equal((0, ""), (ran.status, ran.err), "run by file: status")
    checks.equal(len(records(by_options)), len(records(by_file)), "run takes a file, too")


def main():
    flowloom = Command(sys.argv[1])
    checks = Checks()
    with scratch() as name:
        folder = pathlib.Path(name)
        check_every_option(checks, flowloom, folder)
        check_precedence(checks, flowloom, folder)
        check_mistakes(checks, flowloom, folder)
        check_run(checks, flowloom, folder)
    checks.finish()


if __name__ == "__main__":
    main()
