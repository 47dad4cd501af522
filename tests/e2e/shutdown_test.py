#!/usr/bin/python3
"""SIGTERM: what was accepted gets its answer, the exit status is 0, nothing is left."""

import http.client
import json
import signal
import threading

from harness import BUSY, ECHO, SLEEP, Background, StandaloneTest, eventually, main
from server import sandboxd_of


class Load:
    """Clients that call as fast as they can until the server refuses their connections. An
    exchange that began and has no whole answer is `broken`."""

    def __init__(self, client, function_id, count, keep_connections):
        self._client = client
        self._function_id = function_id
        self._keep = keep_connections
        self.answers = []
        self.broken = []
        self._threads = [threading.Thread(target=self._work) for _ in range(count)]
        for thread in self._threads:
            thread.start()

    def _work(self):
        connection = self._client.connect()
        number = 0
        while True:
            number += 1
            try:
                connection.connect() if connection.sock is None else None
            except OSError:
                return  # the listener is closed: this call was never accepted
            fresh = not self._keep
            body = json.dumps({"functionId": self._function_id, "inputData": number})
            try:
                answer = self._client.exchange(
                    connection, "POST", "/run", body, {"content-type": "application/json"})
            except (http.client.HTTPException, OSError) as problem:
                # A kept connection may be closed between two requests, before this one was read.
                if fresh or not isinstance(problem, (http.client.RemoteDisconnected,
                                                     ConnectionError)):
                    self.broken.append(repr(problem))
                connection.close()
                return
            self.answers.append((number, answer))
            if not self._keep or answer.headers.get("connection") == "close":
                connection.close()

    def join(self):
        for thread in self._threads:
            thread.join()


class ShutdownTest(StandaloneTest):
    def stop_under_load(self, keep_connections, *options):
        server = self.make_server("--memory-budget", "1024", *options).start()
        client = server.client()
        function_id = client.upload(ECHO)
        load = Load(client, function_id, 8, keep_connections)
        eventually(lambda: len(load.answers) > 200, "the load is on")
        server.stop()
        load.join()
        self.assertEqual(load.broken, [])
        for number, answer in load.answers:
            if answer.status == 503:
                self.assertEqual(answer.json()["error"]["code"], "unavailable")
            else:
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json().get("result"), number, answer)

    def test_no_accepted_request_is_dropped_on_new_connections(self):
        for _ in range(3):
            self.stop_under_load(False)

    def test_no_accepted_request_is_dropped_on_kept_connections(self):
        for _ in range(3):
            self.stop_under_load(True)

    def test_no_accepted_request_is_dropped_with_two_threads(self):
        for keep in (False, True):
            self.stop_under_load(keep, "--threads", "2")

    def test_running_calls_end_within_the_grace(self):
        server = self.make_server().start()
        client = server.client()
        function_id = client.upload(SLEEP)
        calls = [Background(lambda: client.run(function_id, 2)) for _ in range(3)]
        eventually(lambda: client.metrics()[BUSY] >= 1, "a call runs")
        server.stop()
        for call in calls:
            self.assertEqual(call.result()["result"], "rested")

    def test_what_outlasts_the_grace_is_ended_with_an_answer(self):
        server = self.make_server("--grace", "1", "--concurrency", "1").start()
        client = server.client()
        function_id = client.upload(SLEEP)
        running = Background(lambda: client.try_run(function_id, 600))
        eventually(lambda: client.metrics()[BUSY] == 1, "the call runs")
        waiting = Background(lambda: client.try_run(function_id, 600))
        eventually(lambda: client.metrics()["hearth_invocations_waiting"] == 1, "one waits")
        server.stop()
        ended = running.result()
        self.assertEqual((ended.status, ended.json()["status"]), (200, "FAILED"), ended)
        self.assertIn("shutting down", ended.json()["error"]["message"])
        refused = waiting.result()
        self.assertEqual(refused.status, 503, refused)
        self.assertEqual(refused.json()["error"]["code"], "unavailable")
        self.assertIn("retry-after", refused.headers)

    def test_a_draining_server_says_so_to_those_who_ask(self):
        server = self.make_server().start()
        client = server.client()
        function_id = client.upload(SLEEP)
        running = Background(lambda: client.run(function_id, 2))
        eventually(lambda: client.metrics()[BUSY] == 1, "the call runs")
        connection = client.connect()
        connection.connect()
        server.signal(signal.SIGTERM)
        eventually(lambda: "draining" in server.log_text(), "the drain")
        answer = client.exchange(connection, "GET", "/health")
        self.assertEqual((answer.status, answer.headers["connection"]), (503, "close"), answer)
        connection.close()
        self.assertEqual(running.result()["result"], "rested")
        self.assertEqual(server.wait(), 0)
        server.check_nothing_left()

    def test_sigint_drains_too(self):
        server = self.make_server().start()
        server.client().result(server.client().upload(ECHO), 1)
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 0)
        server.check_nothing_left()

    def test_a_second_interrupt_leaves_at_once_and_cleans_up_all_the_same(self):
        server = self.make_server("--grace", "600").start()
        client = server.client()
        function_id = client.upload(SLEEP)
        Background(lambda: self.ignore(client, function_id))
        eventually(lambda: client.metrics()[BUSY] == 1, "the call runs")
        server.signal(signal.SIGINT)
        eventually(lambda: "draining" in server.log_text(), "the drain")
        server.signal(signal.SIGINT)
        self.assertEqual(server.wait(), 128 + signal.SIGINT)
        server.check_nothing_left()

    @staticmethod
    def ignore(client, function_id):
        try:
            return client.try_run(function_id, 600)
        except (OSError, http.client.HTTPException):
            return "cut off"

    def test_idle_connections_do_not_hold_it_up(self):
        server = self.make_server("--grace", "600").start()
        client = server.client()
        idle = [client.connect() for _ in range(50)]
        for connection in idle:
            connection.connect()
        kept = client.connect()
        client.exchange(kept, "GET", "/health")
        half = client.connect()
        half.connect()
        half.sock.sendall(b"POST /run HTTP/1.1\r\nhost: a\r\n")
        server.stop()
        for connection in [*idle, kept, half]:
            connection.close()

    def test_queued_jobs_run_after_the_restart(self):
        server = self.make_server("--jobs", "1", "--grace", "1").start()
        client = server.client()
        quick, slow = client.upload(ECHO), client.upload(SLEEP, timeoutMs=900000)
        blocking = client.submit(slow, 3)
        eventually(lambda: client.status(blocking)["status"] == "RUNNING", "the first job runs")
        jobs = [client.submit(quick, number) for number in range(30)]
        server.stop()
        again = self.make_server(data_dir=server.data_dir).start()
        client = again.client()
        for number, job_id in enumerate(jobs):
            record = client.wait_for_job(job_id)
            self.assertEqual((record["status"], record["result"]), ("SUCCEEDED", number))
        self.assertEqual(client.wait_for_job(blocking)["result"], "rested")
        again.stop()

    def test_functions_and_records_are_there_after_the_restart(self):
        server = self.make_server().start()
        client = server.client()
        function_id = client.upload(ECHO, name="kept", env={"A": "b"}, memoryMb=200)
        body = client.run(function_id, "before")
        record = client.wait_for_job_record(body["jobId"])
        described = client.get(f"/functions/{function_id}").json()
        server.stop()
        again = self.make_server(data_dir=server.data_dir).start()
        client = again.client()
        self.assertEqual(client.get(f"/functions/{function_id}").json(), described)
        self.assertEqual(client.get(f"/status/{body['jobId']}").json(), record)
        self.assertEqual(client.result(function_id, "after"), "after")
        again.stop()

    def test_sandboxd_does_not_outlive_a_clean_end(self):
        server = self.make_server().start()
        pid = sandboxd_of(server.instance)
        self.assertGreater(pid, 0)
        server.stop()


if __name__ == "__main__":
    main()
