#!/usr/bin/python3
"""Jobs: accepted with 202, run at least once, their status always answerable."""

from harness import ECHO, SLEEP, ServerTest, eventually, in_parallel, main

PAYLOAD_BYTES_MAX = 256 << 10
ORDER = ["QUEUED", "RUNNING", "SUCCEEDED"]


class JobTest(ServerTest):
    options = ("--jobs", "4", "--memory-budget", "2048")

    def test_a_job_is_queued_then_runs_then_has_succeeded(self):
        function_id = self.client.upload(SLEEP)
        answer = self.client.try_run(function_id, 1, {"x-async": "true"})
        self.assertEqual(answer.status, 202, answer)
        body = answer.json()
        self.assertEqual(set(body), {"jobId", "status"})
        self.assertEqual(body["status"], "QUEUED")
        self.assertEqual(answer.headers["location"], f"/status/{body['jobId']}")
        seen = []

        def ended():
            record = self.client.status(body["jobId"])
            if record["status"] not in seen:
                seen.append(record["status"])
            self.assertEqual("result" in record, record["status"] == "SUCCEEDED")
            return record["status"] == "SUCCEEDED" and record
        record = eventually(ended, "the job's end")
        self.assertEqual(seen, [each for each in ORDER if each in seen])
        self.assertIn("RUNNING", seen)
        self.assertEqual((record["result"], record["attempts"]), ("rested", 1))
        self.assertEqual(record["functionId"], function_id)
        self.assertGreaterEqual(record["durationMs"], 1000)

    def test_the_request_id_goes_with_the_job(self):
        function_id = self.client.upload(
            "def handler(e, c):\n    print('seen')\n    return c.aws_request_id\n")
        answer = self.client.try_run(function_id, 1, {"x-async": "true", "x-request-id": "mine-1"})
        record = self.client.wait_for_job(answer.json()["jobId"])
        self.assertEqual((record["result"], record["requestId"]), ("mine-1", "mine-1"))
        self.assertEqual(record["logs"], "seen\n")

    def test_a_job_that_fails_is_tried_three_times_and_is_dead_then(self):
        function_id = self.client.upload("def handler(e, c):\n    raise ValueError('never')\n")
        record = self.client.wait_for_job(self.client.submit(function_id))
        self.assertEqual((record["status"], record["attempts"]), ("DEAD", 3))
        self.assertEqual(record["error"]["type"], "ValueError")
        self.assertEqual(record["error"]["message"], "never")
        self.assertNotIn("result", record)
        samples = self.client.metrics()
        self.assertGreaterEqual(samples['hearth_jobs{state="dead"}'], 1)

    def test_a_job_that_crashes_or_hangs_is_dead_after_three_attempts_too(self):
        for code in ("import os\ndef handler(e, c):\n    os.abort()\n",
                     "def handler(e, c):\n    while True:\n        pass\n",
                     "import nothing_at_all\n"):
            with self.subTest(code):
                function_id = self.client.upload(code, timeoutMs=200)
                record = self.client.wait_for_job(self.client.submit(function_id))
                self.assertEqual((record["status"], record["attempts"]), ("DEAD", 3), record)

    def test_a_job_that_can_never_fit_comes_to_an_end(self):
        function_id = self.client.upload(ECHO, memoryMb=4096)
        record = self.client.wait_for_job(self.client.submit(function_id))
        self.assertIn(record["status"], ("DEAD", "FAILED"))

    def test_a_deleted_functions_jobs_come_to_an_end(self):
        function_id = self.client.upload(SLEEP)
        jobs = [self.client.submit(function_id, 0.5) for _ in range(12)]
        self.assertEqual(self.client.request("DELETE", f"/functions/{function_id}").status, 204)
        for job_id in jobs:
            record = self.client.wait_for_job(job_id)
            if record["status"] != "SUCCEEDED":  # it ran already when the function went
                self.assertIn(record["status"], ("FAILED", "DEAD"))
                self.assertEqual(record["error"]["type"], "Runtime.CodeUnavailable", record)

    def test_two_hundred_jobs_all_succeed_once(self):
        function_id = self.client.upload(ECHO)
        jobs = in_parallel([
            lambda first=first: [self.client.submit(function_id, number)
                                 for number in range(first, first + 25)]
            for first in range(0, 200, 25)])
        jobs = [job_id for each in jobs for job_id in each]
        self.assertEqual(len(set(jobs)), 200)
        records = [self.client.wait_for_job(job_id) for job_id in jobs]
        self.assertEqual({record["status"] for record in records}, {"SUCCEEDED"})
        self.assertEqual([record["result"] for record in records], list(range(200)))
        self.assertEqual({record["attempts"] for record in records}, {1})

    def test_jobs_and_calls_run_beside_each_other(self):
        slow, fast = self.client.upload(SLEEP), self.client.upload(ECHO)
        jobs = [self.client.submit(slow, 1) for _ in range(8)]
        for number in range(20):
            self.assertEqual(self.client.result(fast, number), number)
        for job_id in jobs:
            self.assertEqual(self.client.wait_for_job(job_id)["status"], "SUCCEEDED")

    def test_a_payload_over_the_limit_is_413(self):
        function_id = self.client.upload(ECHO)
        fits = "x" * (PAYLOAD_BYTES_MAX - 2)
        record = self.client.wait_for_job(self.client.submit(function_id, fits))
        self.assertEqual(record["result"], fits)
        answer = self.client.try_run(function_id, fits + "x", {"x-async": "true"})
        self.assert_error(answer, 413, "payload_too_large")
        # As a call it is well within the limits.
        self.assertEqual(self.client.result(function_id, fits + "x"), fits + "x")

    def test_a_job_may_return_six_megabytes(self):
        function_id = self.client.upload("def handler(e, c):\n    return 'x' * e\n", memoryMb=256)
        record = self.client.wait_for_job(self.client.submit(function_id, (6 << 20) - 2))
        self.assertEqual(len(record["result"]), (6 << 20) - 2)

    def test_only_x_async_makes_a_job(self):
        function_id = self.client.upload(ECHO)
        for value, status in (("true", 202), ("false", 200), ("", 200), ("0", 200)):
            answer = self.client.try_run(function_id, 1, {"x-async": value})
            self.assertEqual(answer.status, status, (value, answer))


if __name__ == "__main__":
    main()
