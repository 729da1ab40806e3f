"""A header that leans on its includer must be refused."""

import os
import shutil
import tempfile
import unittest

import support  # noqa: F401 (makes the scripts importable)
import check_headers

MESON = "rooms = [\n  ['base', [], []],\n  ['net', ['base'], []],\n]\n"
COMPILER = os.environ.get("CXX", "g++").split()


class Headers(unittest.TestCase):
    def setUp(self):
        self.root = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.root)
        self.write("lib/meson.build", MESON)

    def write(self, path, text):
        full = os.path.join(self.root, path)
        os.makedirs(os.path.dirname(full), exist_ok=True)
        with open(full, "w", encoding="ascii") as out:
            out.write(text)

    def complaints(self):
        return check_headers.check(self.root, check_headers.headers(self.root), COMPILER, 1)

    def test_headers_that_include_what_they_use(self):
        self.write("lib/base/a.hpp", "#pragma once\n#include <vector>\nstd::vector<int> f();\n")
        self.write("lib/net/b.hpp", '#pragma once\n#include "base/a.hpp"\ninline int g();\n'
                                    "inline int g() { return 1; }\n")
        self.assertEqual(self.complaints(), (2, []))

    def test_a_header_that_does_not(self):
        self.write("lib/base/a.hpp", "#pragma once\nstd::vector<int> f();\n")
        count, complaints = self.complaints()
        self.assertEqual((count, len(complaints)), (1, 1))
        self.assertIn("lib/base/a.hpp does not compile alone", complaints[0])

    def test_a_room_has_the_packages_of_the_rooms_below_it(self):
        rooms = {"base": (set(), {"fmt"}), "io": ({"base"}, {"pcap"})}
        self.assertEqual(check_headers.packages_of("io", rooms), ["fmt", "pcap"])


if __name__ == "__main__":
    unittest.main()
