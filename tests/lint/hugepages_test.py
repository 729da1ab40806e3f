"""scripts/hugepages.sh on a made folder of the kernel: what it sets, and what it says where it
cannot."""

import os
import pathlib
import subprocess
import tempfile
import unittest

import support

SCRIPT = support.ROOT / "scripts" / "hugepages.sh"
GLOBAL = "kernel/mm/hugepages/hugepages-{}kB"
NODE = "devices/system/node/node{}/hugepages/hugepages-{}kB"


class Hugepages(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.sysfs = pathlib.Path(folder.name)
        for name in (GLOBAL.format(2048), GLOBAL.format(1048576), NODE.format(0, 2048),
                     NODE.format(1, 2048)):
            (self.sysfs / name).mkdir(parents=True)
            for count in ("nr_hugepages", "free_hugepages"):
                (self.sysfs / name / count).write_text("3\n")

    def run_script(self, *arguments):
        ran = subprocess.run([SCRIPT, *arguments], capture_output=True, text=True, check=False,
                             env=os.environ | {"FLOWLOOM_SYSFS": str(self.sysfs)})
        return ran.returncode, ran.stdout, ran.stderr

    def pages(self, name):
        return int((self.sysfs / name / "nr_hugepages").read_text())

    def test_shows_sizes_and_nodes(self):
        for arguments in ((), ("show",)):
            status, out, err = self.run_script(*arguments)
            self.assertEqual((0, ""), (status, err))
            self.assertIn("2048kB: 3 pages, 3 free", out)
            self.assertIn("1048576kB: 3 pages, 3 free", out)
            self.assertIn("node1: 3 pages, 3 free", out)

    def test_reserves_in_whole_pages(self):
        for size, count in (("1G", 512), ("100M", 50), ("2M", 1), ("3M", 2), ("4096K", 2)):
            self.assertEqual(0, self.run_script("reserve", size, "--page", "2M")[0])
            self.assertEqual(count, self.pages(GLOBAL.format(2048)), size)
        self.assertEqual(0, self.run_script("reserve", "3G", "--page", "1G")[0])
        self.assertEqual(3, self.pages(GLOBAL.format(1048576)))

    def test_reserves_and_releases_on_one_node(self):
        self.assertEqual(0, self.run_script("reserve", "64M", "--page", "2M", "--node", "1")[0])
        self.assertEqual((3, 32), (self.pages(NODE.format(0, 2048)),
                                   self.pages(NODE.format(1, 2048))))
        self.assertEqual(0, self.run_script("release", "--page", "2M", "--node", "1")[0])
        self.assertEqual((3, 0, 3), (self.pages(NODE.format(0, 2048)),
                                     self.pages(NODE.format(1, 2048)),
                                     self.pages(GLOBAL.format(2048))))

    def test_says_what_is_wrong_in_one_sentence(self):
        for arguments, sentence in (
                (("reserve",), "how much?"),
                (("reserve", "12"), "is no size"),
                (("reserve", "1.5G"), "is no size"),
                (("reserve", "-1G"), "is no size"),
                (("reserve", "99999999999G"), "is no size"),
                (("reserve", "1G", "--page", "3M"), "no pages of 3072 kB"),
                (("reserve", "1G", "--page", "2M", "--node", "7"), "no NUMA node 7"),
                (("reserve", "1G", "--node", "../../x"), "is no NUMA node"),
                (("reserve", "1G", "--pages", "2M"), "no option '--pages'"),
                (("reserve", "1G", "--page"), "has no value"),
                (("set", "512"), "'512' is no option"),
                (("give",), "no command 'give'")):
            status, out, err = self.run_script(*arguments)
            self.assertEqual((1, "", 1), (status, out, err.count("\n")), arguments)
            self.assertIn(sentence, err)
            self.assertEqual(3, self.pages(GLOBAL.format(2048)), arguments)

    def test_says_that_the_kernel_refused(self):
        target = self.sysfs / GLOBAL.format(2048) / "nr_hugepages"
        target.unlink()
        target.symlink_to("/dev/full")
        status, _, err = self.run_script("reserve", "1G", "--page", "2M")
        self.assertEqual(1, status)
        self.assertIn("refused 512 pages", err)

    def test_says_that_it_needs_root(self):
        target = self.sysfs / GLOBAL.format(2048) / "nr_hugepages"
        target.chmod(0o444)
        if os.geteuid() == 0:  # who may do anything is stopped by a folder instead of the file
            target.unlink()
            target.mkdir()
        status, out, err = self.run_script("reserve", "1G", "--page", "2M")
        self.assertEqual((1, ""), (status, out))
        self.assertIn("root" if os.geteuid() else "refused", err)


if __name__ == "__main__":
    unittest.main()
