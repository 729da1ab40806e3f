"""The pages that lead a reader through the code stay true: every `file:function` that they name
exists, and every relative link of the documentation leads somewhere."""

import re
import unittest

import support

PAGES = ("docs/DATAPATH.md", "docs/ARCHITECTURE.md")
REFERENCE = re.compile(r"`((?:lib|app|perf|scripts|tests)/[\w./-]+\.(?:hpp|cpp|py)):([\w:~]+)`")
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
# Without comments a name that is only talked about does not count.
COMMENT = re.compile(r"//[^\n]*|/\*.*?\*/|^\s*#[^\n]*", re.DOTALL | re.MULTILINE)
MINIMUM = 30  # fewer references would mean that the pattern has gone blind


def broken_reference(root, path, name):
    """What is wrong with `path:name`, or None. A name is a function or a type, as written there:
    `Shard::track` is found as a definition of that class or a declaration within it."""
    source = root / path
    if not source.is_file():
        return f"{path} does not exist"
    code = COMMENT.sub("", source.read_text(encoding="utf-8"))
    last = name.split("::")[-1]
    if not re.search(rf"(?<![\w.>])(?:\w+(?:<\w+>)?::)*{re.escape(last)}\s*(?:\(|\{{|final|:|=)",
                     code):
        return f"{path} has no {name}"
    for outer in name.split("::")[:-1]:
        if not re.search(rf"\b{re.escape(outer)}\b", code):
            return f"{path} has no {outer}"
    return None


def broken_links(folder, text):
    """Targets of relative links in a page of `folder` that do not exist."""
    for target in LINK.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        if re.match(r"[a-z]+:|#", target):
            continue
        if not (folder / target.split("#")[0]).exists():
            yield target


class DataPathTest(unittest.TestCase):
    def test_every_function_exists(self):
        for page in PAGES:
            text = (support.ROOT / page).read_text(encoding="utf-8")
            for path, name in REFERENCE.findall(text):
                with self.subTest(page=page, reference=f"{path}:{name}"):
                    self.assertIsNone(broken_reference(support.ROOT, path, name))

    def test_the_pages_name_functions_at_all(self):
        text = "".join((support.ROOT / page).read_text(encoding="utf-8") for page in PAGES)
        self.assertGreaterEqual(len(set(REFERENCE.findall(text))), MINIMUM)

    def test_it_refuses_what_does_not_exist(self):
        refused = [("lib/pipeline/nothing.cpp", "Shard::track"),
                   ("lib/pipeline/shard.cpp", "Shard::not_a_function"),
                   ("lib/pipeline/shard.cpp", "NoSuchClass::track")]
        for path, name in refused:
            self.assertIsNotNone(broken_reference(support.ROOT, path, name))
        self.assertIsNone(broken_reference(support.ROOT, "lib/pipeline/shard.cpp", "Shard::track"))

    def test_links_lead_somewhere(self):
        pages = [p for p in support.ROOT.glob("*.md")]
        for folder in ("docs", "lib", "perf", "samples"):
            pages += support.ROOT.glob(f"{folder}/**/*.md")
        for page in pages:
            with self.subTest(page=str(page)):
                text = page.read_text(encoding="utf-8")
                self.assertEqual(list(broken_links(page.parent, text)), [])

    def test_it_refuses_a_dead_link(self):
        text = "[a](README.md) [b](nowhere.md#c) [d](https://example.org) ```[e](f.md)```"
        self.assertEqual(list(broken_links(support.ROOT, text)), ["nowhere.md#c"])


if __name__ == "__main__":
    unittest.main()
