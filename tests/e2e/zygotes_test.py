#!/usr/bin/python3
"""HEARTH_ZYGOTE: who shares the secret of hash() with whom, seen from outside."""

import signal

from harness import ServerTest, StandaloneTest, eventually, in_parallel, main
from server import is_alive, process_ids, read_text, sandboxd_of

# It sleeps so that two calls at once need two sandboxes.
TELL = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return hash('x')\n"
TOGETHER_S = 0.5
OPTIONS = ("--memory-budget", "2048", "--parked", "0")


def zygotes_of(instance):
    parent = f"\nPPid:\t{sandboxd_of(instance)}\n"
    return [pid for pid in process_ids()
            if parent in read_text(f"/proc/{pid}/status")
            and read_text(f"/proc/{pid}/comm") == "hearth-zygote\n"]


class PerFunctionTest(ServerTest):
    options = OPTIONS
    environment = {"HEARTH_ZYGOTE": "per-function", "HEARTH_ZYGOTE_SPARES": "2"}

    def upload_when_a_spare_is_ready(self, of_functions):
        """One is started at a time: with the second on its way the first is ready."""
        eventually(lambda: self.client.metrics()["hearth_zygotes"] >= of_functions + 2,
                   "there is a spare zygote")
        return self.client.upload(TELL)

    def hashes(self, function_id):
        calls = [lambda: self.client.result(function_id, TOGETHER_S)] * 2
        return set(in_parallel(calls))

    def test_sandboxes_of_one_function_share_it_and_functions_do_not(self):
        first = self.upload_when_a_spare_is_ready(0)
        own = self.hashes(first)
        self.assertEqual(len(own), 1)
        second = self.upload_when_a_spare_is_ready(1)
        others = self.hashes(second)
        self.assertEqual(len(others), 1)
        self.assertNotEqual(own, others)
        self.assertEqual(self.client.try_update(first, TELL + "# 2\n").json()["revision"], 2)
        self.assertEqual(self.hashes(first), own)  # a function is one, whatever its revision


class ModesTest(StandaloneTest):
    def test_off_has_no_zygote_and_no_two_sandboxes_share(self):
        server = self.make_server(*OPTIONS, environment={"HEARTH_ZYGOTE": "off"}).start()
        client = server.client()
        function_id = client.upload(TELL)
        found = in_parallel([lambda: client.result(function_id, TOGETHER_S)] * 2)
        self.assertEqual(len(set(found)), 2)
        self.assertEqual(client.metrics()["hearth_zygotes"], 0)
        server.stop()

    def test_a_mode_that_does_not_exist_is_refused_with_those_that_do(self):
        server = self.make_server(environment={"HEARTH_ZYGOTE": "some"})
        server.launch()
        self.assertNotEqual(server.wait(), 0)
        self.assertIn("per-function", server.log_text())

    def test_none_is_left_after_the_end_of_a_server_that_was_killed(self):
        server = self.make_server(*OPTIONS, environment={"HEARTH_ZYGOTE": "per-function"}).start()
        client = server.client()
        client.result(client.upload(TELL), 0)
        eventually(lambda: client.metrics()["hearth_zygotes"] >= 2, "there are zygotes")
        zygotes = zygotes_of(server.instance)
        self.assertGreaterEqual(len(zygotes), 2)
        server.signal(signal.SIGKILL)
        server.wait()
        eventually(lambda: not any(is_alive(pid) for pid in zygotes), "they ended")
        server.check_nothing_left()


if __name__ == "__main__":
    main()
