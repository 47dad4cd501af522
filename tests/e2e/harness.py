"""What every test file uses: a test case with a running server, threads, raw sockets."""

import socket
import sys
import threading
import unittest

from client import Client, REQUEST_WAIT_S, Response, form, zip_of  # noqa: F401  (for the tests)
from server import Server, eventually  # noqa: F401

# Functions that many tests upload.
ECHO = "def handler(event, context):\n    return event\n"
SLEEP = "import time\ndef handler(event, context):\n    time.sleep(event)\n    return 'rested'\n"
BUSY = 'hearth_sandboxes{state="busy"}'


class ServerTest(unittest.TestCase):
    """One server for all tests of the class; it must end cleanly and leave nothing."""

    options = ()
    environment = None

    @classmethod
    def setUpClass(cls):
        cls.server = Server(*cls.options, environment=cls.environment)
        cls.addClassCleanup(cls.server.discard)
        cls.server.start()
        cls.client = cls.server.client()

    @classmethod
    def tearDownClass(cls):
        cls.server.stop()

    def assert_error(self, answer, status, code=None, message=None):
        """The error body of the API, and the status it belongs to."""
        self.assertEqual(answer.status, status, answer)
        body = answer.json()
        self.assertEqual(set(body) - {"jobId"}, {"error", "requestId"}, answer)
        self.assertEqual(set(body["error"]), {"code", "message"}, answer)
        self.assertEqual(body["requestId"], answer.headers["x-request-id"])
        self.assertTrue(body["error"]["message"])
        if code is not None:
            self.assertEqual(body["error"]["code"], code)
        if message is not None:
            self.assertEqual(body["error"]["message"], message)
        return body


class StandaloneTest(unittest.TestCase):
    """Starts servers of its own; those that a failing test leaves running are ended."""

    def make_server(self, *options, **settings):
        server = Server(*options, **settings)
        self.addCleanup(server.discard)
        return server


def in_parallel(actions):
    """Runs the functions on a thread each; their results in order, the first exception raised."""
    results = [None] * len(actions)
    problems = []

    def work(index, action):
        try:
            results[index] = action()
        except BaseException as problem:  # noqa: BLE001  (raised again below)
            problems.append(problem)

    threads = [
        threading.Thread(target=work, args=(index, action)) for index, action in enumerate(actions)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if problems:
        raise problems[0]
    return results


class Background:
    """One function on a thread; result() waits for it."""

    def __init__(self, action):
        self._results = []
        self._thread = threading.Thread(
            target=lambda: self._results.append(in_parallel([action])[0])
        )
        self._thread.start()

    def result(self):
        self._thread.join(REQUEST_WAIT_S)
        if not self._results:
            raise AssertionError("the background action failed or hangs")
        return self._results[0]


def raw_exchange(port, request):
    """Sends bytes as they are; everything that comes until the server closes."""
    with socket.create_connection(("127.0.0.1", port), timeout=REQUEST_WAIT_S) as connection:
        connection.sendall(request)
        received = b""
        while True:
            try:
                more = connection.recv(65536)
            except ConnectionResetError:
                return received
            if not more:
                return received
            received += more


def raw_status(answer):
    """The status of a raw answer."""
    return int(answer.split(b" ", 2)[1])


def main():
    sys.dont_write_bytecode = True
    unittest.main(verbosity=2)
