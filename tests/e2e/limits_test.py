#!/usr/bin/python3
"""Full queues and rate limits: a clear 429 with Retry-After, and service as before afterwards."""

import json
import selectors
import socket
import time

from harness import SLEEP, Response, ServerTest, StandaloneTest, eventually, main

FUNCTION_QUEUE_MAX = 100
HOST_QUEUE_MAX = 1000
WAITING = "hearth_invocations_waiting"
ANSWERS_WAIT_S = 60


class Crowd:
    """Many callers at once, without a thread for each."""

    def __init__(self, server):
        self._server = server
        self._selector = selectors.DefaultSelector()
        self._received = {}
        self.answers = []

    def call(self, function_id, event):
        body = json.dumps({"functionId": function_id, "inputData": event})
        connection = socket.create_connection(("127.0.0.1", self._server.port))
        connection.sendall(
            f"POST /run HTTP/1.1\r\nhost: a\r\nx-api-key: {self._server.api_key}\r\n"
            f"content-type: application/json\r\nconnection: close\r\n"
            f"content-length: {len(body)}\r\n\r\n{body}".encode()
        )
        connection.setblocking(False)
        self._received[connection] = b""
        self._selector.register(connection, selectors.EVENT_READ)

    def collect(self, wait_s):
        """Takes what has come, and waits for more at most that long."""
        for key, _ in self._selector.select(wait_s):
            connection = key.fileobj
            try:
                more = connection.recv(65536)
            except ConnectionResetError:
                more = b""
            self._received[connection] += more
            if not more:
                self.answers.append(self._parse(self._received.pop(connection)))
                self._selector.unregister(connection)
                connection.close()

    def collect_until(self, count):
        until = time.monotonic() + ANSWERS_WAIT_S
        while len(self.answers) < count and time.monotonic() < until:
            self.collect(0.2)

    @staticmethod
    def _parse(raw):
        if not raw:
            return Response(0, [], b"")
        head, _, body = raw.partition(b"\r\n\r\n")
        lines = head.decode().split("\r\n")
        headers = [tuple(line.split(": ", 1)) for line in lines[1:]]
        return Response(int(lines[0].split(" ")[1]), headers, body)

    def close(self):
        for connection in self._received:
            connection.close()
        self._selector.close()


class QueueTest(StandaloneTest):
    def full_server(self, *options):
        """A server whose one sandbox is busy for as long as the test needs it."""
        server = self.make_server("--grace", "0", *options).start()
        crowd = Crowd(server)
        self.addCleanup(crowd.close)
        return server, server.client(), crowd

    def assert_refused(self, answer, word):
        self.assertEqual(answer.status, 429, answer)
        self.assertEqual(answer.headers["retry-after"], "1")
        self.assertEqual(answer.json()["error"]["code"], "too_many_requests")
        self.assertIn(word, answer.json()["error"]["message"])

    def test_a_functions_queue_has_an_end_and_others_are_served(self):
        server, client, crowd = self.full_server("--concurrency", "1")
        busy = client.upload(SLEEP)
        other = client.upload(SLEEP)
        crowd.call(busy, 300)
        eventually(lambda: client.metrics()['hearth_sandboxes{state="busy"}'] == 1, "it runs")
        for _ in range(FUNCTION_QUEUE_MAX + 9):
            crowd.call(busy, 300)
        crowd.collect_until(9)
        eventually(lambda: client.metrics()[WAITING] == FUNCTION_QUEUE_MAX, "the queue is full")
        self.assertEqual(len(crowd.answers), 9)
        for answer in crowd.answers:
            self.assert_refused(answer, "function's queue is full (100 calls wait)")
        self.assertEqual(client.metrics()['hearth_invocations_total{status="refused"}'], 9)
        self.assertEqual(client.result(other, 0), "rested")
        # A caller that gives up makes room for another.
        late = client.try_run(busy, 0, {"x-timeout-ms": "100"})
        self.assertEqual(late.status, 429)
        server.stop()
        crowd.collect_until(FUNCTION_QUEUE_MAX + 10)
        self.check_ends(crowd.answers[9:], FUNCTION_QUEUE_MAX + 1)

    def check_ends(self, answers, count):
        """At the end of the grace: each caller still has a whole answer, or a closed connection
        where the kernel had not handed it over."""
        self.assertEqual(len(answers), count)
        for answer in answers:
            self.assertIn(answer.status, (200, 503), answer)
            if answer.status == 200:
                self.assertEqual(answer.json()["status"], "FAILED")
            else:
                self.assertEqual(answer.json()["error"]["code"], "unavailable")
                self.assertIn("retry-after", answer.headers)

    def test_the_hosts_queue_has_an_end(self):
        server, client, crowd = self.full_server("--memory-budget", "128")
        functions = [client.upload(SLEEP) for _ in range(HOST_QUEUE_MAX // FUNCTION_QUEUE_MAX + 1)]
        crowd.call(functions[0], 300)
        eventually(lambda: client.metrics()['hearth_sandboxes{state="busy"}'] == 1, "it runs")
        for each in functions[:-1]:
            for _ in range(FUNCTION_QUEUE_MAX):
                crowd.call(each, 0)
        eventually(lambda: client.metrics()[WAITING] == HOST_QUEUE_MAX, "the queue is full")
        self.assert_refused(client.try_run(functions[-1], 0), "host's queue is full (1000 calls")
        # A function with a place in line of its own is refused just the same.
        self.assertEqual(client.get("/health").status, 200)
        server.stop()
        crowd.collect_until(HOST_QUEUE_MAX + 1)
        self.check_ends(crowd.answers, HOST_QUEUE_MAX + 1)

    def test_a_caller_that_gives_up_leaves_the_queue(self):
        server, client, crowd = self.full_server("--concurrency", "1")
        busy = client.upload(SLEEP)
        crowd.call(busy, 300)
        eventually(lambda: client.metrics()['hearth_sandboxes{state="busy"}'] == 1, "it runs")
        late = client.try_run(busy, 0, {"x-timeout-ms": "200"})
        self.assertEqual(late.status, 504, late)
        eventually(lambda: client.metrics()[WAITING] == 0, "the queue is empty")
        ended = client.wait_for_job(late.json()["jobId"])
        self.assertEqual(ended["status"], "FAILED")
        self.assertEqual(ended["attempts"], 0)
        server.stop()


class RateLimitTest(ServerTest):
    options = ("--rate-limit", "5")

    def test_requests_over_the_rate_are_429_with_the_time_to_wait(self):
        answers = [self.client.get("/functions") for _ in range(8)]
        self.assertEqual([each.status for each in answers], [200] * 5 + [429] * 3)
        for each in answers[5:]:
            self.assert_error(each, 429, "rate_limited")
            self.assertTrue(1 <= int(each.headers["retry-after"]) <= 60, each)
            self.assertEqual(each.headers["ratelimit-limit"], "5")
            self.assertEqual(each.headers["ratelimit-remaining"], "0")
        # Health stays open, and a wrong key is not counted as a request of the key's owner.
        self.assertEqual(self.client.get("/health").status, 200)
        self.assertEqual(self.client.get("/functions", key=False).status, 401)


class WrongKeysTest(ServerTest):
    options = ("--rate-limit", "1000")

    def test_of_an_address_are_counted_and_then_refused_whatever_they_are(self):
        answers = [self.client.get("/functions", key=False) for _ in range(21)]
        self.assertEqual([each.status for each in answers], [401] * 20 + [429])
        self.assert_error(answers[-1], 429, "rate_limited")
        self.assertTrue(1 <= int(answers[-1].headers["retry-after"]) <= 60)
        # The right one, found by trying, would be no use either.
        self.assertEqual(self.client.get("/functions").status, 429)
        self.assertEqual(self.client.get("/health").status, 200)


if __name__ == "__main__":
    main()
