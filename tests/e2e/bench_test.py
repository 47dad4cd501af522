#!/usr/bin/python3
"""hearth-bench puts the load on a real server that it was told to, and says what came of it."""

import json
import os
import pathlib
import subprocess
import tempfile
import xml.etree.ElementTree

from harness import ServerTest, main
from server import API_KEY

BUILT = pathlib.Path(__file__).resolve().parents[2] / "build/release/bench/load/hearth-bench"
PROGRAM = os.environ.get("HEARTH_BENCH_BINARY", str(BUILT))
EXECUTION_MS = "0,0.5\n100,1\n"
CALLS_OF_A_DAY = "1, 0.5\n100, 1\n"


class BenchTest(ServerTest):
    options = ("--rate-limit", "0")

    def bench(self, *arguments, status=0):
        command = [PROGRAM, self.client_url(), "--api-key", API_KEY, "--json", *arguments]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual(done.returncode, status, done)
        return json.loads(done.stdout) if done.stdout else done.stderr

    def client_url(self):
        return f"http://127.0.0.1:{self.server.port}/"

    def functions(self):
        return self.client.get("/functions").json()["functions"]

    def test_a_closed_loop_reports_its_calls_with_the_servers_stages(self):
        found = self.bench("--duration", "0.5", "--connections", "4")
        self.assertGreater(found["calls"], 0)
        self.assertEqual(found["errorCount"], 0)
        self.assertEqual(found["latencyUs"], found["fromSendingUs"])
        self.assertLessEqual(found["latencyUs"]["p50"], found["latencyUs"]["p99"])
        self.assertEqual(found["curve"][-1], [1, found["latencyUs"]["max"]])
        stages = {each["name"]: each for each in found["server"]["stages"]}
        self.assertEqual(stages["in the sandbox"]["count"], found["calls"])
        self.assertEqual(stages["request, first to last"]["count"], found["calls"])
        self.assertGreater(found["server"]["ringEnters"], 0)
        self.assertEqual(self.functions(), [])

    def test_an_open_loop_makes_as_many_calls_as_are_due(self):
        found = self.bench("--duration", "0.5", "--rate", "100")
        self.assertEqual(found["calls"], 50)
        self.assertEqual((found["loop"], found["notSent"]), ("open", 0))

    def test_cold_calls_are_first_calls_and_each_is_made_once(self):
        found = self.bench("--mode", "cold", "--functions", "6", "--connections", "2",
                           "--duration", "60")
        self.assertEqual((found["calls"], found["server"]["coldStarts"]), (6, 6))

    def test_mixed_calls_hold_cold_ones(self):
        found = self.bench("--mode", "mixed", "--functions", "5", "--cold-share", "0.5",
                           "--calls", "40", "--connections", "1", "--duration", "60")
        self.assertEqual(found["calls"], 40)
        self.assertEqual(found["server"]["coldStarts"], 5)

    def test_traced_functions_run_as_long_and_as_often_as_the_trace_says(self):
        with tempfile.TemporaryDirectory() as folder:
            for name, text in (("execTime", EXECUTION_MS), ("invokes", CALLS_OF_A_DAY)):
                pathlib.Path(folder, f"serverlessbench-{name}CDF.csv").write_text(
                    text, encoding="utf-8")
            found = self.bench("--mode", "trace", "--traces", folder, "--rate", "100",
                               "--functions", "8", "--time-scale", "0.2", "--duration", "1")
        self.assertGreater(found["calls"], 0)
        self.assertGreaterEqual(found["latencyUs"]["max"], 20_000)

    def test_jobs_and_routes_and_large_events_can_be_called_too(self):
        jobs = self.bench("--calls", "5", "--header", "x-async: true", "--duration", "60")
        self.assertEqual((jobs["calls"], jobs["errorCount"]), (5, 0))
        health = self.bench("--calls", "5", "--path", "/health", "--duration", "60")
        self.assertEqual(health["calls"], 5)
        large = self.bench("--calls", "5", "--input-bytes", "1000000", "--duration", "60",
                           "--reconnect", "--connections", "1")
        self.assertEqual((large["calls"], large["connects"]), (5, 5))
        self.assertGreater(large["bytesReceived"], 5_000_000)

    def test_the_curve_is_drawn_as_well_formed_svg(self):
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder, "curve.svg")
            self.bench("--calls", "20", "--rate", "200", "--svg", str(path))
            root = xml.etree.ElementTree.parse(path).getroot()
        lines = root.findall("{http://www.w3.org/2000/svg}polyline")
        self.assertEqual([each.get("class") for each in lines], ["due", "sent"])
        self.assertTrue(all(each.get("points") for each in lines))

    def test_a_failed_call_is_exit_1_with_its_reason(self):
        found = self.bench("--function-id", "none", "--calls", "3", status=1)
        self.assertEqual(found["errors"], {"status 404": 3})

    def test_settings_that_make_no_sense_are_named_all_at_once(self):
        text = self.bench("--mode", "trace", "--path", "health", "--connections", "1",
                          "--threads", "2", status=2)
        for each in ("--path: begin it with /", "--mode trace: give --traces",
                     "--mode trace: give --rate", "--connections: at least as many"):
            self.assertIn(each, text)


if __name__ == "__main__":
    main()
