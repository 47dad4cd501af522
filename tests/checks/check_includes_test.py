#!/usr/bin/python3
"""A tree that breaks a rule of tools/check-includes fails the check; one that does not passes."""

import pathlib
import subprocess
import tempfile
import unittest

CHECK = pathlib.Path(__file__).resolve().parents[2] / "tools" / "check-includes"


def run_check(path, text):
    """Exit code and output of the check on a tree of this one file."""
    with tempfile.TemporaryDirectory() as folder:
        target = pathlib.Path(folder, path)
        target.parent.mkdir(parents=True)
        target.write_text(text, encoding="utf-8")
        command = ["/usr/bin/python3", str(CHECK), "--root", folder]
        done = subprocess.run(command, capture_output=True, text=True)
        return done.returncode, done.stdout


class CheckIncludesTest(unittest.TestCase):
    def assert_violation(self, path, text, message):
        code, output = run_check(path, text)
        self.assertEqual(code, 1, output)
        self.assertIn(message, output)
        self.assertIn(f"{path}:", output)

    def assert_clean(self, path, text):
        code, output = run_check(path, text)
        self.assertEqual(code, 0, output)

    def test_a_layer_must_not_include_one_above_it(self):
        for path, header in [
            ("src/base/a.h", "coro/task.h"),
            ("src/net/a.cc", "http/server.h"),
            ("src/faas/a.cc", "embedded/queue.h"),
            ("src/embedded/a.cc", "aws/sqs.h"),
            ("src/worker/a.cc", "redis/client.h"),
            ("src/worker/a.cc", "sandbox/contain.h"),
            ("src/http/a.cc", "sandbox/protocol.h"),
            ("ctrl/a.cc", "embedded/queue.h"),
            ("ctrl/a.cc", "worker/pool.h"),
            ("sandbox/a.cc", "coro/task.h"),
            ("sandbox/a.cc", "src/coro/task.h"),
        ]:
            with self.subTest(path=path, header=header):
                text = f'#pragma once\n#include "{header}"\n'
                self.assert_violation(path, text, "may see only")
                self.assert_violation(path, text.replace('"', "<", 1), "may see only")

    def test_what_a_layer_may_include_passes(self):
        for path, header in [
            ("src/uring/a.cc", "liburing.h"),
            ("bench/echo/a.c", "liburing.h"),
            ("src/http/a.cc", "base/result.h"),
            ("src/worker/a.cc", "sandbox/client.h"),
            ("src/embedded/a.cc", "faas/ports.h"),
            ("src/bin/a.cc", "embedded/queue.h"),
            ("sandbox/a.cc", "sandbox/contain.h"),
            ("sandbox/a.cc", "contain.h"),
            ("ctrl/a.cc", "sys/socket.h"),
        ]:
            with self.subTest(path=path, header=header):
                self.assert_clean(path, f'#include "{header}"\n')

    def test_a_folder_without_a_place_in_the_rule_fails(self):
        self.assert_violation("src/extra/a.cc", '#include "base/result.h"\n', "no place")

    def test_a_path_upwards_fails(self):
        self.assert_violation("src/base/a.cc", '#include "../coro/task.h"\n', "from src/")

    def test_only_uring_includes_liburing_and_nobody_the_kernels_header(self):
        self.assert_violation("src/net/a.cc", "#include <liburing.h>\n", "src/uring's alone")
        self.assert_violation("tests/unit/a.cc", "#include <liburing.h>\n", "src/uring's alone")
        self.assert_violation("src/uring/a.cc", "#include <linux/io_uring.h>\n", "clashes")

    def test_a_header_without_pragma_once_fails(self):
        self.assert_violation("src/base/a.h", "int x;\n", "#pragma once")

    def test_a_file_of_450_lines_fails_and_one_of_449_passes(self):
        self.assert_violation("src/base/a.cc", "int x;\n" * 450, "split it")
        self.assert_clean("src/base/a.cc", "int x;\n" * 449)

    def test_a_line_of_101_columns_fails_and_one_of_100_passes(self):
        self.assert_violation("tools/a.py", "#" * 101 + "\n", "columns")
        self.assert_clean("tools/a.py", "#" * 100 + "\n")

    def test_a_mark_of_unfinished_work_fails(self):
        for word in ("TO" + "DO", "FIX" + "ME"):
            self.assert_violation("src/base/a.cc", f"// {word}: later\n", "unfinished")

    def test_a_tool_without_a_suffix_is_checked_and_data_is_not(self):
        self.assert_violation("tools/a", "#!/bin/bash\n" + "#" * 101 + "\n", "columns")
        code, output = run_check("tests/fuzz/corpus/a", "#" * 200 + "\n")
        self.assertIn("0 files checked", output)
        self.assertEqual(code, 1, "a tree without any code is a mistake in the check itself")


if __name__ == "__main__":
    unittest.main()
