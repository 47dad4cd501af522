#!/usr/bin/python3
"""Each layer switched off alone makes an attack succeed, or no function start: the proof that the
other tests can fail."""

import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import unittest

from attack import LANDLOCK_TRUNCATES, landlock_abi

FOLDER = pathlib.Path(__file__).resolve().parent
WITNESS_WAIT_S = 120

# layer of weakened.cc, the module and the test that notice its absence
WITNESSES = (
    ("seccomp", "kernel", "test_01_"),
    ("landlock", "filesystem", "test_32c_"),
    ("capabilities", "kernel", "test_26_"),
    ("nested-user-namespace", "filesystem", "test_32b_"),
    ("network-namespace", "network", "test_40_"),
    ("ipc-namespace", "sandboxes", "test_74c_"),
    ("cgroup-namespace", "filesystem", "test_32b_"),
    ("proc-subset", "filesystem", "test_31_"),
    ("read-only-mounts", "filesystem", "test_28_"),
    ("tmpfs-limits", "filesystem", "test_36_"),
    ("resource-limits", "resources", "test_50_"),
    ("memory-limit", "resources", "test_49_"),
    ("processes-limit", "resources", "test_47c_"),
    ("parent-death-signal", "sandboxes", "test_78b_"),
)
# Without these no function starts at all: what follows them needs them.
NOTHING_STARTS = ("pid-namespace", "uts-namespace", "no-new-privileges", "identity", "pivot-root")


class LayersTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.whole = pathlib.Path(os.environ["HEARTH_BINARY"])
        cls.weakened = pathlib.Path(os.environ["HEARTH_WEAKENED_SANDBOXD"])
        folder = tempfile.mkdtemp(prefix="hearth-layers-", dir="/var/tmp")
        cls.addClassCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)
        cls.folder = pathlib.Path(folder)

    def installation(self, layer):
        """Everything as it is built, with a hearth-sandboxd that misses the layer."""
        place = self.folder / layer
        (place / "bin").mkdir(parents=True)
        (place / "libexec/hearth").mkdir(parents=True)
        shutil.copy(self.whole, place / "bin/hearth")
        shutil.copy(self.weakened, place / "libexec/hearth/hearth-sandboxd")
        shutil.copy(self.whole.parent.parent / "libexec/hearth/hearth-unpack",
                    place / "libexec/hearth/hearth-unpack")
        (place / "share").symlink_to(self.whole.parent.parent / "share")
        return place / "bin/hearth"

    def run_witness(self, binary, module, test):
        return subprocess.run(
            [sys.executable, "-B", FOLDER / f"{module}_test.py", "-k", test],
            env={**os.environ, "HEARTH_BINARY": str(binary)}, capture_output=True, text=True,
            timeout=WITNESS_WAIT_S, check=False)

    def test_every_witness_is_content_with_all_layers(self):
        binary = self.installation("none")
        for module, test in sorted({witness[1:] for witness in WITNESSES}):
            with self.subTest(test):
                ran = self.run_witness(binary, module, test)
                self.assertEqual(ran.returncode, 0, ran.stderr)
                self.assertNotIn("Ran 0 tests", ran.stderr)

    def test_every_layer_is_missed_by_its_witness(self):
        for layer, module, test in WITNESSES:
            with self.subTest(layer):
                if layer == "landlock" and landlock_abi() < LANDLOCK_TRUNCATES:
                    self.skipTest("what this kernel's Landlock holds back, other layers do too")
                ran = self.run_witness(self.installation(layer), module, test)
                self.assertNotEqual(ran.returncode, 0, ran.stderr)
                # The attack ran and was not held back; the server did not merely fail to start.
                self.assertRegex(ran.stderr, rf"FAIL: {test}", ran.stderr)

    def test_without_its_foundation_no_function_starts(self):
        for layer in NOTHING_STARTS:
            with self.subTest(layer):
                ran = self.run_witness(self.installation(layer), "kernel", "test_01_")
                self.assertNotEqual(ran.returncode, 0)
                self.assertRegex(ran.stderr, r"Sandbox\.StartFailed|Runtime\.ExitError")


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main(verbosity=2)
