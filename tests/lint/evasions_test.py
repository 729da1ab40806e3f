"""scripts/evasions.py finds cases that do not exist, tests that are not there, and says what a
script expects."""

import pathlib
import unittest

import support  # noqa: F401  (the path of the scripts)
import evasions

CASES = evasions.cases_of("# comment\nA01 plain\nA02 resent *\nB01 wrap\n")
SCRIPT = ("# case: A01 B01\nhandshake\n=> data > 0 \"x\"\n=> gap > 4 4 capture-loss\n"
          "=> state SF\n=> close fin\n=> #2 anomaly keep_alive 1\n=> fate late 4\n")


class EvasionsTest(unittest.TestCase):
    def test_cases_have_names_and_stars(self):
        self.assertEqual(CASES, {"A01": ("plain", False), "A02": ("resent", True),
                                 "B01": ("wrap", False)})

    def test_a_script_plays_the_cases_it_names(self):
        rows = list(evasions.rows_of_script(pathlib.Path("x.seg"), evasions.SCRIPTS, SCRIPT))
        self.assertEqual([row.case for row in rows], ["A01", "B01"])
        self.assertFalse(rows[0].waits)

    def test_a_script_without_a_case_has_no_row(self):
        rows = evasions.rows_of_script(pathlib.Path("x.seg"), evasions.SCRIPTS, "handshake\n")
        self.assertEqual(list(rows), [])

    def test_expectation_is_read_from_the_script(self):
        self.assertEqual(evasions.expectation(SCRIPT),
                         "> `x`, SF, gap 4+4 capture-loss, keep_alive, late 4")
        self.assertEqual(evasions.expectation("=> connections 2\n=> close rst\n"),
                         "2 connections, rst")
        self.assertEqual(evasions.expectation("=> bytes < \"x|\"\n=> bytes > fill 7\n"),
                         "> `(7 bytes)`, < `x\\|`")

    def test_other_tests_are_named_by_the_line_before(self):
        text = "// case: A02\nTEST_F(Group, Name) {\n    # case: B01\n    def test_it(self):\n"
        rows = list(evasions.rows_of_source(pathlib.Path("t.cpp"), text))
        self.assertEqual([row.case for row in rows], ["A02", "B01"])
        self.assertIn("`Group.Name`", rows[0].test)
        self.assertIn("`test_it`", rows[1].test)

    def test_a_case_line_without_a_test_is_refused(self):
        with self.assertRaises(ValueError):
            list(evasions.rows_of_source(pathlib.Path("t.cpp"), "// case: A02\nint x;\n"))

    def test_an_unknown_case_is_a_mistake(self):
        row = evasions.Row("Z99", "x", "", False)
        self.assertEqual(list(evasions.mistakes(CASES, [row])), ["x: there is no case Z99"])

    def test_an_adopted_script_loses_its_mark(self):
        self.assertEqual(evasions.adopted("# case: A01\n# today: no\n# why\n> S 0:0(0)\n"),
                         "# case: A01\n# why\n> S 0:0(0)\n")

    def test_the_page_counts(self):
        rows = [evasions.Row("A01", "[x](x.seg)", "SF", False),
                evasions.Row("A02", "[y](y.seg)", "SF", True)]
        page = evasions.page_of(CASES, rows)
        self.assertIn("2 of 2 cases have a test; of 1 every script waits.", page)
        self.assertIn("| **A02** | resent | [y](y.seg) (*waits*) | SF |", page)
        self.assertIn("| B01 | wrap | none yet | |", page)
        self.assertIn("2 of 3 cases have a test, in 2 scripts", page)


if __name__ == "__main__":
    unittest.main()
