#!/usr/bin/python3
"""Concurrent calls: how many sandboxes they get, and what gives way when memory is short."""

from harness import ECHO, ServerTest, eventually, in_parallel, main

STARTED = "hearth_sandboxes_started"
# Reports what it was and when it ran, by the clock that all sandboxes share.
TIMED = """
import time, uuid
WHO = str(uuid.uuid4())
def handler(seconds, context):
    began = time.monotonic()
    time.sleep(seconds)
    return [WHO, began, time.monotonic()]
"""


def most_at_once(spans):
    """The largest number of (began, ended) that overlap."""
    steps = sorted([(began, 1) for began, _ in spans] + [(ended, -1) for _, ended in spans])
    most = now = 0
    for _, change in steps:
        now += change
        most = max(most, now)
    return most


class ConcurrencyTest(ServerTest):
    options = ("--memory-budget", "4096")

    def test_simultaneous_first_calls_of_a_fast_function_share_sandboxes(self):
        function_id = self.client.upload("def handler(event, context):\n    return event\n")
        before = self.client.metrics()[STARTED]
        results = in_parallel([lambda n=n: self.client.result(function_id, n) for n in range(16)])
        self.assertEqual(results, list(range(16)))
        self.assertLess(self.client.metrics()[STARTED] - before, 16)

    def test_calls_of_a_slow_function_overlap(self):
        function_id = self.client.upload(TIMED)
        results = in_parallel([lambda: self.client.result(function_id, 1) for _ in range(8)])
        self.assertGreaterEqual(most_at_once([each[1:] for each in results]), 5)
        self.assertGreaterEqual(len({each[0] for each in results}), 5)

    def test_a_sandbox_has_one_call_at_a_time(self):
        function_id = self.client.upload(TIMED)
        actions = [lambda: self.client.result(function_id, 0.05) for _ in range(40)]
        by_sandbox = {}
        for who, began, ended in in_parallel(actions):
            by_sandbox.setdefault(who, []).append((began, ended))
        for spans in by_sandbox.values():
            self.assertEqual(most_at_once(spans), 1)

    def test_a_warm_sandbox_is_used_again(self):
        function_id = self.client.upload(TIMED)
        self.assertEqual(len({self.client.result(function_id, 0)[0] for _ in range(20)}), 1)


class LaneTest(ServerTest):
    def test_synchronous_calls_go_over_the_lane_that_a_fleet_has(self):
        function_id = self.client.upload(ECHO)
        large = "x" * 3_000_000  # beyond what a lane takes unasked
        for event in ({"name": "Ada"}, large):
            self.assertEqual(self.client.result(function_id, event), event)
        found = self.client.metrics()
        self.assertEqual(found["hearth_lanes"], 1)
        self.assertEqual(found['hearth_lane_calls{event="answered"}'], 2)
        self.assertEqual(found['hearth_lane_calls{event="queued"}'], 0)


class LimitTest(ServerTest):
    options = ("--concurrency", "2", "--memory-budget", "4096")

    def test_no_more_sandboxes_than_the_concurrency_run_at_once(self):
        function_id = self.client.upload(TIMED)
        results = in_parallel([lambda: self.client.result(function_id, 0.3) for _ in range(10)])
        self.assertLessEqual(most_at_once([each[1:] for each in results]), 2)
        self.assertLessEqual(len({each[0] for each in results}), 2)


class MemoryTest(ServerTest):
    options = ("--memory-budget", "256")
    RESERVED = "hearth_sandbox_memory_reserved_megabytes"

    def test_idle_sandboxes_of_others_make_room(self):
        functions = [self.client.upload(TIMED) for _ in range(5)]
        for _ in range(2):
            for each in functions:
                self.client.result(each, 0)
                self.assertLessEqual(self.client.metrics()[self.RESERVED], 256)
        self.assertGreaterEqual(self.client.metrics()["hearth_sandboxes_evicted"], 6)

    def test_everybody_is_served_within_the_budget(self):
        functions = [self.client.upload(TIMED) for _ in range(6)]
        actions = [lambda each=each: self.client.result(each, 0.1) for each in functions * 4]
        results = in_parallel(actions)
        self.assertLessEqual(most_at_once([each[1:] for each in results]), 2)
        self.assertLessEqual(self.client.metrics()[self.RESERVED], 256)

    def test_a_function_that_fits_alone_waits_for_the_others(self):
        small, large = self.client.upload(TIMED), self.client.upload(TIMED, memoryMb=256)
        results = in_parallel(
            [lambda each=each: self.client.result(each, 0.2) for each in [small, large] * 4])
        for who, began, ended in results[1::2]:
            others = [each[1:] for each in results if each[0] != who]
            for other_began, other_ended in others:
                self.assertTrue(other_ended <= began or other_began >= ended)

    def test_a_function_that_can_never_fit_is_told_so(self):
        function_id = self.client.upload(TIMED, memoryMb=512)
        body = self.client.run(function_id, 0)
        self.assertEqual(body["status"], "FAILED", body)
        self.assertIn("512", body["error"]["message"])


class ExpiryTest(ServerTest):
    options = ("--idle-ttl", "1")

    def test_an_idle_sandbox_ends_and_the_next_call_gets_a_new_one(self):
        function_id = self.client.upload(TIMED)
        first = self.client.result(function_id, 0)[0]
        idle = 'hearth_sandboxes{state="idle"}'
        eventually(lambda: self.client.metrics()[idle] == 0, "the idle sandbox ends")
        self.assertNotEqual(self.client.result(function_id, 0)[0], first)


if __name__ == "__main__":
    main()
