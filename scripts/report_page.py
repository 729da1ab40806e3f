"""Tables between marks of a page: what scripts measure, written where people read it."""
import pathlib
import sys


def replace_blocks(path, prefix, blocks):
    """Puts each block between `<!-- PREFIX NAME -->` and the next `<!-- end -->`."""
    text = pathlib.Path(path).read_text(encoding="utf-8")
    for name, content in blocks:
        begin, end = f"<!-- {prefix} {name} -->\n", "<!-- end -->"
        head, _, rest = text.partition(begin)
        if not rest:
            sys.exit(f"{path}: no mark {begin.strip()}")
        text = head + begin + content + "\n" + end + rest.partition(end)[2]
    pathlib.Path(path).write_text(text, encoding="utf-8")


def markdown_table(header, rows, left=1):
    """`left` columns are text, the others numbers."""
    marks = ["---"] * left + ["---:"] * (len(header) - left)
    lines = [header, marks, *rows]
    return "\n".join("| " + " | ".join(str(cell) for cell in line) + " |" for line in lines)
