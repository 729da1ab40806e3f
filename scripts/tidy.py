#!/usr/bin/env python3
"""Holds the sources to what the house style says in numbers and in banned words.

usage: tidy.py [ROOT]        exit status 1 and one line per violation

Checked: functions of at most 70 lines, lines of at most 100 columns, files of at most 600 lines,
ASCII, and the words below. Functions are found by their braces, not by a compiler: good enough to
measure them, and it needs nothing installed.
"""

import ast
import os
import re
import sys

FUNCTION_LINES_MAX = 70
LINE_COLUMNS_MAX = 100
FILE_LINES_MAX = 600

FOLDERS = ("app", "lib", "perf", "scripts", "tests", "docs", "samples", ".ci")
CPP = (".cpp", ".hpp", ".h", ".c", ".cc")
SOURCES = CPP + (".def", ".py", ".sh", ".build")
# A row of a table stays on its line, however long its sentence.
NO_COLUMN_LIMIT = (".def",)

HOT = r"lib/(net|ip|flow|tcp|pipeline)/.*"
# Pattern in code (comments and strings are blank), files it is banned in, files it is allowed in.
BANNED_CODE = [
    (r"\b(?:std::)?s?rand\s*\(", r".*", r"", "rand(: take a seeded generator"),
    (r"\bstd::function\b", HOT, r"", "std::function on the data path"),
    (r"\bstd::(shared_ptr|make_shared)\b", HOT, r"", "std::shared_ptr on the data path"),
    # Literals have no other name that anybody could read.
    (r"\busing\s+namespace\b(?!\s+std::(\w+::)*\w*literals\b)", r".*", r"", "using namespace"),
    (r"\b\w*printf\s*\(", r"lib/.*", r"lib/base/check\.cpp",
     "printf(: libraries do not print, text is made by fmt"),
    (r"\bstd::(cout|cerr|clog)\b", r"lib/.*", r"", "libraries do not print"),
    (r"\bGTEST_SKIP\b|\bDISABLED_\w+", r"tests/.*", r"", "a test that does not run"),
]
BANNED_TEXT = [("FIX" "ME", "use TODO(name): reason")]


def blank(match):
    return re.sub(r"[^\n]", " ", match[0])


TOKENS = re.compile(
    r'R"(?P<mark>[^()\\ \n]{0,16})\((?:.|\n)*?\)(?P=mark)"'  # raw string
    r"|//(?:\\\n|[^\n])*"                                    # comments
    r"|/\*(?:.|\n)*?\*/"
    r'|"(?:\\.|[^"\\\n])*"'                                  # string
    r"|(?<![0-9A-Fa-f])'(?:\\.|[^'\\\n])+'")                 # character, not a digit separator


def code_of(text):
    """The text of a C++ file with comments and literals blanked; same lines, same columns."""
    return TOKENS.sub(blank, text)


PREPROCESSOR = re.compile(r"^[ \t]*#(?:\\\n|[^\n])*", re.MULTILINE)
CONTAINER = re.compile(r"\b(namespace|class|struct|union|enum|extern)\b")
NO_FUNCTION = re.compile(r"=\s*[\w:<>,\s()*+-]*$")
# `C(int a) : x_(a), y_{` begins a member's value; the constructor's body comes later.
MEMBER_VALUE = re.compile(r"\)[^;]*?(?:(?<!:):(?!:)|,)\s*[\w:]+(?:<[^{}]*>)?\s*$")


def opens_function(head):
    """Whether the brace after `head` (the text since the last statement) opens a body."""
    if "(" not in head:
        return False
    flat = re.sub(r"\b(alignas|noexcept|decltype|requires|__attribute__)\s*\([^()]*\)", " ", head)
    if CONTAINER.search(flat.split("(")[0]) and not re.search(r"\)\s*(const|noexcept|->|:|$)",
                                                             flat.strip()):
        return False
    # `T x = f(...){` begins a value, not a body; a lambda after `=` and `operator=` are bodies.
    assigned = re.sub(r"operator\s*[=<>!+*/%&|^-]+", "", flat)
    if "](" not in assigned.replace(" ", "") and NO_FUNCTION.search(assigned):
        return False
    return "(" in flat


def kind_of_brace(head, outer):
    """What the brace after `head` opens, inside the braces `outer` (innermost last)."""
    if outer and outer[-1] in ("value", "body"):
        return outer[-1]
    if MEMBER_VALUE.search(head):
        return "value"
    return "body" if opens_function(head) else "scope"


def functions(text):
    """Yields (head, first line, lines) of each function of a C++ file."""
    code = PREPROCESSOR.sub(blank, code_of(text))
    outer = []
    head_start = 0  # just behind the last statement or block
    body_start = 0
    for found in re.finditer(r"[{};]", code):
        at = found.start()
        if found[0] == "{":
            head = code[head_start:at]
            outer.append(kind_of_brace(head, outer))
            if outer[-1] == "body" and "body" not in outer[:-1]:
                body_start = head_start + len(head) - len(head.lstrip())
            if outer[-1] == "value":
                continue
        elif found[0] == "}" and outer:
            kind = outer.pop()
            if kind == "value":
                continue
            if kind == "body" and "body" not in outer:
                first = code.count("\n", 0, body_start) + 1
                name = " ".join(code[body_start:code.index("{", body_start)].split())
                yield name, first, code.count("\n", 0, at) + 2 - first
        head_start = at + 1


def python_functions(text):
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node.name, node.lineno, node.end_lineno - node.lineno + 1


def size_errors(path, text):
    lines = text.split("\n")
    if text.endswith("\n"):
        lines.pop()
    if len(lines) > FILE_LINES_MAX:
        yield f"{path}: {len(lines)} lines (at most {FILE_LINES_MAX})"
    by_hand = False
    for number, line in enumerate(lines, 1):
        # A table laid out by hand may be as wide as its columns are.
        by_hand = "clang-format off" in line or (by_hand and "clang-format on" not in line)
        limited = not by_hand and not path.endswith(NO_COLUMN_LIMIT)
        if limited and len(line) > LINE_COLUMNS_MAX:
            yield f"{path}:{number}: {len(line)} columns (at most {LINE_COLUMNS_MAX})"
        if not line.isascii():
            yield f"{path}:{number}: not ASCII: {ascii(line.strip())}"
    measured = ()
    if path.endswith(CPP):
        measured = functions(text)
    elif path.endswith(".py"):
        measured = python_functions(text)
    for name, first, count in measured:
        if count > FUNCTION_LINES_MAX:
            yield (f"{path}:{first}: a function of {count} lines "
                   f"(at most {FUNCTION_LINES_MAX}): {name[:60]}")


def word_errors(path, text):
    for word, advice in BANNED_TEXT:
        for number, line in enumerate(text.split("\n"), 1):
            if word in line:
                yield f"{path}:{number}: {word}: {advice}"
    if not path.endswith(CPP):
        return
    for number, line in enumerate(code_of(text).split("\n"), 1):
        for pattern, banned, allowed, advice in BANNED_CODE:
            if not re.fullmatch(banned, path) or (allowed and re.fullmatch(allowed, path)):
                continue
            if re.search(pattern, line):
                yield f"{path}:{number}: {advice}"


def file_errors(path, text):
    """Violations of one file; `path` is relative to the root."""
    yield from size_errors(path, text)
    yield from word_errors(path, text)


def sources(root):
    yield from (name for name in ("meson.build",) if os.path.exists(os.path.join(root, name)))
    for top in FOLDERS:
        for folder, _, names in sorted(os.walk(os.path.join(root, top))):
            for name in sorted(names):
                if name.endswith(SOURCES):
                    yield os.path.relpath(os.path.join(folder, name), root)


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else "."
    errors = []
    for path in sources(root):
        with open(os.path.join(root, path), encoding="utf-8") as source:
            errors += file_errors(path, source.read())
    for error in errors:
        print(error)
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
