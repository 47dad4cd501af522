#!/usr/bin/python3
"""Functions that fail in every way they can: each is an outcome, and the next call works."""

from harness import ServerTest, in_parallel, main, zip_of

LOG_BYTES_MAX = 256 << 10


class FailureTest(ServerTest):
    options = ("--memory-budget", "2048")

    def assert_failed(self, body, *types):
        self.assertEqual(body["status"], "FAILED", body)
        self.assertIn(body["error"]["type"], types, body)
        self.assertIsInstance(body["error"]["message"], str, body)
        self.assertIsInstance(body["error"]["stackTrace"], list, body)
        return body["error"]

    def check(self, statement, *types, preamble="", **fields):
        """The statement fails with one of the types, and the function works before and after."""
        code = f"import ctypes, os, sys, time, signal, threading\n{preamble}\n"
        code += "def handler(event, context):\n    if event == 'well':\n        return 'fine'\n"
        code += "".join(f"    {line}\n" for line in statement.splitlines())
        function_id = self.client.upload(code, **fields)
        self.assertEqual(self.client.result(function_id, "well"), "fine")
        body = self.client.run(function_id, "badly")
        self.assert_failed(body, *types)
        self.assertEqual(self.client.result(function_id, "well"), "fine")
        return body

    def check_load(self, code, kind, file_name="main.py", **fields):
        """Nothing of it can be called, however often; and once it is mended, it can."""
        function_id = self.client.upload(code, file_name, **fields)
        for _ in range(2):
            body = self.client.run(function_id)
            error = self.assert_failed(body, kind)
        answer = self.client.try_update(function_id, "def handler(e, c):\n    return 'mended'\n",
                                        handler="main.handler")
        self.assertEqual(answer.status, 200, answer)
        self.assertEqual(self.client.result(function_id), "mended")
        return error

    def test_exits(self):
        for statement in ("sys.exit()", "sys.exit(3)", "sys.exit('words')", "raise SystemExit",
                          "exit_code = os._exit(0)", "os._exit(7)"):
            with self.subTest(statement):
                self.check(statement, "Runtime.ExitError")

    def test_crashes(self):
        for statement in ("os.abort()", "ctypes.string_at(0)", "os.kill(os.getpid(), 9)",
                          "signal.raise_signal(signal.SIGTERM)", "ctypes.CDLL(None).abort()"):
            with self.subTest(statement):
                body = self.check(statement, "Runtime.Crashed")
                self.assertIn("SIG", body["error"]["message"])

    def test_endless_work_is_ended_at_its_timeout(self):
        for statement in ("while True:\n    pass", "time.sleep(1000)",
                          "import re\nre.match('(a*)*b', 'a' * 200)",
                          "signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))\n"
                          "while True:\n    pass",
                          "os.kill(os.getpid(), signal.SIGSTOP)"):
            with self.subTest(statement):
                body = self.check(statement, "Sandbox.Timedout", timeoutMs=500)
                self.assertIn("0.50 seconds", body["error"]["message"])
                self.assertGreaterEqual(body["durationMs"], 500)

    def test_the_time_that_is_left_runs_out(self):
        function_id = self.client.upload(
            "import time\ndef handler(e, c):\n    while c.get_remaining_time_in_millis() > 300:\n"
            "        time.sleep(0.01)\n    return 'in time'\n", timeoutMs=1500)
        self.assertEqual(self.client.result(function_id), "in time")

    def test_exceptions_carry_type_message_and_stack(self):
        body = self.check("raise Trouble('it is ' + event)", "Trouble",
                          preamble="class Trouble(Exception):\n    pass")
        self.assertEqual(body["error"]["message"], "it is badly")
        self.assertIn("main.py", "".join(body["error"]["stackTrace"]))
        self.assertIn("handler", "".join(body["error"]["stackTrace"]))
        self.assertIn("Trouble", body["logs"])
        self.assertNotIn("/runtime/", "".join(body["error"]["stackTrace"]))

    def test_strange_exceptions_are_outcomes_too(self):
        self.check("raise KeyboardInterrupt", "KeyboardInterrupt")
        self.check("raise BaseException('odd')", "BaseException")
        self.check("raise Odd", "Odd", preamble="class Odd(Exception):\n    def __str__(self):\n"
                                                "        raise ValueError\n")
        self.check("raise Odd", "Odd", preamble="class Odd(Exception):\n    def __str__(self):\n"
                                                "        sys.exit(1)\n")
        self.check("raise ValueError('x' * 50_000_000)", "ValueError", memoryMb=512)
        self.check("raise ValueError('\\ud800')", "ValueError")
        self.check("def down(): down()\ndown()", "RecursionError")
        self.check("try:\n    1 / 0\nexcept Exception as e:\n    raise KeyError('k') from e",
                   "KeyError")

    def test_code_that_does_not_load_says_why(self):
        good = "def handler(event, context):\n    return 1\n"
        for code, kind, word in (
            ("import nothing_of_that_name\n" + good, "Runtime.ImportModuleError", "nothing_of"),
            ("def handler(:\n", "Runtime.UserCodeSyntaxError", "main"),
            ("x = 1\n", "Runtime.HandlerNotFound", "handler"),
            ("handler = 7\n", "Runtime.HandlerNotFound", "handler"),
            ("1 / 0\n", "ZeroDivisionError", "division"),
            ("import sys\nsys.exit(4)\n", "Runtime.ExitError", "4"),
            ("import os\nos._exit(4)\n", "Runtime.ExitError", "4"),
            ("import os\nos.abort()\n", "Runtime.Crashed", "SIGABRT"),
            (b"\xff\xfe not text", "Runtime.UserCodeSyntaxError", ""),
            (b"x = '\x00'\n", "ValueError", "null"),
        ):
            with self.subTest(code[:40]):
                error = self.check_load(code, kind)
                self.assertIn(word, error["message"])
        self.check_load(good, "Runtime.HandlerNotFound", handler="main.other")
        self.check_load(good, "Runtime.ImportModuleError", handler="other.handler")
        self.check_load(zip_of({"readme.txt": "x"}), "Runtime.ImportModuleError", "a.zip")

    def test_a_flood_of_output_is_cut_and_marked(self):
        function_id = self.client.upload(
            "import os\ndef handler(megabytes, context):\n    block = b'x' * (1 << 20)\n"
            "    for _ in range(megabytes):\n        os.write(1, block)\n    return megabytes\n",
            timeoutMs=120000)
        body = self.client.run(function_id, 1024)
        self.assertEqual((body["status"], body["result"]), ("SUCCEEDED", 1024))
        self.assertIn("cut", body["logs"])
        self.assertLessEqual(len(body["logs"]), LOG_BYTES_MAX + 100)
        body = self.client.run(function_id, 0)
        self.assertEqual((body["logs"], body["coldStart"]), ("", False))

    def test_a_flood_that_does_not_end_is_ended_with_the_call(self):
        self.check("while True:\n    os.write(2, b'y' * 65536)", "Sandbox.Timedout", timeoutMs=700)

    def test_a_memory_bomb_is_out_of_memory(self):
        for statement in ("x = []\nwhile True:\n    x.append(bytearray(8 << 20))",
                          "x = bytearray(1 << 30)\nx[::4096] = b'1' * (1 << 18)"):
            with self.subTest(statement):
                code = "def handler(event, context):\n    if event:\n        return 'fine'\n"
                code += "".join(f"    {line}\n" for line in statement.splitlines())
                function_id = self.client.upload(code)
                self.assertEqual(self.client.result(function_id, "well"), "fine")
                body = self.client.run(function_id)
                self.assert_failed(body, "Runtime.OutOfMemory")
                self.assertIn("128", body["error"]["message"])
                self.assertLessEqual(body["maxMemoryMb"], 140)
                self.assertEqual(self.client.result(function_id, "well"), "fine")

    def test_memory_in_files_counts_and_is_bounded(self):
        body_types = ("OSError", "Runtime.OutOfMemory", "MemoryError")
        fill = ("with open('%s', 'wb') as f:\n    while True:\n"
                "        f.write(b'x' * (1 << 20))")
        for path in ("/tmp/big", "/dev/shm/big"):
            with self.subTest(path):
                code = "def handler(event, context):\n    if event:\n        return 'fine'\n"
                code += "".join(f"    {line}\n" for line in (fill % path).splitlines())
                function_id = self.client.upload(code)
                self.assert_failed(self.client.run(function_id), *body_types)
                self.assertEqual(self.client.run(function_id, "well")["status"], "SUCCEEDED")

    def test_a_fork_bomb_stays_inside(self):
        code = (
            "import os, time\ndef handler(event, context):\n    if event == 'well':\n"
            "        return 'fine'\n    count = 0\n    try:\n        while True:\n"
            "            if os.fork() == 0:\n                while True:\n"
            "                    try:\n                        os.fork()\n"
            "                    except OSError:\n                        time.sleep(1)\n"
            "            count += 1\n    except OSError:\n        return count\n")
        function_id = self.client.upload(code, timeoutMs=5000)
        other = self.client.upload("def handler(e, c):\n    return 'other'\n")
        bombs, others = in_parallel([
            lambda: self.client.run(function_id, "badly"),
            lambda: [self.client.result(other) for _ in range(20)],
        ])
        self.assertEqual(others, ["other"] * 20)
        if bombs["status"] == "SUCCEEDED":
            self.assertLess(bombs["result"], 4096)
        self.assertEqual(self.client.result(function_id, "well"), "fine")

    def test_threads_are_bounded(self):
        self.check("hold = threading.Event()\nwhile True:\n"
                   "    threading.Thread(target=hold.wait, daemon=True).start()",
                   "RuntimeError", "Runtime.OutOfMemory")

    def test_descriptors_are_bounded(self):
        self.check("held = []\nwhile True:\n    held.append(os.open('/code', os.O_RDONLY))",
                   "OSError")

    def test_processes_that_stay_do_not_hold_the_answer(self):
        function_id = self.client.upload(
            "import subprocess\ndef handler(e, c):\n"
            "    subprocess.Popen(['/bin/sleep', '1000'])\n    return 'left one'\n")
        for _ in range(3):
            self.assertEqual(self.client.result(function_id), "left one")

    def test_lies_on_the_control_stream_fail_the_call_alone(self):
        for statement in (
            "os.write(3, b'x' * 64)", "os.write(3, b'\\0' * 16)", "os.close(3)",
            "os.write(3, b'\\xff' * 100_000)",
            "import socket\nsocket.socket(fileno=3).shutdown(2)",
            "import struct\nos.write(3, struct.pack('<IBBHQ', 2, 5, 0, 0, 12345) + b'{}')",
            "import struct\nos.write(3, struct.pack('<IBBHQ', 2**31, 5, 0, 0, 0))",
            "import gc, hearth_channel as c\nos.write(3, c.HEADER.pack(2**32-1, 5, 0, 0, 0))",
        ):
            with self.subTest(statement):
                self.check(statement, "Sandbox.ProtocolViolation", "Runtime.ExitError",
                           "Runtime.Crashed", "Sandbox.Timedout", timeoutMs=3000)

    def test_an_answer_that_nobody_asked_for_reaches_nobody(self):
        # A thread waits for the next call's frame and races to answer it with a guess.
        function_id = self.client.upload(
            "import os, struct, threading, time\n"
            "def lie():\n    time.sleep(0.2)\n"
            "    os.write(3, struct.pack('<IBBHQ', 6, 5, 0, 0, 1) + b'\"lies\"')\n"
            "def handler(event, context):\n    if event == 'lie later':\n"
            "        threading.Thread(target=lie).start()\n    return 'truth'\n")
        self.assertEqual(self.client.result(function_id, "lie later"), "truth")
        for _ in range(10):
            body = self.client.run(function_id, "now")
            self.assertNotEqual(body.get("result"), "lies")
        self.assertEqual(self.client.result(function_id), "truth")


if __name__ == "__main__":
    main()
