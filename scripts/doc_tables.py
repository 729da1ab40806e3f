#!/usr/bin/env python3
"""Holds the tables of the documentation to the code: a program prints them, the pages contain them.

usage: doc_tables.py --check PROGRAM     exit status 1 and one line per table that differs
       doc_tables.py --update PROGRAM    rewrites the pages

PROGRAM prints blocks that begin with "== NAME". A page has a block between the lines
<!-- table NAME --> and <!-- end -->.
"""

import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[1]
BLOCK = re.compile(r"<!-- table ([\w-]+) -->\n(.*?)<!-- end -->", re.DOTALL)


def tables_of(text):
    """NAME -> lines of each block that the program printed."""
    parts = re.split(r"^== (.*)\n", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2]))


def differences(page, text, tables):
    """Yields a sentence for each block of a page that is unknown or not as printed."""
    for found in BLOCK.finditer(text):
        name, content = found[1], found[2]
        if name not in tables:
            yield f"{page}: nothing prints the table '{name}'"
        elif content != tables[name]:
            yield f"{page}: the table '{name}' is not what the code says"


def updated(text, tables):
    def block(found):
        content = tables.get(found[1], found[2])
        return f"<!-- table {found[1]} -->\n{content}<!-- end -->"
    return BLOCK.sub(block, text)


def missing(used, tables):
    for name in sorted(set(tables) - used):
        yield f"no page contains the table '{name}'"


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in ("--check", "--update"):
        print(__doc__, file=sys.stderr)
        return 1
    tables = tables_of(subprocess.run([sys.argv[2]], capture_output=True, text=True,
                                      check=True).stdout)
    errors, used = [], set()
    for page in sorted(ROOT.glob("docs/**/*.md")):
        text = page.read_text(encoding="utf-8")
        if sys.argv[1] == "--update":
            new = updated(text, tables)
            if new != text:
                page.write_text(new, encoding="utf-8")
                text = new
        used |= {found[1] for found in BLOCK.finditer(text)}
        errors += differences(page.relative_to(ROOT), text, tables)
    errors += missing(used, tables)
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
