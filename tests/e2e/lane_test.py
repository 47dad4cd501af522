#!/usr/bin/python3
"""Synchronous calls over lanes: a controller and its workers, as programs."""

import os
import pathlib
import signal
import socket
import stat
import subprocess

from fleet import ASYNC, HELLO, SLEEPER, Controller, FleetTest, stop_in_order
from harness import ECHO, Background, eventually, in_parallel, main

LARGE = 5_000_000


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


class ALane(FleetTest):
    def setUp(self):
        port = free_port()
        self.controller = self.start_controller(LANE_PORT=str(port))
        self.lane_url = f"tcp://127.0.0.1:{port}"
        self.client = self.controller.client()

    def start_lanes(self, count):
        workers = self.start_workers(self.controller, count, LANE_URL=self.lane_url)
        self.wait_for_lanes(count)
        return workers

    def wait_for_lanes(self, count):
        eventually(
            lambda: self.controller.metric("hearth_lanes") == count
            and self.controller.metric('hearth_lane_credits{state="free"}') > 0,
            f"{count} lanes with credits",
        )

    def calls(self, event):
        return self.controller.metric(f'hearth_lane_calls{{event="{event}"}}')

    def test_carries_calls_and_the_queue_carries_jobs(self):
        workers = self.start_lanes(2)
        function = self.client.upload(HELLO)
        answer = self.client.run(function, {"name": "Ada"})
        self.assertEqual((answer["status"], answer["result"]), ("SUCCEEDED", {"hello": "Ada"}))
        self.assertEqual((self.calls("answered"), self.calls("queued")), (1, 0))
        record = self.client.get(f"/status/{answer['jobId']}").json()
        self.assertEqual((record["status"], record["attempts"]), ("SUCCEEDED", 1))
        self.assertFalse(self.client.run(function, {"name": "Bob"})["coldStart"], "it is warm")

        event = {"functionId": function, "inputData": {"name": "C"}}
        job = self.client.post_json("/run", event, ASYNC)
        done = self.client.wait_for_job(job.json()["jobId"])
        self.assertEqual(done["result"], {"hello": "C"})
        self.assertEqual(self.calls("answered"), 2)

        echo = self.client.upload(ECHO)
        text = "x" * LARGE
        self.assertEqual(self.client.result(echo, {"text": text})["text"], text)
        answers = in_parallel([lambda i=i: self.client.result(echo, i) for i in range(16)])
        self.assertEqual(sorted(answers), list(range(16)))
        self.assertEqual(self.calls("queued"), 0)
        stop_in_order(self.controller, *workers)

    def test_that_is_lost_with_a_running_call_tells_its_caller(self):
        workers = self.start_lanes(2)
        function = self.client.upload(SLEEPER, timeoutMs="60000")
        caller = Background(lambda: self.controller.client().try_run(function, {"seconds": 50}))
        busy = eventually(
            lambda: [each for each in workers if each.metric('hearth_sandboxes{state="busy"}')],
            "the worker that runs it",
        )[0]
        busy.kill()
        answer = caller.result()
        self.assertEqual(answer.status, 502, answer.body)
        self.assertEqual(answer.json()["error"]["code"], "worker_lost")
        record = self.client.get(f"/status/{answer.json()['jobId']}").json()
        self.assertEqual(record["status"], "FAILED")
        self.assertEqual(record["error"]["type"], "Host.WorkerLost")
        self.assertEqual(self.client.result(function, {"seconds": 0}), "slept")
        self.assertEqual((self.calls("lost"), self.calls("queued")), (1, 0))

    def test_comes_back_after_its_controller_was_killed(self):
        worker = self.start_lanes(1)[0]
        function = self.client.upload(HELLO)
        self.controller.kill()
        self.controller.start()
        self.wait_for_lanes(1)
        answer = self.controller.client().run(function, {"name": "x"})
        self.assertEqual(answer["status"], "SUCCEEDED")
        self.assertEqual(self.calls("answered"), 1)
        stop_in_order(self.controller, worker)

    def test_whose_controller_is_killed_leaves_the_outcome_to_the_worker(self):
        worker = self.start_lanes(1)[0]
        function = self.client.upload(SLEEPER, timeoutMs="60000")
        self.client.run(function, {"seconds": 0})  # warm, so that the next one begins in time
        answer = self.client.try_run(function, {"seconds": 6}, {"x-timeout-ms": "1500"})
        self.assertEqual(answer.status, 504, answer.body)
        self.controller.kill()
        self.assertEqual(worker.metric('hearth_sandboxes{state="busy"}'), 1, "it still runs")
        self.controller.start()
        done = self.controller.client().wait_for_job(answer.json()["jobId"])
        self.assertEqual((done["status"], done["result"]), ("SUCCEEDED", "slept"))
        self.assertEqual(worker.metric('hearth_lane_records{event="recorded"}'), 1)
        self.wait_for_lanes(1)
        stop_in_order(self.controller, worker)

    def test_whose_controller_ends_within_the_call_answers_504_and_the_call_goes_on(self):
        self.controller.stop()
        self.controller.settings["HEARTH_GRACE_SECONDS"] = "1"
        self.controller.start()
        worker = self.start_lanes(1)[0]
        function = self.client.upload(SLEEPER, timeoutMs="60000")
        caller = Background(lambda: self.controller.client().try_run(function, {"seconds": 8}))
        eventually(lambda: worker.metric('hearth_sandboxes{state="busy"}'), "that it runs")
        self.controller.signal(signal.SIGTERM)
        answer = caller.result()
        self.assertEqual(answer.status, 504, answer.body)
        self.controller.wait_for_clean_end()
        self.controller.start()
        client = self.controller.client()
        job = answer.json()["jobId"]
        self.assertEqual(client.get(f"/status/{job}").json()["status"], "RUNNING")
        done = client.wait_for_job(job)
        self.assertEqual((done["status"], done["result"]), ("SUCCEEDED", "slept"))
        stop_in_order(self.controller, worker)

    def test_ends_with_its_worker_after_the_answer_and_calls_then_queue(self):
        worker = self.start_lanes(1)[0]
        function = self.client.upload(SLEEPER)
        caller = Background(lambda: self.controller.client().try_run(function, {"seconds": 1}))
        eventually(lambda: worker.metric('hearth_sandboxes{state="busy"}'), "that it runs")
        worker.signal(signal.SIGTERM)
        self.assertEqual(caller.result().json()["result"], "slept")
        worker.wait_for_clean_end()
        eventually(lambda: self.controller.metric("hearth_lanes") == 0, "the end of the lane")
        answer = self.client.try_run(function, {"seconds": 0}, {"x-timeout-ms": "200"})
        self.assertEqual(answer.status, 504)
        self.assertEqual(self.calls("queued"), 1)
        self.controller.stop()

    def test_with_a_wrong_token_is_refused_and_says_what_to_do(self):
        worker = self.start_workers(
            self.controller, 1, LANE_URL=self.lane_url, WORKER_TOKEN="another worker's token"
        )[0]
        eventually(lambda: "refuses this worker's lane" in worker.log_text(), "the refusal")
        self.assertIn("set the same on both", worker.log_text())
        self.assertIn("a lane was refused", self.controller.log_text())
        self.assertEqual(self.controller.metric("hearth_lanes"), 0)
        stop_in_order(self.controller, worker)


AS_USER = str(pathlib.Path(__file__).resolve().parent.parent / "support" / "as_user")
CONNECT = """
import os, socket, sys
try:
    socket.socket(socket.AF_UNIX).connect(os.environ["LANE_PATH"])
except PermissionError:
    sys.exit(3)
"""


class ALanesSocket(FleetTest):
    def setUp(self):
        self.controller = self.make(Controller)
        self.path = os.path.join(self.controller.folder, "lane")
        self.controller.settings["LANE_SOCKET"] = self.path
        self.controller.start()

    def start_worker(self):
        worker = self.start_workers(self.controller, 1, LANE_URL=f"unix:{self.path}")[0]
        self.wait_for_lane()
        return worker

    def wait_for_lane(self):
        eventually(lambda: self.controller.metric("hearth_lanes") == 1, "the lane")

    def test_is_the_workers_and_nobody_elses(self):
        worker = self.start_worker()  # which root started, and which is root no more
        info = os.stat(self.path)
        of_worker = os.stat(f"/proc/{worker.process.pid}")
        self.assertEqual((info.st_uid, info.st_gid), (of_worker.st_uid, of_worker.st_gid))
        self.assertEqual(stat.S_IMODE(info.st_mode), 0o660)
        if os.geteuid() == 0:
            stranger = subprocess.run(
                [AS_USER, "own", "/usr/bin/python3", "-c", CONNECT],
                env={**os.environ, "LANE_PATH": self.path},
                check=False,
            )
            self.assertEqual(stranger.returncode, 3, "a stranger is not let in")
        stop_in_order(self.controller, worker)

    def test_is_taken_over_from_a_controller_that_was_killed(self):
        worker = self.start_worker()
        self.controller.kill()
        self.assertTrue(stat.S_ISSOCK(os.stat(self.path).st_mode), "the file is left behind")
        self.controller.start()
        self.wait_for_lane()
        stop_in_order(self.controller, worker)

    def test_of_a_controller_that_lives_is_not_taken_away(self):
        worker = self.start_worker()
        second = self.make(Controller, LANE_SOCKET=self.path).launch()
        self.assertEqual(second.process.wait(60), 1)
        self.assertIn(f"cannot listen on {self.path}, on which another server", second.log_text())
        self.assertEqual(self.controller.metric("hearth_lanes"), 1)
        stop_in_order(self.controller, worker)


if __name__ == "__main__":
    main()
