"""scripts/museum.py reads the expected bytes out of a script."""

import unittest

import support  # noqa: F401  (the path of the scripts)
import evasions
import museum

SCRIPT = r"""
=> data > 0 "ab"
=> gap > 2 2 capture-loss
=> data > 4 "c\x00\n"
=> bytes < fill 3
=> #2 data > 0 "z"
=> state SF
"""


class MuseumTest(unittest.TestCase):
    def test_bytes_of_every_connection_and_side(self):
        self.assertEqual(museum.expected(SCRIPT), [("<", b"\x65\x66\x67"), (">", b"abc\x00\n"),
                                                   (">", b"z")])

    def test_sides_are_told_by_port(self):
        self.assertEqual((museum.side_of("00080"), museum.side_of("40000")), ("<", ">"))

    def test_page_counts_and_lists_who_is_wrong(self):
        class Tool:
            name = "tool"
        scripts = {"right": (["A01"], []), "wrong": (["A03"], []), "star": (["A02"], [])}
        results = {"right": {"tool": True}, "wrong": {"tool": False}, "star": {"tool": True}}
        page = museum.page_of([Tool()], scripts, results, {"A02"})
        self.assertIn("| A. Handshake | 3 | 2 |", page)
        self.assertIn("| wrong (A03) | **no** |", page)
        self.assertIn("| star (A02) | yes |", page)
        self.assertNotIn("| right (A01)", page)

    def test_scripts_with_settings_are_left_out(self):
        scripts = museum.scripts_to_play(evasions.ROOT)
        self.assertIn("hs_plain", scripts)
        self.assertNotIn("depth_reached", scripts)


if __name__ == "__main__":
    unittest.main()
