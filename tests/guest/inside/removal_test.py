#!/usr/bin/python3
"""Removing the package ends the service and leaves what its owner made; purging leaves nothing."""

import pathlib
import subprocess
import sys
import unittest

from guest import DATA, SETTINGS, UNIT, UNIT_CGROUP, show


def dpkg(action):
    return subprocess.run(["dpkg", action, "hearth"], capture_output=True, text=True, check=False)


class RemovalTest(unittest.TestCase):
    def test_removal_then_purge(self):
        removed = dpkg("--remove")
        self.assertEqual(removed.returncode, 0, removed.stderr)
        self.assertNotEqual(show("ActiveState"), "active")
        self.assertFalse(UNIT_CGROUP.exists())
        self.assertFalse(pathlib.Path("/usr/bin/hearth").exists())
        self.assertTrue(SETTINGS.exists())
        self.assertTrue((DATA / "hearth.db").exists())
        purged = dpkg("--purge")
        self.assertEqual(purged.returncode, 0, purged.stderr)
        for path in (SETTINGS.parent, DATA, pathlib.Path("/lib/systemd/system", UNIT)):
            self.assertFalse(path.exists(), path)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main(verbosity=2)
