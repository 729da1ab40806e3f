"""The gate refuses what costs more than it may, and what nobody has committed to."""
import unittest

import support  # noqa: F401 (makes the scripts importable)
from instruction_gate import instructions_in, judge


class InstructionGateTest(unittest.TestCase):
    def test_reads_the_total(self):
        self.assertEqual(instructions_in("==7== Events    : Ir\n==7== Collected : 1234\n"), 1234)
        with self.assertRaises(SystemExit):
            instructions_in("valgrind: no such program")

    def test_within_the_tolerance_is_good(self):
        rows, complaints = judge({"many": 1029.0}, {"many": 1000}, tolerance=0.03)
        self.assertEqual([], complaints)
        self.assertEqual(1000, rows[0].allowed)

    def test_fewer_are_good(self):
        self.assertEqual([], judge({"many": 500.0}, {"many": 1000})[1])

    def test_above_it_is_refused(self):
        _, complaints = judge({"many": 1031.0, "bulk": 10.0}, {"many": 1000, "bulk": 10},
                              tolerance=0.03)
        self.assertEqual(1, len(complaints))
        self.assertIn("many", complaints[0])

    def test_without_a_committed_count_is_refused(self):
        self.assertEqual(1, len(judge({"many": 1.0}, {})[1]))


if __name__ == "__main__":
    unittest.main()
