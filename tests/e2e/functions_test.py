#!/usr/bin/python3
"""Uploading, listing, updating and deleting functions."""

import hashlib

from harness import ServerTest, form, in_parallel, main, zip_of

HELLO = "def handler(event, context):\n    return 'hello'\n"
MEMORY_MESSAGE = "Invalid memoryMb. Must be between 128 and 10240."
FIELDS = {"functionId", "name", "runtime", "handler", "memoryMb", "timeoutMs", "codeSha256"}
FIELDS |= {"codeSize", "revision", "createdAt", "updatedAt"}
FILE_BYTES_MAX = 50 << 20
ENVIRONMENT_BYTES_MAX = 4 << 10


class UploadTest(ServerTest):
    def test_the_answer_describes_the_function(self):
        answer = self.client.try_upload(HELLO, "greeter.py")
        self.assertEqual(answer.status, 201, answer)
        body = answer.json()
        self.assertEqual(set(body), FIELDS)
        self.assertEqual(answer.headers["location"], f"/functions/{body['functionId']}")
        self.assertEqual(body["name"], "greeter")
        self.assertEqual(body["handler"], "greeter.handler")
        self.assertEqual(body["runtime"], "python")
        self.assertEqual((body["memoryMb"], body["timeoutMs"]), (128, 30000))
        self.assertEqual(body["codeSha256"], hashlib.sha256(HELLO.encode()).hexdigest())
        self.assertEqual(body["codeSize"], len(HELLO))
        self.assertEqual(body["revision"], 1)
        self.assertEqual(body["createdAt"], body["updatedAt"])
        self.assertEqual(self.client.get(f"/functions/{body['functionId']}").json(), body)

    def test_every_field_is_taken(self):
        answer = self.client.try_upload(
            HELLO, "a.py", name="my-name_1", handler="a.handler", runtime="python",
            memoryMb=10240, timeoutMs=900000, env={"A": "1"},
        )
        body = answer.json()
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual((body["name"], body["memoryMb"], body["timeoutMs"]),
                         ("my-name_1", 10240, 900000))
        # Secrets go in, and do not come out.
        self.assertNotIn("env", body)

    def test_memory_out_of_range_is_refused_in_these_words(self):
        for value in (127, 10241, 0, -128, "", "lots", "128.0", "1e3", " 128", "+128", 2**64):
            with self.subTest(value):
                answer = self.client.try_upload(HELLO, memoryMb=value)
                self.assert_error(answer, 400, "bad_request", MEMORY_MESSAGE)

    def test_other_wrong_fields_are_400(self):
        wrong = [
            {"timeoutMs": 99}, {"timeoutMs": 900001}, {"timeoutMs": "soon"},
            {"name": ""}, {"name": "x" * 65}, {"name": "a b"}, {"name": "../x"}, {"name": "ä"},
            {"handler": ""}, {"handler": "main"}, {"handler": ".handler"}, {"handler": "main."},
            {"handler": "a..b"}, {"handler": "/etc/x.y"}, {"handler": "a.b/c"},
            {"handler": "../up.handler"}, {"handler": "x." * 100 + "y"}, {"handler": "os system.x"},
            {"runtime": "ruby"}, {"runtime": ""},
            {"env": "no json"}, {"env": "[]"}, {"env": '{"A": 1}'}, {"env": '{"A=B": "x"}'},
            {"env": '{"": "x"}'}, {"env": '{"A": "x\\u0000y"}'}, {"env": '{"A": null}'},
            {"unknown": "1"}, {"memorymb": "128"},
        ]
        for fields in wrong:
            with self.subTest(str(fields)[:60]):
                self.assert_error(self.client.try_upload(HELLO, **fields), 400, "bad_request")

    def test_files_that_are_neither_python_nor_zip_are_400(self):
        for name in ("code.txt", "main", "main.py.exe", ".py", "1st.py", "my-file.py", "a b.py",
                     "main.pyc", "ä.py", "x" * 200 + ".py"):
            with self.subTest(name):
                self.assert_error(self.client.try_upload(HELLO, name), 400, "bad_request")

    def test_a_path_in_the_file_name_leads_nowhere(self):
        for name in ("../../etc/main.py", "/etc/main.py", "C:\\\\dir\\\\main.py"):
            with self.subTest(name):
                answer = self.client.try_upload(HELLO, name)
                if answer.status == 201:
                    self.assertEqual(answer.json()["handler"], "main.handler")
                    self.assertEqual(self.client.result(answer.json()["functionId"]), "hello")
                else:
                    self.assert_error(answer, 400, "bad_request")

    def test_forms_that_are_not_forms_are_400(self):
        good, kind = form([("file", "main.py", HELLO.encode())])
        boundary = kind.partition("boundary=")[2]
        for body, content_type in (
            (b"", kind),
            (b"no form", kind),
            (good[: len(good) // 2], kind),
            (good[:-6], kind),
            (good, "multipart/form-data"),
            (good, "multipart/form-data; boundary="),
            (good, "multipart/form-data; boundary=" + "x" * 71),
            (good, "multipart/form-data; boundary=other"),
            (form([])[0], kind),
            (form([("name", None, b"x")])[0], kind),
            (form([("file", None, HELLO.encode())])[0], kind),
            (form([("file", "main.py", b"")])[0], kind),
            (form([("file", "main.py", b"1"), ("file", "main.py", b"2")])[0], kind),
            (f"--{boundary}\r\n\r\nx\r\n--{boundary}--\r\n".encode(), kind),
        ):
            with self.subTest(body=body[:40], kind=content_type):
                answer = self.client.request("POST", "/upload", body,
                                             {"content-type": content_type})
                self.assert_error(answer, 400, "bad_request")

    def test_what_is_too_large_is_413(self):
        answer = self.client.try_upload(b"#" * (FILE_BYTES_MAX + 1))
        self.assert_error(answer, 413, "payload_too_large")
        env = {"A": "x" * ENVIRONMENT_BYTES_MAX}
        self.assert_error(self.client.try_upload(HELLO, env=env), 413, "payload_too_large")
        env = {"A": "x" * (ENVIRONMENT_BYTES_MAX - 1)}
        self.assertEqual(self.client.try_upload(HELLO, env=env).status, 201)

    def test_a_file_of_exactly_the_limit_is_taken(self):
        code = HELLO.encode()
        code += b"#" * (FILE_BYTES_MAX - len(code))
        answer = self.client.try_upload(code, "large.py")
        self.assertEqual(answer.status, 201, answer)
        self.assertEqual(answer.json()["codeSize"], FILE_BYTES_MAX)


class ListTest(ServerTest):
    def test_pages_cover_everything_once_in_order_of_creation(self):
        self.assertEqual(self.client.get("/functions").json(), {"functions": [], "cursor": None})
        made = [self.client.upload(HELLO, name=f"f{number}") for number in range(7)]
        for limit in (1, 2, 3, 7, 8, 500):
            with self.subTest(limit):
                seen, cursor = [], ""
                while cursor is not None:
                    page = self.client.get(f"/functions?limit={limit}&cursor={cursor}").json()
                    self.assertLessEqual(len(page["functions"]), limit)
                    seen += [each["functionId"] for each in page["functions"]]
                    cursor = page["cursor"]
                self.assertEqual(seen, made)
        self.assertEqual(set(self.client.get("/functions").json()["functions"][0]), FIELDS)

    def test_a_page_goes_on_after_deletions(self):
        made = [self.client.upload(HELLO) for _ in range(4)]
        self.addCleanup(lambda: [self.client.request("DELETE", f"/functions/{each}")
                                 for each in made])
        first = self.client.get("/functions?limit=2").json()
        for each in first["functions"]:
            self.client.request("DELETE", f"/functions/{each['functionId']}")
        rest = self.client.get(f"/functions?limit=10&cursor={first['cursor']}").json()
        self.assertEqual(len(rest["functions"]), 2)

    def test_bad_limits_and_cursors_are_400(self):
        for query in ("limit=0", "limit=-1", "limit=501", "limit=ten", "limit=", "limit=1x",
                      "limit=99999999999999999999", "cursor=garbage", "cursor=%00", "cursor=-1"):
            with self.subTest(query):
                self.assert_error(self.client.get(f"/functions?{query}"), 400, "bad_request")


class UpdateTest(ServerTest):
    ENV = "import os\ndef handler(event, context):\n    return os.environ.get('MODE')\n"

    def describe(self, function_id):
        return self.client.get(f"/functions/{function_id}").json()

    def update(self, function_id, value):
        return self.client.post_json(f"/functions/{function_id}", value, method="PUT")

    def test_new_configuration_is_a_new_revision_that_the_next_call_runs(self):
        function_id = self.client.upload(self.ENV, env={"MODE": "old"})
        self.assertEqual(self.client.result(function_id), "old")
        before = self.describe(function_id)
        answer = self.update(function_id, {"env": {"MODE": "new"}, "memoryMb": 256})
        self.assertEqual(answer.status, 200, answer)
        after = answer.json()
        self.assertEqual(after["revision"], 2)
        self.assertEqual(after["memoryMb"], 256)
        for same in ("functionId", "name", "handler", "timeoutMs", "codeSha256", "createdAt"):
            self.assertEqual(after[same], before[same])
        self.assertEqual(self.describe(function_id), after)
        body = self.client.run(function_id)
        self.assertEqual((body["result"], body["coldStart"]), ("new", True))

    def test_new_code_is_what_the_next_call_runs(self):
        function_id = self.client.upload(HELLO)
        self.assertEqual(self.client.result(function_id), "hello")
        answer = self.client.try_update(function_id, HELLO.replace("hello", "bye"))
        self.assertEqual((answer.status, answer.json()["revision"]), (200, 2), answer)
        self.assertEqual(self.client.result(function_id), "bye")

    def test_a_file_becomes_a_zip_and_a_zip_a_file(self):
        function_id = self.client.upload(HELLO, "first.py")
        archive = zip_of({"lambda_function.py": "def lambda_handler(e, c):\n    return 'zip'\n"})
        answer = self.client.try_update(function_id, archive, "code.zip")
        self.assertEqual(answer.json()["handler"], "lambda_function.lambda_handler", answer)
        self.assertEqual(self.client.result(function_id), "zip")
        answer = self.client.try_update(function_id, HELLO, "third.py")
        self.assertEqual(answer.json()["handler"], "third.handler", answer)
        self.assertEqual(self.client.result(function_id), "hello")

    def test_a_handler_that_was_given_stays_until_another_is(self):
        two = "def one(e, c):\n    return 1\ndef two(e, c):\n    return 2\n"
        function_id = self.client.upload(two, handler="main.two")
        self.assertEqual(self.client.result(function_id), 2)
        self.assertEqual(self.client.try_update(function_id, two + "#").status, 200)
        self.assertEqual(self.client.result(function_id), 2)
        self.assertEqual(self.update(function_id, {"handler": "main.one"}).status, 200)
        self.assertEqual(self.client.result(function_id), 1)

    def test_an_update_for_another_revision_is_409_and_changes_nothing(self):
        function_id = self.client.upload(HELLO)
        self.assertEqual(self.update(function_id, {"name": "b", "revision": 1}).status, 200)
        stale = self.update(function_id, {"name": "c", "revision": 1})
        self.assert_error(stale, 409, "conflict")
        stale = self.client.try_update(function_id, HELLO + "#", revision=7)
        self.assert_error(stale, 409, "conflict")
        self.assertEqual(self.describe(function_id)["name"], "b")
        self.assertEqual(self.describe(function_id)["revision"], 2)

    def test_simultaneous_updates_each_win_or_are_told(self):
        function_id = self.client.upload(HELLO)
        answers = in_parallel([lambda n=n: self.update(function_id, {"name": f"n{n}"})
                               for n in range(12)])
        won = [each for each in answers if each.status == 200]
        for each in answers:
            if each.status != 200:
                self.assert_error(each, 409, "conflict")
        self.assertEqual(sorted(each.json()["revision"] for each in won),
                         list(range(2, len(won) + 2)))
        self.assertEqual(self.describe(function_id)["revision"], len(won) + 1)

    def test_wrong_updates_are_refused_and_change_nothing(self):
        function_id = self.client.upload(HELLO)
        before = self.describe(function_id)
        for value in ({"memoryMb": 1}, {"memoryMb": 1.5}, {"memoryMb": True}, {"memoryMb": None},
                      {"timeoutMs": []}, {"env": []}, {"env": "text"}, {"env": {"A": 1}},
                      {"name": 7.5}, {"handler": "x"}, {"file": "x"}, {"other": "x"}, [], "x",
                      None, {"revision": 0}, b"{", b'\xff', b""):
            with self.subTest(str(value)):
                self.assert_error(self.update(function_id, value), 400, "bad_request")
        too_low = self.update(function_id, {"memoryMb": 127})
        self.assert_error(too_low, 400, "bad_request", MEMORY_MESSAGE)
        large = self.update(function_id, {"name": "x" * (1 << 20)})
        self.assert_error(large, 413, "payload_too_large")
        bad_zip = self.client.try_update(function_id, b"no zip", "a.zip")
        self.assert_error(bad_zip, 400, "bad_request")
        self.assertEqual(self.describe(function_id), before)

    def test_numbers_may_be_json_numbers_or_text(self):
        function_id = self.client.upload(HELLO)
        for value in (512, "640"):
            answer = self.update(function_id, {"memoryMb": value})
            self.assertEqual(answer.json()["memoryMb"], int(value), answer)

    def test_calls_during_updates_run_one_revision_or_the_other(self):
        code = "def handler(e, c):\n    return [c.function_version, NUMBER]\n"
        function_id = self.client.upload(f"NUMBER = 1\n{code}")

        def update_often():
            for number in range(2, 12):
                answer = self.client.try_update(function_id, f"NUMBER = {number}\n{code}")
                self.assertEqual(answer.json()["revision"], number, answer)

        def call_often():
            return [self.client.result(function_id) for _ in range(15)]

        for results in in_parallel([update_often, call_often, call_often])[1:]:
            self.assertEqual([int(version) for version, _ in results], [n for _, n in results])
            self.assertEqual(results, sorted(results, key=lambda each: each[1]))
        self.assertEqual(self.client.result(function_id), ["11", 11])


class DeleteTest(ServerTest):
    def test_a_deleted_function_is_gone(self):
        function_id = self.client.upload(HELLO)
        self.assertEqual(self.client.result(function_id), "hello")
        answer = self.client.request("DELETE", f"/functions/{function_id}")
        self.assertEqual((answer.status, answer.body), (204, b""), answer)
        self.assertNotIn("content-length", answer.headers)
        for method, path in (("GET", "/functions/"), ("DELETE", "/functions/")):
            self.assert_error(self.client.request(method, path + function_id), 404, "not_found")
        self.assert_error(self.client.try_run(function_id), 404, "not_found")
        self.assert_error(self.client.try_run(function_id, 1, {"x-async": "true"}), 404)
        update = self.client.post_json(f"/functions/{function_id}", {"name": "a"}, method="PUT")
        self.assert_error(update, 404, "not_found")
        self.assertNotIn(function_id, self.client.get("/functions").body.decode())

    def test_its_sandboxes_end(self):
        idle = 'hearth_sandboxes{state="idle"}'
        before = self.client.metrics()[idle]
        function_id = self.client.upload(HELLO)
        self.client.result(function_id)
        self.assertEqual(self.client.metrics()[idle], before + 1)
        self.client.request("DELETE", f"/functions/{function_id}")
        self.assertEqual(self.client.metrics()[idle], before)

    def test_a_call_that_runs_when_its_function_is_deleted_still_ends(self):
        slow = "import time\ndef handler(e, c):\n    time.sleep(e)\n    return 'done'\n"
        function_id = self.client.upload(slow)
        self.assertEqual(self.client.result(function_id, 0), "done")  # warm now
        late = self.client.try_run(function_id, 2, {"x-timeout-ms": "300"})
        job_id = self.assert_error(late, 504)["jobId"]
        answer = self.client.request("DELETE", f"/functions/{function_id}")
        self.assertEqual(answer.status, 204)
        self.assertEqual(self.client.wait_for_job(job_id)["result"], "done")

    def test_code_that_two_functions_share_survives_one_of_them(self):
        one, two = self.client.upload(HELLO), self.client.upload(HELLO)
        self.client.request("DELETE", f"/functions/{one}")
        self.assertEqual(self.client.result(two), "hello")


if __name__ == "__main__":
    main()
