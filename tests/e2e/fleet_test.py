#!/usr/bin/python3
"""A controller and its workers, as programs: calls, jobs, functions, and the workers' lives."""

import signal

from fleet import ASYNC, HELLO, SLEEPER, FleetTest, Worker, stop_in_order
from harness import Background, eventually, in_parallel, main

class ACallOfAFleet(FleetTest):
    def setUp(self):
        self.controller = self.start_controller()
        self.workers = self.start_workers(self.controller, 2)
        self.client = self.controller.client()

    def tearDown(self):
        stop_in_order(self.controller, *self.workers)

    def test_is_answered_recorded_and_forgotten_with_its_function(self):
        function = self.client.upload(HELLO)
        answer = self.client.run(function, {"name": "Ada"})
        self.assertEqual((answer["status"], answer["result"]), ("SUCCEEDED", {"hello": "Ada"}))
        record = self.client.get(f"/status/{answer['jobId']}").json()
        self.assertEqual((record["status"], record["attempts"]), ("SUCCEEDED", 1))
        self.assertEqual(record["result"], {"hello": "Ada"})

        job = self.client.post_json(
            "/run", {"functionId": function, "inputData": {"name": "Bob"}}, ASYNC
        )
        self.assertEqual(job.status, 202)
        done = self.client.wait_for_job(job.json()["jobId"])
        self.assertEqual((done["status"], done["result"]), ("SUCCEEDED", {"hello": "Bob"}))

        self.assertEqual(self.client.request("DELETE", f"/functions/{function}").status, 204)
        self.assertEqual(self.client.try_run(function, {"name": "Eve"}).status, 404)

    def test_that_fails_is_answered_at_once_and_a_job_is_tried_three_times(self):
        function = self.client.upload("def handler(event, context):\n    raise KeyError('x')\n")
        answer = self.client.run(function)
        self.assertEqual((answer["status"], answer["error"]["type"]), ("FAILED", "KeyError"))
        self.assertEqual(self.client.get(f"/status/{answer['jobId']}").json()["attempts"], 1)
        job = self.client.post_json("/run", {"functionId": function}, ASYNC).json()["jobId"]
        done = self.client.wait_for_job(job)
        self.assertEqual((done["status"], done["attempts"]), ("DEAD", 3))

    def test_with_a_large_event_and_a_large_result_comes_through_whole(self):
        function = self.client.upload("def handler(event, context):\n    return event['text'] * 2")
        text = "ä" * 700_000
        answer = self.client.run(function, {"text": text})
        self.assertEqual(answer["status"], "SUCCEEDED", answer.get("error"))
        self.assertEqual(answer["result"], text * 2)

    def test_is_shared_among_the_workers(self):
        function = self.client.upload(SLEEPER)
        answers = in_parallel(
            [lambda: self.client.run(function, {"seconds": 0.2}) for _ in range(32)]
        )
        self.assertEqual({each["status"] for each in answers}, {"SUCCEEDED"})
        received = [each.metric('hearth_job_events{event="received"}') for each in self.workers]
        self.assertEqual(sum(received), 32)
        self.assertTrue(all(received), received)

    def test_runs_the_new_code_after_an_update_and_old_sandboxes_end(self):
        function = self.client.upload("def handler(event, context):\n    return 1\n")
        answers = in_parallel([lambda: self.client.run(function) for _ in range(8)])
        self.assertEqual({each["result"] for each in answers}, {1})
        old = [each for each in self.workers if each.metric("hearth_sandboxes_started")]
        changed = self.client.try_update(function, "def handler(event, context):\n    return 2\n")
        self.assertEqual(changed.status, 200)
        self.assertEqual(self.client.result(function), 2)
        # A worker that had no job of it since hears of it with a heartbeat.
        eventually(
            lambda: all(each.metric("hearth_sandboxes_retired") for each in old),
            "the end of every sandbox of the old revision",
        )


class ACaller(FleetTest):
    def test_whose_deadline_passes_gets_a_504_with_the_job_and_its_end_can_be_asked_for(self):
        controller = self.start_controller()
        client = controller.client()
        function = client.upload(HELLO)
        late = client.try_run(function, {"name": "Ada"}, {"x-timeout-ms": "200"})
        self.assertEqual(late.status, 504, late)
        job = late.json()["jobId"]
        self.assertEqual(client.get(f"/status/{job}").json()["status"], "QUEUED")
        # Nobody waits for it any more, so that it is not begun.
        (worker,) = self.start_workers(controller, 1)
        done = client.wait_for_job(job)
        self.assertEqual(done["status"], "FAILED")
        self.assertEqual(done["error"]["type"], "Sandbox.StartFailed")
        stop_in_order(controller, worker)


class AWorker(FleetTest):
    def setUp(self):
        self.controller = self.start_controller()

    def tearDown(self):
        self.controller.stop()

    def test_is_listed_and_counts_as_dead_when_it_was_killed(self):
        killed, other = self.start_workers(self.controller, 2)
        eventually(lambda: len(self.controller.live_workers()) == 2, "two live workers")
        self.assertEqual(self.controller.metric('hearth_workers{state="live"}'), 2)
        gone = killed.id
        killed.kill()
        eventually(
            lambda: self.controller.workers()[gone]["status"] == "DEAD", "that it is missed"
        )
        self.assertEqual(self.controller.metric('hearth_workers{state="dead"}'), 1)
        other.stop()
        self.assertNotIn(other.id, self.controller.workers(), "it said goodbye")

    def test_is_known_again_to_a_controller_that_was_restarted(self):
        (worker,) = self.start_workers(self.controller, 1)
        eventually(lambda: worker.id in self.controller.workers(), "the first heartbeat")
        self.controller.kill()
        self.controller.start()
        eventually(lambda: worker.id in self.controller.workers(), "the next heartbeat")
        self.assertEqual(self.controller.workers()[worker.id]["status"], "LIVE")
        worker.stop()

    def test_that_drains_finishes_what_runs_and_takes_nothing_new(self):
        (worker,) = self.start_workers(self.controller, 1)
        client = self.controller.client()
        function = client.upload(SLEEPER)
        running = Background(lambda: client.run(function, {"seconds": 2}))
        eventually(lambda: worker.metric('hearth_sandboxes{state="busy"}'), "that it runs")
        worker.signal(signal.SIGTERM)
        eventually(lambda: "draining" in worker.log_text(), "the drain")
        waiting = client.post_json(
            "/run", {"functionId": function, "inputData": {"seconds": 0}}, ASYNC
        ).json()["jobId"]
        self.assertEqual(running.result()["result"], "slept")
        worker.wait_for_clean_end()
        self.assertEqual(worker.left_behind(), [])
        self.assertEqual(client.get(f"/status/{waiting}").json()["status"], "QUEUED")
        (next_one,) = self.start_workers(self.controller, 1)
        self.assertEqual(client.wait_for_job(waiting)["status"], "SUCCEEDED")
        next_one.stop()

    def test_hands_back_at_once_what_outlasts_the_grace(self):
        (worker,) = self.start_workers(self.controller, 1, HEARTH_GRACE_SECONDS="1")
        client = self.controller.client()
        function = client.upload(SLEEPER)
        event = {"functionId": function, "inputData": {"seconds": 5}}
        job = client.post_json("/run", event, ASYNC).json()["jobId"]
        eventually(lambda: worker.metric('hearth_sandboxes{state="busy"}'), "that it runs")
        worker.stop()
        # Visible again, not only after the visibility timeout of its delivery.
        eventually(
            lambda: self.controller.metric('hearth_jobs{state="visible"}') == 1, "its return"
        )
        (next_one,) = self.start_workers(self.controller, 1)
        done = client.wait_for_job(job)
        self.assertEqual((done["status"], done["attempts"]), ("SUCCEEDED", 2))
        next_one.stop()

    def test_refuses_nothing_of_its_own_when_the_controller_is_away(self):
        """Jobs come through the queue; heartbeats go on failing, and say so once."""
        (worker,) = self.start_workers(self.controller, 1)
        client = self.controller.client()
        function = client.upload(HELLO)
        self.controller.kill()
        eventually(lambda: "does not hear this worker" in worker.log_text(), "the warning")
        self.assertEqual(worker.client().get("/health").status, 200)
        self.controller.start()
        self.assertEqual(client.run(function, {"name": "x"})["status"], "SUCCEEDED")
        worker.stop()

    def test_with_another_token_is_not_listed_and_says_why(self):
        guess = "a guess of the token"
        stranger = self.make(Worker, self.controller.url, WORKER_TOKEN=guess).start()
        eventually(lambda: "WORKER_TOKEN" in stranger.log_text(), "the reason in its log")
        self.assertEqual(self.controller.workers(), {})
        stranger.stop()


if __name__ == "__main__":
    main()
