#!/usr/bin/python3
"""Signals to a running server, and what its log says."""

import json
import re
import signal

from harness import SLEEP, Background, ServerTest, eventually, main


class SignalTest(ServerTest):
    def trees(self):
        return [line["tree"] for line in self.server.log_lines() if "tree" in line]

    def test_sigusr1_writes_the_tasks_with_their_places_in_the_source(self):
        function_id = self.client.upload(SLEEP)
        call = Background(lambda: self.client.run(function_id, 1.5))
        busy = 'hearth_sandboxes{state="busy"}'
        eventually(lambda: self.client.metrics()[busy] == 1, "a call runs")
        before = len(self.trees())
        self.server.signal(signal.SIGUSR1)
        eventually(lambda: len(self.trees()) > before, "the tree is in the log")
        tree = self.trees()[-1]
        places = re.findall(r"[\w/]+\.(?:cc|h):\d+", tree)
        self.assertGreaterEqual(len(places), 5, tree)
        for part in ("dispatcher", "calls", "intake", "server"):
            self.assertIn(part, tree)
        self.assertEqual(call.result()["result"], "rested")

    def test_many_signals_do_not_disturb_it(self):
        for _ in range(50):
            self.server.signal(signal.SIGUSR1)
        function_id = self.client.upload(SLEEP)
        self.assertEqual(self.client.result(function_id, 0), "rested")

    def test_a_broken_pipe_does_not_end_it(self):
        self.server.signal(signal.SIGPIPE)
        self.assertEqual(self.client.get("/health").status, 200)

    def test_the_log_is_json_lines_with_level_time_and_message(self):
        self.client.upload(SLEEP)
        lines = self.server.log_lines()
        self.assertTrue(lines)
        for line in lines:
            self.assertLessEqual({"level", "timestamp", "msg"}, set(line), line)
            self.assertIn(line["level"], ("debug", "info", "warning", "error"))
            self.assertRegex(line["timestamp"], r"^\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z$")
        self.assertIn("listening", [line["msg"] for line in lines])

    def test_the_key_is_not_in_the_log(self):
        self.client.get("/functions", headers={"authorization": "Bearer wrong-key-here"}, key=False)
        text = self.server.log_text()
        self.assertNotIn(self.server.api_key, text)
        self.assertNotIn("wrong-key-here", text)


class DebugLogTest(ServerTest):
    options = ("--log-level", "debug")

    def test_each_request_is_a_line_that_hostile_input_cannot_break(self):
        self.client.get("/functions/%0a%22level%22", headers={"x-request-id": "traced-1"})
        self.client.get("/health", headers={"x-request-id": "traced-2"})

        def traced():
            lines = [json.loads(line) for line in self.server.log_text().splitlines()]
            return {line["requestId"]: line for line in lines if "requestId" in line}
        eventually(lambda: "traced-2" in traced(), "the request's line")
        line = traced()["traced-2"]
        self.assertEqual((line["method"], line["path"], line["status"]), ("GET", "/health", 200))


if __name__ == "__main__":
    main()
