#!/usr/bin/env python3
"""The libnids drop-in beside Debian's libnids: the same client, the same captures, the same events.

usage: nids_test.py LIBRARY       flowloom's libnids.so.1.21

Captures are random ones (tests/system/nids/traffic.py) and those of FLOWLOOM_CAPTURES. The order of
EXITING events is random in the original and therefore not compared.
"""
import concurrent.futures
import os
import pathlib
import subprocess
import sys
import tempfile

import support

HERE = pathlib.Path(__file__).resolve().parent / "nids"
sys.path.insert(0, str(HERE))
import traffic  # noqa: E402

PYTHON = "/usr/bin/python3"  # Debian's: another one may have been built for other libraries
DEBIAN = "/usr/lib/x86_64-linux-gnu/libnids.so.1.21"
SONAME = "libnids.so.1.21"
TIMEOUT = 120

# Ways to use the library, each with captures of its own.
WAYS = (
    [], ["discard=keep"], ["discard=half"], ["discard=one", "one_loop_less=1"], ["callbacks=2"],
    ["collect=client"], ["collect=urgent"], ["tcp_workarounds=1"], ["n_tcp_streams=12"], ["ip=1"],
    ["drive=dispatch"], ["drive=next"], ["drive=handler"], ["checksums=0"], ["ends=close"],
    ["callbacks=2", "one_loop_less=1"], ["scan_num_ports=3", "scan_num_hosts=2"],
    ["tcp_flow_timeout=10"], ["callbacks=2", "discard=half", "ends=close"],
    ["pcap_filter=tcp port 80"], ["n_tcp_streams=0"], ["scan_num_hosts=0"], ["collect=none"],
)

# st_size of what programs copy into themselves (COPY relocations).
DATA_SIZES = {"nids_params": 120, "nids_errbuf": 256, "nids_warnings": 80,
              "nids_last_pcap_header": 8, "nids_last_pcap_data": 8, "nids_linkoffset": 4,
              "nids_tcp_timeouts": 8, "tcp_procs": 8}


def sanitizer_of(library):
    """What has to be loaded before a library that was built with the address sanitizer."""
    needed = subprocess.run(["readelf", "-d", library], capture_output=True, check=True).stdout
    if b"libasan" not in needed:
        return {}
    # With libstdc++, or what catches exceptions finds none to catch.
    names = ("libasan.so", "libubsan.so", "libstdc++.so.6")
    found = [subprocess.run(["g++", f"-print-file-name={name}"], capture_output=True, check=True)
             for name in names]
    # Python itself never frees everything.
    return {"LD_PRELOAD": " ".join(os.path.realpath(f.stdout.decode().strip()) for f in found),
            "ASAN_OPTIONS": "detect_leaks=0"}


class Libraries:
    def __init__(self, ours):
        self.ours = os.path.abspath(ours)
        self.environment = sanitizer_of(self.ours)

    def events(self, library, capture, options):
        """What the client prints, EXITING events last and sorted, then how it ended."""
        extra = self.environment if library == self.ours else {}
        ran = subprocess.run([PYTHON, "-B", HERE / "client.py", library, str(capture), *options],
                             env={**os.environ, **extra}, capture_output=True, check=False,
                             timeout=TIMEOUT)
        lines = ran.stdout.decode().splitlines()
        exiting = sorted(line for line in lines if " EXITING " in line)
        others = [line for line in lines if " EXITING " not in line]
        return others + exiting + [f"status {ran.returncode}"], ran.stderr.decode()[-2000:]

    def compare(self, capture, options):
        """None, or where the two differ."""
        theirs, _ = self.events(DEBIAN, capture, options)
        mine, said = self.events(self.ours, capture, options)
        if theirs == mine:
            return None
        for number, (a, b) in enumerate(zip(theirs, mine)):
            if a != b:
                return f"event {number}: libnids {a!r}, ours {b!r} {said}"
        return f"{len(theirs)} events of libnids, {len(mine)} of ours {said}"


def compare_all(checks, libraries, work):
    """`work`: (what, capture, options)."""
    with concurrent.futures.ThreadPoolExecutor(2) as pool:
        for (what, _, options), wrong in zip(work, pool.map(
                lambda row: libraries.compare(row[1], row[2]), work)):
            checks.that(wrong is None, f"{what} {' '.join(options)}: {wrong}")


def random_captures(folder, ways):
    for seed, way in enumerate(ways):
        path = os.path.join(folder, f"{seed}.pcap")
        traffic.write(path, seed, 25, wild=False)
        yield f"random capture, seed {seed}", path, way


def repacked(folder):
    """The same packets as other files: other byte order, nanoseconds, other link types."""
    packets = list(traffic.packets(7, 10, wild=False))
    kinds = (("swapped", ">", 0xa1b2c3d4, 1), ("nano", "<", 0xa1b23c4d, 1),
             ("raw", "<", 0xa1b2c3d4, 101), ("cooked", "<", 0xa1b2c3d4, 113),
             ("null", "<", 0xa1b2c3d4, 0), ("unknown", "<", 0xa1b2c3d4, 147))
    for name, order, magic, link in kinds:
        path = os.path.join(folder, name + ".pcap")
        ahead = {101: b"", 113: bytes(14) + b"\10\0", 0: b"\2\0\0\0"}.get(link)
        with open(path, "wb") as out:
            out.write(traffic.file_header(link, order, magic))
            for seconds, micro, frame in packets:
                data = frame if ahead is None else ahead + frame[14:]
                out.write(traffic.record(seconds, micro, data, order))
        yield f"{name} file", path, ["drive=dispatch"]
    whole = pathlib.Path(folder, "nano.pcap").read_bytes()
    for name, cut in (("cut record", 5), ("cut header", len(packets[-1][2]) + 9)):
        path = os.path.join(folder, name + ".pcap")
        pathlib.Path(path).write_bytes(whole[:-cut])
        yield name, path, []
        yield name, path, ["drive=dispatch"]


def real_captures():
    folder = os.environ.get("FLOWLOOM_CAPTURES")
    if not folder:
        return
    for path in sorted(pathlib.Path(folder).glob("*.*cap*")):
        if not path.name.endswith(".json"):
            yield f"real capture {path.name}", str(path), []


def test_hostile(checks, libraries, folder):
    """Fragments contradict each other here, which the two judge differently; ours must go on."""
    for seed in range(3):
        path = os.path.join(folder, f"wild{seed}.pcap")
        traffic.write(path, 1000 + seed, 40)
        for options in (["ip=1"], ["exact=1"], ["exact=1", "discard=keep", "drive=handler"]):
            events, said = libraries.events(libraries.ours, path, options)
            checks.that(events[-1] == "status 0" and len(events) > 50,
                        f"wild capture {seed} {options}: {events[-1]} {said}")


def test_threads(checks, libraries, folder):
    """libnids' own threads show times and headers of other packets: ours are held against one."""
    path = os.path.join(folder, "threads.pcap")
    traffic.write(path, 11, 60, wild=False)
    for options in ([], ["drive=dispatch"], ["drive=next"]):
        alone, _ = libraries.events(libraries.ours, path, options)
        for limit in (1, 20000):
            threads = ["multiproc=1", f"queue_limit={limit}"]
            both, said = libraries.events(libraries.ours, path, options + threads)
            checks.equal(alone, both, f"{options + threads} {said}")


def test_limits(checks, libraries, folder):
    """Numbers of streams that no machine has room for are refused or taken, not the end."""
    path = os.path.join(folder, "0.pcap")
    for streams in (-5, 2_147_483_647):
        events, said = libraries.events(libraries.ours, path, [f"n_tcp_streams={streams}"])
        checks.equal("status 0", events[-1], f"{streams} streams {said}")


def test_interface(checks, libraries):
    text = subprocess.run(["readelf", "-Wd", libraries.ours], capture_output=True, check=True,
                          text=True).stdout
    checks.that(f"soname: [{SONAME}]" in text, "the soname")
    checks.that("librte" not in text, "no part of DPDK is loaded")
    symbols = {}
    for library in (DEBIAN, libraries.ours):
        table = subprocess.run(["readelf", "-W", "--dyn-syms", library], capture_output=True,
                               check=True, text=True).stdout
        rows = [row.split() for row in table.splitlines() if row.count(" DEFAULT ")]
        symbols[library] = {row[7]: (int(row[2]), row[3]) for row in rows if row[6] != "UND"}
    for name, (size, kind) in symbols[DEBIAN].items():
        # What else it exports are functions that it calls itself, with no header of theirs.
        if not name.startswith("nids_") and name != "tcp_procs":
            continue
        if checks.that(name in symbols[libraries.ours], f"{name} is exported"):
            checks.equal(kind, symbols[libraries.ours][name][1], f"kind of {name}")
        if name in DATA_SIZES:
            checks.equal(DATA_SIZES[name], size, f"size of libnids' {name}")
            checks.equal(size, symbols[libraries.ours].get(name, (0,))[0], f"size of {name}")


def main():
    checks = support.Checks()
    libraries = Libraries(sys.argv[1])
    with tempfile.TemporaryDirectory() as folder:
        test_interface(checks, libraries)
        work = [*random_captures(folder, WAYS), *repacked(folder), *real_captures()]
        compare_all(checks, libraries, work)
        test_limits(checks, libraries, folder)
        test_threads(checks, libraries, folder)
        test_hostile(checks, libraries, folder)
    checks.finish()


if __name__ == "__main__":
    main()
