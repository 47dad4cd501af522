#!/usr/bin/python3
"""The HTTP API: routes, keys, request ids, error bodies, deadlines, metrics."""

import http.client
import json
import re

from harness import ServerTest, eventually, main, raw_exchange, raw_status

HELLO = """
def handler(event, context):
    return {"event": event, "requestId": context.aws_request_id}
"""
SLEEP = """
import time
def handler(event, context):
    time.sleep(event["seconds"])
    return "rested"
"""
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z")
ROUTES = {
    "/health": {"GET", "HEAD"},
    "/metrics": {"GET", "HEAD"},
    "/upload": {"POST"},
    "/functions": {"GET", "HEAD"},
    "/functions/some-id": {"GET", "HEAD", "PUT", "DELETE"},
    "/run": {"POST"},
    "/status/some-id": {"GET", "HEAD"},
}


class KeyTest(ServerTest):
    def test_health_is_open_and_everything_else_wants_the_key(self):
        self.assertEqual(self.client.get("/health", key=False).json(), {"status": "ok"})
        for path, methods in ROUTES.items():
            for method in methods - {"HEAD"}:
                if path == "/health":
                    continue
                with self.subTest(path=path, method=method):
                    answer = self.client.request(method, path, key=False)
                    self.assert_error(answer, 401, "unauthorized")
                    self.assertEqual(answer.headers["www-authenticate"], "Bearer")

    def test_the_key_is_taken_from_both_headers(self):
        key = self.server.api_key
        for headers in (
            {"x-api-key": key},
            {"X-API-KEY": key},
            {"authorization": f"Bearer {key}"},
            {"Authorization": f"bearer {key}"},
        ):
            with self.subTest(headers):
                answer = self.client.get("/functions", headers=headers, key=False)
                self.assertEqual(answer.status, 200, answer)

    def test_no_other_key_is_taken(self):
        key = self.server.api_key
        wrong = [key[:-1], key + "x", key[:-1] + "X", key.upper(), "x" * 4000, f"Bearer {key}"]
        for each in wrong:
            with self.subTest(each[:40]):
                for headers in ({"x-api-key": each}, {"authorization": f"Bearer {each}"}):
                    answer = self.client.get("/functions", headers=headers, key=False)
                    self.assert_error(answer, 401, "unauthorized")
        for value in (key, f"Basic {key}", f"Bearer{key}", "Bearer ", "Bearer"):
            with self.subTest(value):
                answer = self.client.get("/functions", headers={"authorization": value}, key=False)
                self.assert_error(answer, 401, "unauthorized")

    def test_an_empty_key_is_not_a_key(self):
        answer = self.client.get("/functions", headers={"x-api-key": ""}, key=False)
        self.assert_error(answer, 401, "unauthorized")

    def test_the_key_is_asked_for_before_the_body_is_read(self):
        head = b"POST /upload HTTP/1.1\r\nhost: a\r\ncontent-length: 50000000\r\n\r\n"
        self.assertEqual(raw_status(raw_exchange(self.server.port, head)), 401)


class RouteTest(ServerTest):
    def test_every_route_names_its_methods_in_allow(self):
        for path, methods in ROUTES.items():
            for method in {"GET", "POST", "PUT", "DELETE", "PATCH"} - methods:
                with self.subTest(path=path, method=method):
                    answer = self.client.request(method, path)
                    self.assert_error(answer, 405)
                    allowed = set(re.split(r",\s*", answer.headers["allow"]))
                    self.assertEqual(allowed - {"OPTIONS"}, methods)

    def test_unknown_paths_are_404(self):
        for path in ("/", "/nothing", "/run/", "/functions/a/b", "/Health", "/status"):
            with self.subTest(path):
                self.assert_error(self.client.get(path), 404, "not_found")

    def test_unknown_functions_and_jobs_are_404(self):
        for method, path in (
            ("GET", "/functions/nobody"),
            ("DELETE", "/functions/nobody"),
            ("GET", "/status/nobody"),
            ("GET", "/functions/%27%20OR%201%3D1"),
            ("GET", "/status/" + "x" * 1000),
        ):
            with self.subTest(path=path[:40], method=method):
                self.assert_error(self.client.request(method, path), 404, "not_found")
        update = self.client.post_json("/functions/nobody", {"name": "a"}, method="PUT")
        self.assert_error(update, 404, "not_found")
        self.assert_error(self.client.try_run("nobody"), 404, "not_found")
        self.assert_error(self.client.try_run("x\0y" * 100), 404, "not_found")

    def test_head_is_get_without_the_body(self):
        function_id = self.client.upload(HELLO)
        for path in ("/health", f"/functions/{function_id}", "/functions"):
            with self.subTest(path):
                got = self.client.get(path)
                head = self.client.request("HEAD", path)
                self.assertEqual(head.status, 200)
                self.assertEqual(head.body, b"")
                self.assertEqual(head.headers["content-length"], got.headers["content-length"])
                self.assertEqual(head.headers["content-type"], got.headers["content-type"])

    def test_bodies_are_asked_for_with_411(self):
        for line in (b"POST /run", b"POST /upload", b"PUT /functions/x"):
            with self.subTest(line):
                head = line + b" HTTP/1.1\r\nhost: a\r\nx-api-key: end-to-end\r\n"
                answer = raw_exchange(self.server.port, head + b"connection: close\r\n\r\n")
                self.assertEqual(raw_status(answer), 411, answer)

    def test_other_content_types_are_415(self):
        for method, path, kind in (
            ("POST", "/run", "text/plain"),
            ("POST", "/run", "application/x-www-form-urlencoded"),
            ("POST", "/run", "application/jsonp"),
            ("POST", "/upload", "application/json"),
            ("POST", "/upload", "application/octet-stream"),
            ("PUT", "/functions/x", "text/plain"),
        ):
            with self.subTest(path=path, kind=kind):
                answer = self.client.request(method, path, b"{}", {"content-type": kind})
                self.assert_error(answer, 415, "unsupported_media_type")
        self.assert_error(self.client.request("POST", "/run", b"{}"), 415)

    def test_long_targets_are_414_and_large_headers_431(self):
        answer = self.client.get("/functions?cursor=" + "x" * 100_000)
        self.assert_error(answer, 414)
        answer = self.client.get("/functions", headers={"x-large": "x" * 100_000})
        self.assert_error(answer, 431)
        many = {f"x-header-{number}": "x" for number in range(1000)}
        connection = self.client.connect()
        self.addCleanup(connection.close)
        answer = self.client.exchange(connection, "GET", "/functions", headers=many)
        self.assert_error(answer, 431)

    def test_a_connection_serves_request_after_request(self):
        connection = self.client.connect()
        self.addCleanup(connection.close)
        function_id = self.client.upload(HELLO)
        for number in range(20):
            body = json.dumps({"functionId": function_id, "inputData": number})
            answer = self.client.exchange(
                connection, "POST", "/run", body, {"content-type": "application/json"}
            )
            self.assertEqual(answer.json()["result"]["event"], number)
            missing = self.client.exchange(connection, "GET", "/functions/nobody")
            self.assertEqual(missing.status, 404)

    def test_a_chunked_body_is_a_body(self):
        function_id = self.client.upload(HELLO)
        text = json.dumps({"functionId": function_id, "inputData": "ä" * 1000}).encode()
        pieces = iter([text[:7], text[7:500], text[500:]])
        connection = self.client.connect()
        self.addCleanup(connection.close)
        connection.request(
            "POST",
            "/run",
            pieces,
            {"x-api-key": self.server.api_key, "content-type": "application/json; charset=utf-8"},
            encode_chunked=True,
        )
        answer = json.loads(connection.getresponse().read())
        self.assertEqual(answer["result"]["event"], "ä" * 1000)


class RequestIdTest(ServerTest):
    def test_a_well_formed_id_is_kept_all_the_way_to_the_function(self):
        function_id = self.client.upload(HELLO)
        for sent in ("a", "order-66.B_c", "x" * 64):
            answer = self.client.try_run(function_id, 1, {"x-request-id": sent})
            self.assertEqual(answer.headers["x-request-id"], sent)
            self.assertEqual(answer.json()["requestId"], sent)
            self.assertEqual(answer.json()["status"], "SUCCEEDED", answer)
            self.assertEqual(answer.json()["result"]["requestId"], sent)

    def test_any_other_id_is_replaced_by_a_new_one(self):
        seen = set()
        for sent in (None, "", "x" * 65, "has space", 'quo"te', "a/b", "a;b", "ünicode"):
            headers = {} if sent is None else {"x-request-id": sent}
            answer = self.client.get("/health", headers=headers)
            self.assertEqual(answer.status, 200, answer)
            self.assertRegex(answer.headers["x-request-id"], UUID)
            seen.add(answer.headers["x-request-id"])
        self.assertEqual(len(seen), 8)

    def test_errors_carry_it_too(self):
        for path, status in (("/nothing", 404), ("/run", 405), ("/functions?limit=0", 400)):
            answer = self.client.get(path, headers={"x-request-id": "mine"})
            self.assertEqual(self.assert_error(answer, status)["requestId"], "mine")
        answer = self.client.get("/metrics", headers={"x-request-id": "mine"}, key=False)
        self.assertEqual(self.assert_error(answer, 401)["requestId"], "mine")


class RunTest(ServerTest):
    def test_an_outcome_has_the_documented_fields(self):
        function_id = self.client.upload("def handler(e, c):\n    print('said')\n    return [e]\n")
        first = self.client.run(function_id, {"a": 1})
        second = self.client.run(function_id, {"a": 2})
        for body in (first, second):
            self.assertEqual(
                set(body),
                {"jobId", "requestId", "functionId", "status", "result", "logs", "durationMs"}
                | {"cpuMs", "initMs", "coldStart", "maxMemoryMb"},
            )
            self.assertRegex(body["jobId"], UUID)
            self.assertEqual(body["functionId"], function_id)
            self.assertEqual(body["logs"], "said\n")
            self.assertGreater(body["durationMs"], 0)
            self.assertGreater(body["maxMemoryMb"], 0)
        self.assertEqual([first["result"], second["result"]], [[{"a": 1}], [{"a": 2}]])
        self.assertEqual([first["coldStart"], second["coldStart"]], [True, False])
        self.assertGreater(first["initMs"], 0)
        self.assertEqual(second["initMs"], 0)
        self.assertNotEqual(first["jobId"], second["jobId"])

    def test_a_failure_is_an_outcome_with_its_error(self):
        function_id = self.client.upload("def handler(e, c):\n    return 1 / 0\n")
        body = self.client.run(function_id)
        self.assertEqual(body["status"], "FAILED")
        self.assertNotIn("result", body)
        self.assertEqual(set(body["error"]), {"type", "message", "stackTrace"})
        self.assertEqual(body["error"]["type"], "ZeroDivisionError")

    def test_a_call_that_ended_can_be_asked_for(self):
        function_id = self.client.upload(HELLO)
        body = self.client.run(function_id, "once")
        record = self.client.wait_for_job_record(body["jobId"])
        self.assertEqual(record["status"], "SUCCEEDED")
        self.assertEqual(record["attempts"], 1)
        self.assertEqual(record["result"]["event"], "once")
        self.assertEqual(record["requestId"], body["requestId"])
        self.assertRegex(record["createdAt"], RFC3339)
        self.assertRegex(record["updatedAt"], RFC3339)

    def test_input_that_is_missing_is_an_empty_object(self):
        function_id = self.client.upload(HELLO)
        answer = self.client.post_json("/run", {"functionId": function_id})
        self.assertEqual(answer.json()["result"]["event"], {})

    def test_bad_bodies_are_400(self):
        function_id = self.client.upload(HELLO)
        good = '{"functionId":"%s"' % function_id
        for body in (
            b"",
            b"{",
            b"null",
            b"[]",
            b'"text"',
            b"{}",
            b'{"functionId": 7}',
            b'{"functionId": ""}',
            (good + "} trailing").encode(),
            (good + ',"inputData":NaN}').encode(),
            (good + ',"inputData":1,}').encode(),
            (good + ',"inputData":1,"inputData":2}').encode(),
            (good + ',"inputData":"').encode() + b'\xff"}',
            (good + ',"inputData":' + "[" * 5000 + "]" * 5000 + "}").encode(),
        ):
            with self.subTest(body[:80]):
                self.assert_error(self.client.post_json("/run", body), 400, "bad_request")
        for value in ("0", "-1", "soon", "1.5", "3600001", "99999999999999999999"):
            with self.subTest(value):
                answer = self.client.try_run(function_id, 1, {"x-timeout-ms": value})
                self.assert_error(answer, 400, "bad_request")

    def test_a_caller_that_gives_up_gets_504_and_the_outcome_later(self):
        function_id = self.client.upload(SLEEP)
        self.assertEqual(self.client.result(function_id, {"seconds": 0}), "rested")  # now warm
        answer = self.client.try_run(function_id, {"seconds": 3}, {"x-timeout-ms": "200"})
        job_id = self.assert_error(answer, 504, "deadline_exceeded")["jobId"]
        running = self.client.status(job_id)
        self.assertEqual((running["status"], running["functionId"]), ("RUNNING", function_id))
        self.assertNotIn("result", running)
        ended = self.client.wait_for_job(job_id)
        self.assertEqual((ended["status"], ended["result"]), ("SUCCEEDED", "rested"))
        # The sandbox is still good for the next call.
        self.assertEqual(self.client.run(function_id, {"seconds": 0})["coldStart"], False)

    def test_a_caller_that_leaves_does_not_end_its_call(self):
        function_id = self.client.upload(SLEEP)
        connection = self.client.connect()
        body = json.dumps({"functionId": function_id, "inputData": {"seconds": 1}})
        connection.request("POST", "/run", body, {"x-api-key": self.server.api_key,
                                                  "content-type": "application/json"})
        busy = 'hearth_sandboxes{state="busy"}'
        eventually(lambda: self.client.metrics()[busy] == 1, "the call runs")
        connection.close()
        succeeded = 'hearth_invocations_total{status="succeeded"}'
        before = self.client.metrics()[succeeded]
        eventually(lambda: self.client.metrics()[succeeded] > before, "the call ends")
        self.assertEqual(self.client.run(function_id, {"seconds": 0})["coldStart"], False)


class MetricsTest(ServerTest):
    def test_requests_are_counted_by_method_route_and_status(self):
        function_id = self.client.upload(HELLO)
        for _ in range(3):
            self.client.result(function_id, 1)
        self.client.request("DELETE", "/functions/nobody")
        self.client.get("/no/such/path")
        self.client.request("POST", "/run", key=False)
        samples = self.client.metrics()

        def count(method, route, status):
            name = "http_request_duration_seconds_count"
            return samples[f'{name}{{method="{method}",route="{route}",status="{status}"}}']

        self.assertEqual(count("POST", "/run", 200), 3)
        self.assertEqual(count("POST", "/run", 401), 1)
        self.assertEqual(count("POST", "/upload", 201), 1)
        self.assertEqual(count("DELETE", "/functions/:id", 404), 1)
        self.assertEqual(samples['hearth_invocations_total{status="succeeded"}'], 3)
        self.assertEqual(samples["hearth_cold_starts_total"], 1)
        self.assertEqual(samples["hearth_sandboxes_started"], 1)
        self.assertEqual(samples['hearth_sandboxes{state="idle"}'], 1)
        self.assertEqual(samples['hearth_sandboxes{state="busy"}'], 0)
        self.assertEqual(samples["hearth_sandbox_memory_reserved_megabytes"], 128)
        for name in ("hearth_ring_submissions", "hearth_ring_completions", "hearth_ring_enters"):
            self.assertGreater(samples[name], 0)
        for state in ("visible", "in_flight", "dead"):
            self.assertEqual(samples[f'hearth_jobs{{state="{state}"}}'], 0)
        self.assertFalse([name for name in samples if "nobody" in name or "/no/such" in name])

    def test_paths_do_not_become_label_values(self):
        for number in range(50):
            self.client.get(f"/invented/{number}")
            self.client.get(f"/functions/{number}")
        routes = {re.search(r'route="([^"]*)"', name)[1]
                  for name in self.client.metrics() if "route=" in name}
        self.assertFalse([route for route in routes if re.search(r"\d", route)], routes)

    def test_invented_methods_do_not_become_label_values(self):
        for number in range(20):
            connection = http.client.HTTPConnection("127.0.0.1", self.server.port)
            connection.request(f"MADEUP{number}", "/health")
            self.assertIn(connection.getresponse().status, (400, 405, 501))
            connection.close()
        self.assertFalse([name for name in self.client.metrics() if "MADEUP" in name])


class ParkedTest(ServerTest):
    options = ("--memory-budget", "768")
    environment = {"HEARTH_PARKED": ""}

    def test_the_memory_budget_decides_how_many_sandboxes_wait(self):
        eventually(lambda: self.client.metrics()['hearth_sandboxes{state="parked"}'] == 8,
                   "eight sandboxes of 96 MB each")


if __name__ == "__main__":
    main()
