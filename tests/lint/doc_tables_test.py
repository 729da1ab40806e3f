"""scripts/doc_tables.py finds tables that differ, that nothing prints, and that no page has."""

import unittest

import support  # noqa: F401  (the path of the scripts)
import doc_tables

PRINTED = "== one\n| a |\n== two\nx, y\n"


def page(name, content):
    return f"text\n<!-- table {name} -->\n{content}<!-- end -->\nmore\n"


class DocTablesTest(unittest.TestCase):
    def setUp(self):
        self.tables = doc_tables.tables_of(PRINTED)

    def test_blocks_are_told_apart(self):
        self.assertEqual(self.tables, {"one": "| a |\n", "two": "x, y\n"})

    def test_equal_is_silent(self):
        self.assertEqual(list(doc_tables.differences("p", page("one", "| a |\n"), self.tables)), [])

    def test_a_difference_is_named(self):
        found = list(doc_tables.differences("p", page("one", "| b |\n"), self.tables))
        self.assertEqual(found, ["p: the table 'one' is not what the code says"])

    def test_an_unknown_table_is_named(self):
        found = list(doc_tables.differences("p", page("three", ""), self.tables))
        self.assertEqual(found, ["p: nothing prints the table 'three'"])

    def test_a_table_without_a_page_is_named(self):
        self.assertEqual(list(doc_tables.missing({"one"}, self.tables)),
                         ["no page contains the table 'two'"])

    def test_update_touches_only_the_block(self):
        old = page("two", "old\n")
        self.assertEqual(doc_tables.updated(old, self.tables), page("two", "x, y\n"))


if __name__ == "__main__":
    unittest.main()
