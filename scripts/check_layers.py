#!/usr/bin/env python3
"""Holds every #include to the architecture: the rows of lib/meson.build, and the few files that
may see DPDK, libpcap and oneTBB.

usage: check_layers.py [ROOT]        exit status 1 and one line per violation
"""

import ast
import os
import re
import sys

INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]')
ROOMS = re.compile(r"^rooms = (\[.*?^\])", re.MULTILINE | re.DOTALL)

# Headers of a package: its name in lib/meson.build, how its headers look, and the files of lib and
# app that may include them (None: every file of a room whose row names the package).
PACKAGES = [
    (("dpdk", "dpdk_ring"), r"rte_\w+\.h|ethdev_\w+\.h|bus_\w+\.h",
     r"lib/io/ethdev_[^/]*|lib/export/.*|lib/runtime/.*|lib/observe/telemetry.*"),
    (("cap_ng",), r"cap-ng\.h", r"lib/host/confinement.*"),
    (("prometheus",), r"prometheus/.*", r"lib/observe/metrics.*"),
    (("pcap",), r"pcap\.h|pcap/.*|pcap-bpf\.h",
     r"lib/io/(capture_|kernel_|bpf_filter)[^/]*|lib/compat/.*"),
    (("tbb",), r"tbb/.*|oneapi/tbb.*", r"lib/sinks/.*"),
    (("archive",), r"archive(_entry)?\.h", None),
    (("crypto",), r"openssl/.*", None),
    (("fmt",), r"fmt/.*", None),
    (("spdlog",), r"spdlog/.*", None),
    (("rapidjson",), r"rapidjson/.*", None),
    (("pybind11",), r"pybind11/.*", None),
]

# Only the commands parse arguments.
APP_ONLY = r"CLI/.*"


def rooms_of(meson_text):
    """room -> (rooms it may include, packages it may use), from the text of lib/meson.build."""
    found = ROOMS.search(meson_text)
    if not found:
        raise SystemExit("check_layers: lib/meson.build has no list `rooms`")
    without_comments = re.sub(r"#[^\n]*", "", found[1])
    return {name: (set(below), set(packages))
            for name, below, packages in ast.literal_eval(without_comments)}


def order_errors(rooms):
    """The list is in order of dependence: a row names only rooms above it."""
    seen = set()
    for name, (below, _) in rooms.items():
        for other in sorted(below - seen):
            yield f"lib/meson.build: room '{name}' stands on '{other}', which is not above it"
        seen.add(name)


def room_error(path, header, rooms):
    """What is wrong with `#include "header"` in `path`, or None."""
    parts = header.split("/")
    if ".." in parts or "." in parts:
        return f'"{header}": name the room, as in "tcp/tcb.hpp"'
    in_app = path.startswith("app/")
    if len(parts) == 1:
        return None if in_app else f'"{header}": name the room, as in "tcp/tcb.hpp"'
    if in_app and header.startswith("perf/traffic/"):
        return None  # the bench command's traffic
    if parts[0] not in rooms:
        return f'"{header}": lib/meson.build knows no room \'{parts[0]}\''
    if in_app:
        return None
    room = path.split("/")[1]
    if parts[0] != room and parts[0] not in rooms[room][0]:
        return f'"{header}": \'{room}\' must not include \'{parts[0]}\''
    return None


def package_error(path, header, rooms):
    """What is wrong with including a header of a library in `path`, or None."""
    in_app = path.startswith("app/")
    if re.fullmatch(APP_ONLY, header):
        return None if in_app else f"<{header}>: only app parses arguments"
    for names, headers, files in PACKAGES:
        if not re.fullmatch(headers, header):
            continue
        if files and not re.fullmatch(files, path):
            return f"<{header}>: {names[0]} is not for this file"
        if not in_app and not rooms[path.split("/")[1]][1] & set(names):
            return f"<{header}>: the room's row in lib/meson.build does not name {names[0]}"
    return None


def file_errors(path, text, rooms):
    """Violations of one file; `path` is relative to the root and begins with lib/ROOM/ or app/."""
    if path.startswith("lib/") and path.split("/")[1] not in rooms:
        yield f"{path}: lib/meson.build knows no room '{path.split('/')[1]}'"
        return
    for number, line in enumerate(text.splitlines(), 1):
        found = INCLUDE.match(line)
        if not found:
            continue
        error = package_error(path, found[2], rooms)
        if error is None and found[1] == '"':
            error = room_error(path, found[2], rooms)
        if error:
            yield f"{path}:{number}: {error}"


def sources(root):
    for top in ("lib", "app"):
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            relative = os.path.relpath(folder, root)
            for name in sorted(names):
                # Files directly under lib/ belong to no room.
                if name.endswith((".hpp", ".cpp", ".h", ".c")) and relative != "lib":
                    yield os.path.join(relative, name)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    with open(os.path.join(root, "lib", "meson.build"), encoding="utf-8") as source:
        rooms = rooms_of(source.read())
    errors = list(order_errors(rooms))
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as source:
            errors += file_errors(path, source.read(), rooms)
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
