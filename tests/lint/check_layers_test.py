"""A bad #include must be refused, a good one must not."""

import unittest

import support  # noqa: F401 (makes the scripts importable)
import check_layers

MESON = """
rooms = [
  ['base', [], []],  # a comment with ] in it
  ['net', ['base'], []],
  ['flow', ['net', 'base'], []],
  ['tcp', ['net', 'base'], []],
  ['export', ['net', 'base'], ['dpdk_ring']],
  ['io', ['net', 'base'],
    ['pcap', 'dpdk', 'fmt']],
  ['runtime', ['io', 'export', 'net', 'base'], ['dpdk']],
  ['sinks', ['export', 'net', 'base'], ['tbb', 'fmt']],
]
outside = {'dpdk': 1}
"""
ROOMS = check_layers.rooms_of(MESON)


def errors(path, *lines):
    return list(check_layers.file_errors(path, "\n".join(lines) + "\n", ROOMS))


class Rooms(unittest.TestCase):
    def test_rows_are_read_with_comments_and_line_breaks(self):
        self.assertEqual(ROOMS["base"], (set(), set()))
        self.assertEqual(ROOMS["io"], ({"net", "base"}, {"pcap", "dpdk", "fmt"}))

    def test_a_row_that_names_a_room_below_it_is_refused(self):
        rooms = {"net": ({"base"}, set()), "base": (set(), set())}
        self.assertEqual(len(list(check_layers.order_errors(rooms))), 1)
        self.assertEqual(list(check_layers.order_errors(ROOMS)), [])

    def test_a_file_of_a_room_without_a_row_is_refused(self):
        self.assertEqual(len(errors("lib/attic/old.hpp", "// nothing")), 1)


class ProjectIncludes(unittest.TestCase):
    def test_downwards_and_within_the_room(self):
        self.assertEqual(errors("lib/tcp/tcb.hpp", '#include "tcp/state.hpp"',
                                '#include "net/seq_num.hpp"', '#include "base/time.hpp"',
                                "#include <vector>"), [])

    def test_upwards(self):
        self.assertEqual(errors("lib/base/time.hpp", "", '#include "net/packet.hpp"'),
                         ["lib/base/time.hpp:2: \"net/packet.hpp\": 'base' must not include 'net'"])

    def test_a_sibling(self):
        self.assertEqual(len(errors("lib/tcp/tcb.cpp", '  #  include "flow/table.hpp"')), 1)

    def test_an_unknown_room_a_bare_name_and_a_detour(self):
        for header in ("attic/old.hpp", "tcb.hpp", "../base/time.hpp", "tcp/../flow/table.hpp"):
            self.assertEqual(len(errors("lib/tcp/tcb.cpp", f'#include "{header}"')), 1, header)

    def test_a_commented_include_is_none(self):
        self.assertEqual(errors("lib/base/time.hpp", '// #include "net/packet.hpp"'), [])

    def test_app_sees_every_room_and_its_own_files(self):
        self.assertEqual(errors("app/main.cpp", '#include "options.hpp"', '#include "io/x.hpp"',
                                "#include <CLI/CLI.hpp>"), [])
        self.assertEqual(len(errors("app/main.cpp", '#include "attic/old.hpp"')), 1)


class PackageIncludes(unittest.TestCase):
    def assert_refused(self, path, header):
        self.assertEqual(len(errors(path, f"#include <{header}>")), 1, (path, header))

    def assert_allowed(self, path, header):
        self.assertEqual(errors(path, f"#include <{header}>"), [])

    def test_dpdk(self):
        for path in ("lib/io/ethdev_source.cpp", "lib/export/ring.hpp", "lib/runtime/eal.cpp"):
            self.assert_allowed(path, "rte_ring.h")
        for path in ("lib/tcp/tcb.cpp", "lib/io/capture_source.cpp", "lib/sinks/file_sink.cpp",
                     "app/main.cpp"):
            self.assert_refused(path, "rte_ring.h")
        self.assertEqual(len(errors("lib/net/x.cpp", '#include "rte_mbuf.h"')), 1)

    def test_libpcap(self):
        for path in ("lib/io/capture_source.cpp", "lib/io/kernel_source.hpp",
                     "lib/io/bpf_filter.cpp"):
            self.assert_allowed(path, "pcap/pcap.h")
        for path in ("lib/io/memory_source.cpp", "lib/net/link_type.hpp", "app/main.cpp"):
            self.assert_refused(path, "pcap.h")

    def test_onetbb(self):
        self.assert_allowed("lib/sinks/pipeline.cpp", "oneapi/tbb/parallel_pipeline.h")
        self.assert_refused("lib/export/exporter.cpp", "tbb/parallel_pipeline.h")

    def test_a_package_that_the_row_does_not_name(self):
        self.assert_allowed("lib/io/input_file.cpp", "fmt/format.h")
        self.assert_refused("lib/net/link_type.cpp", "fmt/format.h")
        self.assert_refused("lib/sinks/digest.cpp", "openssl/evp.h")

    def test_only_app_parses_arguments(self):
        self.assert_refused("lib/runtime/config.cpp", "CLI/CLI.hpp")


if __name__ == "__main__":
    unittest.main()
