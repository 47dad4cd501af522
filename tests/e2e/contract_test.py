#!/usr/bin/python3
"""What a function may count on: handlers, events, context, environment, results, isolation."""

import json
import math

from harness import ECHO, ServerTest, main, zip_of

PAYLOAD_BYTES_MAX = 6 << 20


def returning(expression):
    return f"def handler(event, context):\n    return {expression}\n"


class HandlerTest(ServerTest):
    def call(self, code, file_name="main.py", **fields):
        return self.client.result(self.client.upload(code, file_name, **fields))

    def test_a_file_is_tried_for_its_three_names_in_order(self):
        handler, lambda_handler, other = (
            f"def {name}(event, context):\n    return '{name}'\n"
            for name in ("handler", "lambda_handler", "main")
        )
        for code, expected in (
            (handler + lambda_handler + other, "handler"),
            (other + lambda_handler, "lambda_handler"),
            (other, "main"),
            ("handler = 7\n" + lambda_handler, "lambda_handler"),
        ):
            self.assertEqual(self.call(code, "stem.py"), expected)

    def test_a_zip_is_tried_for_both_names(self):
        first = {"main.py": returning("'main'")}
        second = {"lambda_function.py": returning("'lambda'").replace("handler", "lambda_handler")}
        self.assertEqual(self.call(zip_of(first), "a.zip"), "main")
        self.assertEqual(self.call(zip_of(second), "a.zip"), "lambda")
        self.assertEqual(self.call(zip_of(first | second), "a.zip"), "main")

    def test_a_handler_overrides(self):
        code = "def one(e, c):\n    return 1\nclass Two:\n    def __call__(self, e, c):\n"
        code += "        return 2\ntwo = Two()\n"
        self.assertEqual(self.call(code, handler="main.one"), 1)
        self.assertEqual(self.call(code, handler="main.two"), 2)
        archive = zip_of({"app/__init__.py": "", "app/web.py": returning("'deep'")})
        self.assertEqual(self.call(archive, "a.zip", handler="app.web.handler"), "deep")
        self.assertEqual(self.call(archive, "a.zip", handler="app/web.handler"), "deep")

    def test_packages_and_data_files_inside_a_zip_are_there(self):
        archive = zip_of({
            "main.py": "from shop.prices import price\nimport helper, pathlib\n"
                       "def handler(event, context):\n"
                       "    text = pathlib.Path(__file__).with_name('data').joinpath('n.txt')\n"
                       "    return [price(event), helper.NAME, text.read_text()]\n",
            "helper.py": "NAME = 'helper'\n",
            "shop/__init__.py": "",
            "shop/prices.py": "from .tax import TAX\ndef price(x):\n    return x * TAX\n",
            "shop/tax.py": "TAX = 2\n",
            "data/n.txt": "seven",
        })
        function_id = self.client.upload(archive, "shop.zip")
        self.assertEqual(self.client.result(function_id, 21), [42, "helper", "seven"])

    def test_a_vendored_package_shadows_an_installed_one(self):
        archive = zip_of({"main.py": "import numpy\n" + returning("numpy.WHO"),
                          "numpy/__init__.py": "WHO = 'vendored'\n"})
        self.assertEqual(self.call(archive, "a.zip"), "vendored")

    def test_the_libraries_of_debian_work(self):
        code = (
            "import numpy, pandas, io\nfrom PIL import Image\n"
            "def handler(event, context):\n"
            "    frame = pandas.DataFrame({'a': [1, 2, 3]})\n"
            "    picture = io.BytesIO()\n"
            "    Image.new('RGB', (4, 4)).save(picture, 'PNG')\n"
            "    return [int(numpy.arange(10).sum()), int(frame.a.sum()),\n"
            "            picture.getvalue()[1:4].decode(),\n"
            "            float(numpy.linalg.det(numpy.eye(3)))]\n"
        )
        self.assertEqual(self.call(code, memoryMb=512), [45, 6, "PNG", 1.0])


class EnvironmentTest(ServerTest):
    def test_variables_arrive_as_given(self):
        env = {"GREETING": "grüß dich", "EMPTY": "", "LINES": "a\nb", "PATH": "/mine", "_x1": "="}
        function_id = self.client.upload(
            "import os\nAT_IMPORT = os.environ['GREETING']\n"
            "def handler(names, context):\n"
            "    return [AT_IMPORT, {name: os.environ.get(name) for name in names}]\n", env=env)
        self.assertEqual(self.client.result(function_id, list(env)), ["grüß dich", env])

    def test_nothing_of_the_server_is_in_the_environment(self):
        function_id = self.client.upload("import os\n" + returning("dict(os.environ)"))
        seen = self.client.result(function_id)
        self.assertNotIn("INFRA_API_KEY", seen)
        self.assertNotIn(self.server.api_key, json.dumps(seen))

    def test_the_context_is_lambdas(self):
        function_id = self.client.upload(
            "def handler(event, c):\n"
            "    return [c.function_name, c.function_version, c.memory_limit_in_mb,\n"
            "            c.aws_request_id, c.get_remaining_time_in_millis(),\n"
            "            c.log_group_name, c.log_stream_name, c.invoked_function_arn,\n"
            "            c.identity, c.client_context]\n",
            name="orders", memoryMb=192, timeoutMs=5000)
        body = self.client.run(function_id, None, {"x-request-id": "order-66"})
        name, version, memory, request_id, left, group, stream, arn, *rest = body["result"]
        self.assertEqual((name, version, int(memory), request_id),
                         ("orders", "1", 192, "order-66"))
        self.assertTrue(0 < left <= 5000, left)
        self.assertTrue(group and stream and arn)
        self.assertEqual(rest, [None, None])


class ValuesTest(ServerTest):
    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.echo = cls.client.upload(ECHO)

    def test_json_values_go_through_unchanged(self):
        for value in (
            None, True, False, 0, -1, 1.5, 1e300, 2**53 + 1, 2**64, -(10**400), "", "text",
            "ünï © 漢字 \U0001f600", "quotes \" \\ / \b\f\n\r\t \u0000 \u2028", [], {}, [[]],
            {"": {"a": [1, {"b": None}]}}, {"ключ": "значение"}, [1] * 1000,
        ):
            with self.subTest(str(value)[:40]):
                answer = self.client.try_run(self.echo, value)
                self.assertEqual(answer.status, 200, answer)
                self.assertEqual(answer.json()["result"], value)

    def test_results_and_events_of_every_small_size_go_through(self):
        repeat = self.client.upload(returning("'x' * event"))
        for size in range(130):
            self.assertEqual(self.client.result(self.echo, "y" * size), "y" * size)
            self.assertEqual(self.client.result(repeat, size), "x" * size)

    def test_results_around_the_sizes_of_buffers_go_through(self):
        repeat = self.client.upload(returning("'x' * event"), memoryMb=256)
        for power in (8, 12, 13, 16, 17, 18, 20):
            for delta in (-19, -18, -17, -3, -2, -1, 0, 1):
                size = (1 << power) + delta
                self.assertEqual(len(self.client.result(repeat, size)), size)

    def test_deep_values_go_through_or_are_refused_but_never_hang(self):
        for depth in (100, 400):
            value = json.loads("[" * depth + "]" * depth)
            self.assertEqual(self.client.result(self.echo, value), value)
        deep = self.client.upload(
            "def handler(depth, context):\n    value = []\n    for _ in range(depth):\n"
            "        value = [value]\n    return value\n")
        for depth in (600, 5000, 500000):
            body = self.client.run(deep, depth)
            self.assertEqual(body["status"], "FAILED", depth)
        self.assertEqual(self.client.result(deep, 1), [[]])

    def test_what_json_cannot_hold_is_a_marshal_error(self):
        for expression in (
            "float('nan')", "float('inf')", "[-float('inf')]", "b'bytes'", "{1, 2}", "object()",
            "'\\ud800'", "{'a': '\\udfff'}", "1j", "{(1, 2): 3}", "handler",
            "(x := [], x.append(x), x)[2]",
        ):
            with self.subTest(expression):
                body = self.client.run(self.client.upload(returning(expression)))
                self.assertEqual(body["status"], "FAILED", body)
                self.assertEqual(body["error"]["type"], "Runtime.MarshalError", body)
                self.assertIn("marshal", body["error"]["message"])

    def test_a_result_of_six_megabytes_goes_through_and_one_byte_more_does_not(self):
        repeat = self.client.upload(returning("'x' * event"), memoryMb=256)
        self.assertEqual(len(self.client.result(repeat, PAYLOAD_BYTES_MAX - 2)),
                         PAYLOAD_BYTES_MAX - 2)
        body = self.client.run(repeat, PAYLOAD_BYTES_MAX - 1)
        self.assertEqual(body["status"], "FAILED")
        self.assertEqual(body["error"]["type"], "Function.ResponseSizeTooLarge")
        self.assertFalse(self.client.run(repeat, 1)["coldStart"])

    def test_an_event_of_six_megabytes_goes_through_and_one_byte_more_is_413(self):
        measure = self.client.upload(returning("len(event)"), memoryMb=256)
        self.assertEqual(self.client.result(measure, "x" * (PAYLOAD_BYTES_MAX - 2)),
                         PAYLOAD_BYTES_MAX - 2)
        answer = self.client.try_run(measure, "x" * (PAYLOAD_BYTES_MAX - 1))
        self.assert_error(answer, 413, "payload_too_large")
        answer = self.client.try_run(measure, "x" * (4 * PAYLOAD_BYTES_MAX))
        self.assert_error(answer, 413, "payload_too_large")

    def test_floats_keep_their_digits(self):
        for value in (0.1, 1 / 3, math.pi, 5e-324, 1.7976931348623157e308):
            self.assertEqual(self.client.result(self.echo, value), value)


class LogTest(ServerTest):
    def test_both_streams_and_the_logger_are_in_the_outcome(self):
        function_id = self.client.upload(
            "import sys, logging, os, subprocess\n"
            "def handler(event, context):\n"
            "    print('to stdout')\n    print('to stderr', file=sys.stderr)\n"
            "    logging.warning('to the logger')\n    os.write(1, b'to the descriptor\\n')\n"
            "    sys.stdout.write('no end of line')\n")
        logs = self.client.run(function_id)["logs"]
        for text in ("to stdout", "to stderr", "to the logger", "to the descriptor", "no end of"):
            self.assertIn(text, logs)

    def test_each_call_has_its_own_logs(self):
        function_id = self.client.upload("def handler(e, c):\n    print('call', e)\n")
        for number in range(10):
            self.assertEqual(self.client.run(function_id, number)["logs"], f"call {number}\n")

    def test_bytes_that_are_no_text_are_replaced(self):
        function_id = self.client.upload(
            "import os\ndef handler(e, c):\n    os.write(1, b'a\\xff\\xfe\\x00b\\n')\n")
        body = self.client.run(function_id)
        self.assertEqual(body["status"], "SUCCEEDED")
        self.assertEqual(body["logs"], "a\ufffd\ufffd\0b\n")


class IsolationTest(ServerTest):
    PEEK = """
import os
def handler(event, context):
    if event:
        open('/tmp/' + event, 'w').write('secret')
        open('/dev/shm/' + event, 'w').write('secret')
    return sorted(os.listdir('/tmp') + os.listdir('/dev/shm'))
"""

    def test_functions_do_not_see_each_others_scratch(self):
        one, two = self.client.upload(self.PEEK), self.client.upload(self.PEEK)
        self.assertEqual(self.client.result(one, "mine"), ["mine", "mine"])
        self.assertEqual(self.client.result(two), [])
        self.assertEqual(self.client.result(one), ["mine", "mine"])

    def test_the_code_and_the_system_are_read_only(self):
        function_id = self.client.upload(
            "def handler(paths, context):\n    made = []\n    for path in paths:\n"
            "        try:\n            open(path, 'w')\n            made.append(path)\n"
            "        except OSError:\n            pass\n    return made\n")
        paths = ["/code/x", "/code/main.py", "/x", "/etc/passwd", "/usr/x", "/runtime/bootstrap.py"]
        self.assertEqual(self.client.result(function_id, paths), [])

    def test_there_is_no_network_and_no_privilege(self):
        function_id = self.client.upload(
            "import os, socket\ndef handler(port, context):\n    reached = []\n"
            "    for host in ('127.0.0.1', '8.8.8.8'):\n        try:\n"
            "            socket.create_connection((host, port), 2)\n"
            "            reached.append(host)\n        except OSError:\n            pass\n"
            "    try:\n        os.setuid(0)\n        root = os.getuid() == 0\n"
            "    except OSError:\n        root = False\n"
            "    return [reached, root, sorted(os.listdir('/'))]\n")
        reached, root, top = self.client.result(function_id, self.server.port)
        self.assertEqual((reached, root), ([], False))
        for hidden in ("var", "home", "root", "sys", "work", "srv", "boot"):
            self.assertNotIn(hidden, top)

    def test_other_processes_are_not_visible(self):
        function_id = self.client.upload(
            "import os\ndef handler(e, c):\n"
            "    return [int(each) for each in os.listdir('/proc') if each.isdigit()]\n")
        self.assertLessEqual(len(self.client.result(function_id)), 3)


if __name__ == "__main__":
    main()
