"""bench_compare.py fails for what is certainly slower, and for nothing else."""

import unittest

import support  # noqa: F401 (makes the scripts importable)
import bench_compare

STEADY = [100.0, 100.1, 99.9, 100.0, 100.2, 99.8, 100.0, 100.1, 99.9, 100.0]


def scaled(factor, values=STEADY):
    return {"decode": [value * factor for value in values]}


def bad(base, new, **options):
    return bench_compare.compare(base, new, **options)[1]


class Compare(unittest.TestCase):
    def test_equal_runs(self):
        self.assertEqual(bad(scaled(1), scaled(1)), 0)

    def test_within_three_percent(self):
        self.assertEqual(bad(scaled(1), scaled(1.029)), 0)

    def test_beyond_three_percent_and_three_mad(self):
        self.assertEqual(bad(scaled(1), scaled(1.04)), 1)

    def test_faster_is_no_failure(self):
        lines, count = bench_compare.compare(scaled(1), scaled(0.5))
        self.assertEqual(count, 0)
        self.assertTrue(lines[0].startswith("faster"))

    def test_noise_of_either_run_forgives(self):
        noisy = [100.0, 92.0, 108.0, 95.0, 105.0, 100.0, 91.0, 109.0, 94.0, 106.0]
        self.assertEqual(bad({"decode": noisy}, scaled(1.06)), 0)
        self.assertEqual(bad(scaled(1), scaled(1.06, noisy)), 0)
        self.assertEqual(bad({"decode": noisy}, scaled(1.5)), 1)

    def test_one_outlier_does_not_matter(self):
        outlier = {"decode": STEADY[:-1] + [1000.0]}
        self.assertEqual(bad(scaled(1), outlier), 0)
        self.assertEqual(bad(outlier, scaled(1.04)), 1)

    def test_a_benchmark_does_not_vanish_unnoticed(self):
        self.assertEqual(bad(scaled(1), {}), 1)
        self.assertEqual(bad(scaled(1), {}, allow_missing=True), 0)
        self.assertEqual(bad({}, scaled(1)), 0)

    def test_too_few_repetitions(self):
        with self.assertRaises(bench_compare.NotComparable):
            bench_compare.compare({"decode": [1.0]}, {"decode": [1.0]})


class Reports(unittest.TestCase):
    def test_repetitions_are_grouped_aggregates_left_out_units_converted(self):
        rows = [{"name": "a/8", "run_name": "a/8", "run_type": "iteration", "cpu_time": 2.0,
                 "time_unit": "us"},
                {"name": "a/8", "run_name": "a/8", "run_type": "iteration", "cpu_time": 3.0,
                 "time_unit": "us"},
                {"name": "a/8_median", "run_name": "a/8", "run_type": "aggregate",
                 "cpu_time": 2.5, "time_unit": "us"}]
        self.assertEqual(bench_compare.times_of({"benchmarks": rows}), {"a/8": [2000.0, 3000.0]})

    def test_a_failed_benchmark_and_an_empty_report(self):
        failed = {"name": "a", "error_occurred": True, "error_message": "no memory",
                  "cpu_time": 0.0, "time_unit": "ns"}
        for rows in ([failed], []):
            with self.assertRaises(bench_compare.NotComparable):
                bench_compare.times_of({"benchmarks": rows})


if __name__ == "__main__":
    unittest.main()
