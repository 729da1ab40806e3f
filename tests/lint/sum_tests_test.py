"""No failure may get lost between meson's logs and the last line of scripts/test.sh."""

import json
import unittest
import xml.etree.ElementTree as ElementTree

import support  # noqa: F401 (makes the scripts importable)
import sum_tests

JUNIT = """<testsuites>
 <testsuite name="flowloom.net_test.SeqNum">
  <testcase name="Wraps" status="run"/>
  <testcase name="Orders" status="run"><failure message="no"/></testcase>
  <testcase name="Later" status="notrun"/>
 </testsuite>
 <testsuite name="flowloom.tcp_test.Tcb"><testcase name="Opens" status="run"/></testsuite>
 <testsuite name="flowloom"><testcase name="check_layers"/></testsuite>
</testsuites>"""

# What meson writes of a program that died before it reported.
CRASHED = """<testsuites><testsuite name="flowloom">
 <testcase name="flowloom:unit / net_test"><failure/></testcase>
</testsuite></testsuites>"""


def result(name, word):
    return json.dumps({"name": f"flowloom:unit / {name}", "result": word}) + "\n"


class Sum(unittest.TestCase):
    def sum_of(self, *lines):
        return sum_tests.sum_of(ElementTree.ElementTree(ElementTree.fromstring(JUNIT)), lines)

    def test_cases_and_plain_tests_count_one_each(self):
        passed, failed, skipped = self.sum_of(
            result("net_test", "FAIL"), result("tcp_test", "OK"), result("check_layers", "OK"))
        self.assertEqual((passed, skipped), (3, 1))
        self.assertEqual(failed, ["flowloom.net_test.SeqNum.Orders"])

    def test_a_program_that_fails_after_its_last_case_counts(self):
        for word in ("FAIL", "ERROR", "TIMEOUT", "INTERRUPT"):
            failed = self.sum_of(result("net_test", "FAIL"), result("tcp_test", word))[1]
            self.assertEqual(len(failed), 2, word)

    def test_a_program_that_crashed_counts_once(self):
        crashed = ElementTree.ElementTree(ElementTree.fromstring(CRASHED))
        self.assertEqual(len(sum_tests.sum_of(crashed, [result("net_test", "FAIL")])[1]), 1)

    def test_a_run_without_logs_is_a_failure(self):
        passed, failed, _ = sum_tests.read("/nowhere")
        self.assertEqual((passed, len(failed)), (0, 1))


if __name__ == "__main__":
    unittest.main()
