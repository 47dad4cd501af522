#!/usr/bin/python3
"""Killed at any moment: no accepted job is lost, nothing is left after the restart."""

import http.client
import os
import signal
import threading
import time

from harness import BUSY, ECHO, SLEEP, Background, StandaloneTest, eventually, main
from server import instance_of, processes_of, reap_orphans, sandboxd_of

FINAL = ("SUCCEEDED", "FAILED", "DEAD")


def ignoring_failures(action):
    """For callers whose server dies under them."""
    try:
        return action()
    except (OSError, http.client.HTTPException, AssertionError):
        return None


class Submitter:
    """Submits jobs until the server is gone; `accepted` holds those that it promised to run."""

    def __init__(self, client, function_id):
        self.accepted = []
        self._client = client
        self._function_id = function_id
        self._thread = threading.Thread(target=lambda: ignoring_failures(self._work))
        self._thread.start()

    def _work(self):
        while True:
            answer = self._client.try_run(
                self._function_id, len(self.accepted), {"x-async": "true"})
            if answer.status == 202:
                self.accepted.append(answer.json()["jobId"])

    def join(self):
        self._thread.join()


class KilledServerTest(StandaloneTest):
    def restart(self, server):
        """Another server on the folder that a killed one used, as soon as it can be had."""
        again = self.make_server(data_dir=server.data_dir)
        return again.start()

    def test_every_accepted_job_reaches_an_outcome(self):
        server = self.make_server("--memory-budget", "1024").start()
        accepted = []
        for _ in range(2):  # fewer than a job's attempts, each of which a kill uses up
            client = server.client()
            function_id = client.upload(ECHO)
            submitters = [Submitter(client, function_id) for _ in range(4)]
            eventually(lambda: sum(len(each.accepted) for each in submitters) > 100, "jobs come")
            server.kill()
            for each in submitters:
                each.join()
                accepted += each.accepted
            server = self.restart(server)
        client = server.client()
        for job_id in accepted:
            record = client.wait_for_job(job_id)
            self.assertEqual(record["status"], "SUCCEEDED", record)
        server.stop()

    def test_jobs_and_calls_that_ran_are_accounted_for(self):
        server = self.make_server("--jobs", "4").start()
        client = server.client()
        function_id = client.upload(SLEEP)
        jobs = [client.submit(function_id, 1) for _ in range(8)]
        call = Background(lambda: ignoring_failures(lambda: client.try_run(function_id, 5)))
        late = client.try_run(function_id, 30, {"x-timeout-ms": "1500"})
        eventually(lambda: client.metrics()[BUSY] >= 2, "they run")
        server.kill()
        self.assertIsNone(call.result())
        again = self.restart(server)
        client = again.client()
        for job_id in jobs:
            record = client.wait_for_job(job_id)
            self.assertEqual((record["status"], record["result"]), ("SUCCEEDED", "rested"))
            self.assertLessEqual(record["attempts"], 3)
        if late.status == 504:  # its caller was promised an answer about it
            record = client.wait_for_job(late.json()["jobId"])
            self.assertIn(record["status"], FINAL)
            self.assertEqual(record["error"]["type"], "Host.Lost")
        self.assertEqual(client.result(function_id, 0), "rested")
        again.stop()

    def make_busy_server(self):
        """A server with calls that will not end by themselves, and their function."""
        server = self.make_server().start()
        client = server.client()
        function_id = client.upload(SLEEP)
        for _ in range(4):
            Background(lambda: ignoring_failures(lambda: client.try_run(function_id, 600)))
        eventually(lambda: client.metrics()[BUSY] >= 2, "calls run")
        return server, function_id

    def test_nothing_runs_on_after_a_kill(self):
        server, _ = self.make_busy_server()
        self.assertGreaterEqual(len(processes_of(server.instance)), 3)
        server.kill()
        server.check_nothing_left()

    def test_nothing_is_left_when_both_processes_are_killed_and_the_server_restarts(self):
        server, function_id = self.make_busy_server()
        sandboxd = sandboxd_of(server.instance)
        server.signal(signal.SIGSTOP)  # so that neither can clean up behind the other
        os.kill(sandboxd, signal.SIGKILL)
        server.kill()
        again = self.restart(server)
        self.assertEqual(again.client().result(function_id, 0), "rested")
        again.stop()

    def test_a_sandbox_manager_that_is_killed_ends_the_server_with_a_message(self):
        server = self.make_server("--grace", "5").start()
        client = server.client()
        function_id = client.upload(SLEEP)
        call = Background(lambda: ignoring_failures(lambda: client.try_run(function_id, 600)))
        eventually(lambda: client.metrics()[BUSY] == 1, "the call runs")
        os.kill(sandboxd_of(server.instance), signal.SIGKILL)
        self.assertNotEqual(server.wait(), 0)
        self.assertIn("hearth-sandboxd is gone", server.log_text())
        answer = call.result()
        self.assertIsNotNone(answer)
        self.assertIn(answer.status, (200, 503), answer)
        # Only root could remove the cgroups, and the server is not; the next start does.
        eventually(lambda: not server.leftovers()["processes"], "every sandbox ends")
        again = self.restart(server)
        self.assertEqual(again.client().result(function_id, 0), "rested")
        again.stop()

    def test_an_upload_cut_off_by_a_kill_leaves_no_file(self):
        server = self.make_server().start()
        client = server.client()
        large = "#" * (20 << 20)
        upload = Background(lambda: ignoring_failures(lambda: client.try_upload(large)))
        time.sleep(0.05)  # anywhere within the upload, or before, or after: all must hold
        server.kill()
        upload.result()
        again = self.restart(server)
        used = {each["codeSha256"] for each in again.client().get("/functions").json()["functions"]}
        stored = {name for folder, _, names in os.walk(f"{server.data_dir}/code") for name in names}
        self.assertLessEqual(stored, used)
        again.stop()

    def test_kills_at_many_moments_leave_a_folder_that_starts(self):
        server = self.make_server("--memory-budget", "512").start()
        function_id = server.client().upload(ECHO)
        accepted = []
        for moment in range(6):
            client = server.client()
            submitter = Submitter(client, function_id)
            time.sleep(moment * 0.03)
            server.kill()
            submitter.join()
            accepted += submitter.accepted
            server = self.restart(server)
        for job_id in accepted:
            record = server.client().wait_for_job(job_id)
            if record["status"] != "SUCCEEDED":  # killed during each of its attempts
                self.assertEqual((record["status"], record["attempts"]), ("DEAD", 3), record)
                self.assertIn("the worker ended during every attempt", record["error"]["message"])
        server.stop()


class SecondServerTest(StandaloneTest):
    def test_a_second_server_on_one_folder_is_refused_with_a_remedy(self):
        server = self.make_server().start()
        second = self.make_server(data_dir=server.data_dir)
        second.launch()
        self.assertNotEqual(second.wait(), 0)
        self.assertIn("another Hearth uses the data folder", second.log_text())
        self.assertIn("--data-dir", second.log_text())
        # The first one does not notice.
        client = server.client()
        self.assertEqual(client.result(client.upload(ECHO), 1), 1)
        server.stop()

    def test_two_servers_on_two_folders_do_not_disturb_each_other(self):
        one, two = self.make_server().start(), self.make_server().start()
        self.assertNotEqual(instance_of(one.data_dir), instance_of(two.data_dir))
        functions = [each.client().upload(ECHO) for each in (one, two)]
        for each, function_id in zip((one, two), functions):
            self.assertEqual(each.client().result(function_id, 1), 1)
        one.kill()
        one.check_nothing_left()
        self.assertFalse(two.client().run(functions[1], 2)["coldStart"])
        two.stop()
        reap_orphans(set())


if __name__ == "__main__":
    main()
