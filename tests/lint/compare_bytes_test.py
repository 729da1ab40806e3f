"""compare_bytes.py counts what is right, wrong and missing, and reads what the tools write."""

import unittest

import support  # noqa: F401 (makes the scripts importable)
from compare_bytes import EMPTY, Score, Stream, Tcpflow, Tshark, score, sha256

ENDS = ("10.0.0.1:1", "10.0.0.2:80")


def stream(*contents, gaps=False, ends=ENDS):
    return Stream(ends, len(contents[0]), {sha256(c) for c in contents}, gaps)


class Scores(unittest.TestCase):
    def test_right_wrong_and_missing(self):
        expected = [stream(b"one"), stream(b"two"), stream(b"three")]
        found = [(ENDS, sha256(b"two")), (ENDS, sha256(b"other"))]
        self.assertEqual(score(expected, found)[0], Score(1, 1, 1))

    def test_other_end_points_do_not_count(self):
        self.assertEqual(score([stream(b"one")], [(ENDS[::-1], sha256(b"one"))])[0],
                         Score(0, 0, 1))

    def test_the_same_bytes_twice_are_needed_twice(self):
        self.assertEqual(score([stream(b"a"), stream(b"a")], [(ENDS, sha256(b"a"))])[0],
                         Score(1, 0, 1))

    def test_gaps_are_counted_apart(self):
        self.assertEqual(score([stream(b"one", gaps=True)], [(ENDS, sha256(b"one"))]),
                         (Score(0, 0, 0), Score(1, 0, 0)))

    def test_dropping_all_is_right_where_all_checksums_are_wrong(self):
        dropped = Stream(ENDS, 3, {sha256(b"one"), EMPTY}, False)
        self.assertEqual(score([dropped], [])[0], Score(1, 0, 0))
        self.assertEqual(score([dropped], [(ENDS, sha256(b"two"))])[0], Score(0, 1, 0))


class Outputs(unittest.TestCase):
    def test_names_of_tcpflow(self):
        tool = Tcpflow(None)
        self.assertEqual(tool.ends("010.000.000.001.00001-010.000.000.002.00080"), ENDS)
        self.assertEqual(tool.ends("010.000.000.001.00001-010.000.000.002.00080c1"), ENDS)
        self.assertEqual(tool.ends("2001:0db8::0001.00001-2001:0db8::0002.00080"),
                         ("[2001:db8::1]:1", "[2001:db8::2]:80"))
        self.assertIsNone(tool.ends("report.xml"))

    def test_a_followed_stream_without_its_gap_marker(self):
        marker = b"[5 bytes missing in capture file]\0".hex().encode()
        output = b"\n".join([b"===", b"Follow: tcp,raw", b"Filter: tcp.stream eq 0",
                             b"Node 0: 10.0.0.1:1", b"Node 1: 10.0.0.2:80", b"6162",
                             b"\t78", marker, b"63", b"==="])
        self.assertEqual(list(Tshark(None).parsed(output)),
                         [(ENDS, sha256(b"abc")), (ENDS[::-1], sha256(b"x"))])


if __name__ == "__main__":
    unittest.main()
