#!/usr/bin/python3
"""Several threads on one port: everything works whichever of them a connection reaches."""

import json
import re

from harness import ECHO, SLEEP, ServerTest, eventually, in_parallel, main
from server import read_text

# Connections are spread by a hash of their ports: this many miss a thread once in 2^39.
CONNECTIONS = 40


class ThreadsTest(ServerTest):
    options = ("--threads", "2", "--memory-budget", "1024")

    def test_every_route_works_on_every_connection(self):
        def visit(number):
            connection = self.client.connect()

            def exchange(method, path, value=None):
                kind = {"content-type": "application/json"}
                body = None if value is None else json.dumps(value)
                return self.client.exchange(connection, method, path, body, kind)

            function_id = self.client.upload(ECHO, name=f"f{number}")
            self.assertEqual(exchange("GET", f"/functions/{function_id}").status, 200)
            answer = exchange("POST", "/run", {"functionId": function_id, "inputData": number})
            self.assertEqual(answer.json()["result"], number)
            answer = exchange("PUT", f"/functions/{function_id}", {"name": "renamed"})
            self.assertEqual(answer.json()["revision"], 2)
            self.assertEqual(exchange("GET", "/functions?limit=1").status, 200)
            self.assertEqual(exchange("GET", "/status/nobody").status, 404)
            self.assertEqual(exchange("GET", "/metrics").status, 200)
            self.assertEqual(exchange("DELETE", f"/functions/{function_id}").status, 204)
            self.assertEqual(exchange("GET", f"/functions/{function_id}").status, 404)
            self.assertEqual(exchange("GET", "/health").status, 200)
            connection.close()
            return True

        for first in range(0, CONNECTIONS, 8):
            actions = [lambda n=n: visit(n) for n in range(first, first + 8)]
            self.assertEqual(in_parallel(actions), [True] * 8)

    def test_what_one_connection_uploads_another_one_runs(self):
        function_id = self.client.upload(ECHO)
        actions = [lambda n=n: self.client.result(function_id, n) for n in range(CONNECTIONS)]
        self.assertEqual(in_parallel(actions), list(range(CONNECTIONS)))

    def test_requests_of_all_threads_are_counted_together(self):
        name = 'http_request_duration_seconds_count{method="GET",route="/health",status="200"}'
        before = self.client.metrics().get(name, 0)
        for _ in range(CONNECTIONS):
            self.client.get("/health")
        self.assertEqual(self.client.metrics()[name] - before, CONNECTIONS)

    def test_the_table_of_open_files_is_made_at_start_and_never_while_a_call_waits(self):
        def table():
            status = read_text(f"/proc/{self.server.pid}/status")
            return int(re.search(r"^FDSize:\s*(\d+)", status, re.M)[1])

        before = table()
        self.assertGreater(before, 4096)
        function_id = self.client.upload(ECHO)
        in_parallel([lambda n=n: self.client.result(function_id, n) for n in range(CONNECTIONS)])
        self.assertEqual(table(), before)

    def test_a_deadline_passes_on_every_thread(self):
        function_id = self.client.upload(SLEEP)
        self.client.result(function_id, 0)
        answers = in_parallel([
            lambda: self.client.try_run(function_id, 1, {"x-timeout-ms": "100"})
            for _ in range(12)])
        for each in answers:
            self.assertEqual(each.status, 504, each)
        for each in answers:
            self.assertIn(self.client.wait_for_job(each.json()["jobId"])["status"],
                          ("SUCCEEDED", "FAILED"))

    def test_jobs_and_large_bodies_cross_threads(self):
        function_id = self.client.upload(ECHO, memoryMb=256)
        large = "x" * (3 << 20)
        results = in_parallel([lambda: self.client.result(function_id, large)] * 6)
        self.assertEqual({len(each) for each in results}, {len(large)})
        jobs = in_parallel([lambda n=n: self.client.submit(function_id, n) for n in range(40)])
        self.assertEqual([self.client.wait_for_job(each)["result"] for each in jobs],
                         list(range(40)))

    def test_connections_that_break_off_are_all_given_up(self):
        opened = 'hearth_http_connections'
        connections = [self.client.connect() for _ in range(CONNECTIONS)]
        for each in connections:
            each.connect()
            each.sock.sendall(b"POST /run HTTP/1.1\r\ncontent-length: 1000\r\nhost: a\r\n\r\nhalf")
        for each in connections:
            each.close()
        eventually(lambda: self.client.metrics()[opened] == 1, "only the asking one is left")


if __name__ == "__main__":
    main()
