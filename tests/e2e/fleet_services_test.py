#!/usr/bin/python3
"""A fleet and what surrounds it: settings, services that are away, the rate limit, the service
manager, and what an idle worker costs."""

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import unittest

from fleet import Controller, FleetTest, ServiceManager, Worker, program, stop_in_order
from fleet import START_WAIT_S, WORKER_TOKEN, lasting_port
from harness import eventually, main
from tls_test import make_certificate

HELLO = "def handler(event, context):\n    return 1\n"
IDLE_RSS_KB_MAX = 40 * 1024
REQUIRED = {
    "hearth-controller": (
        "AWS_REGION", "BUCKET_NAME", "TABLE_NAME", "LOGS_TABLE_NAME", "SQS_URL", "DLQ_URL",
        "REDIS_HOST", "WORKER_TOKEN", "INFRA_API_KEY",
    ),
    "hearth-worker": (
        "AWS_REGION", "BUCKET_NAME", "TABLE_NAME", "LOGS_TABLE_NAME", "SQS_URL", "DLQ_URL",
        "REDIS_HOST", "WORKER_TOKEN", "CONTROLLER_URL",
    ),
}


def run(name, *arguments, environment=None):
    """In an empty folder, so that no .env takes part, and in exactly this environment."""
    with tempfile.TemporaryDirectory() as folder:
        return subprocess.run(
            [program(name), *arguments], capture_output=True, text=True, check=False, cwd=folder,
            timeout=START_WAIT_S, stdin=subprocess.DEVNULL, env=environment or {},
        )


class Settings(unittest.TestCase):
    def test_every_problem_is_told_at_once_before_anything_starts(self):
        for name, required in REQUIRED.items():
            with self.subTest(name):
                done = run(name)
                self.assertEqual((done.returncode, done.stdout), (1, ""))
                for setting in required:
                    self.assertIn(setting, done.stderr)
                # One line that says how many, one for each.
                lines = done.stderr.splitlines()
                self.assertRegex(lines[0], f"^{name}: {len(required)} problems")
                self.assertEqual(len(lines), len(required) + 1, done.stderr)

    def test_a_wrong_value_is_named_with_its_place_and_a_secret_is_not_shown(self):
        wrong = {
            "BUCKET_NAME": "Big_Bucket",
            "PORT": "70000",
            "SQS_URL": "ftp://queue",
            "REDIS_HOST": "redis://:hunter2@:1",
            "AI_NODE_URL": "nowhere",
            "HEARTH_RATE_WINDOW": "60",
            "HEARTH_TLS_CERT": "cert.pem",
        }
        done = run("hearth-controller", environment={**os.environ, **wrong})
        self.assertEqual(done.returncode, 1)
        for name in wrong:
            self.assertIn(name, done.stderr)
        self.assertNotIn("hunter2", done.stderr)

    def test_keys_and_tokens_that_cannot_be_used_are_told_and_not_shown(self):
        good = "0123456789abcdef"
        unusable = {
            "too short": good[1:],
            "too long": "x" * 1025,
            "a blank at its end": good + " ",
            "a blank at its start": " " + good,
            "two lines": good + "\n" + good,
            "no ASCII": good + "\u00e9",
        }
        names = ("INFRA_API_KEY", "WORKER_TOKEN")
        for what, text in unusable.items():
            with self.subTest(what):
                done = run("hearth-controller", environment=dict.fromkeys(names, text))
                for name in names:
                    self.assertRegex(done.stderr, rf"(?m)^  {name} .*16 to 1024 printable ASCII")
                self.assertNotIn(text.strip(), done.stderr)
        same = run("hearth-controller", environment=dict.fromkeys(names, good))
        self.assertIn("INFRA_API_KEY and WORKER_TOKEN: are the same", same.stderr)
        self.assertNotIn(good, same.stderr)
        for usable in (good, "x" * 1024, "!with blanks inside~"):
            done = run("hearth-worker", environment={"WORKER_TOKEN": usable})
            self.assertNotIn("WORKER_TOKEN", done.stderr)

    def test_come_from_a_file_too(self):
        with tempfile.NamedTemporaryFile("w", suffix=".env") as file:
            file.write("BUCKET_NAME=x\nTABLE_NAME='a b'\n")
            file.flush()
            done = run("hearth-worker", "--env-file", file.name)
            self.assertIn(f"BUCKET_NAME ({file.name}, line 1)", done.stderr)
            self.assertIn(f"TABLE_NAME ({file.name}, line 2)", done.stderr)
        done = run("hearth-worker", "--env-file", "/nonexistent/settings.env")
        self.assertIn("/nonexistent/settings.env", done.stderr)

    def test_help_has_every_one_of_them(self):
        for name, required in REQUIRED.items():
            done = run(name, "--help")
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            for setting in (*required, "--check-config", "--env-file", "SIGTERM"):
                self.assertIn(setting, done.stdout)
            version = run(name, "--version")
            self.assertRegex(version.stdout, rf"^{name} \d+\.\d+\.\d+\n$")


class CheckConfig(FleetTest):
    def rows(self, done):
        """{(service, tried): what came of it}"""
        lines = done.stdout.splitlines()
        start = next(i for i, line in enumerate(lines) if re.match(r"service +tried", line))
        table = itertools.takewhile(str.strip, lines[start + 1 :])  # the rights come below
        cells = [re.split(r" {2,}", line) for line in table]
        return {(each[0], each[1], each[-1].split(" at ")[0]): each[3] for each in cells}

    def test_asks_every_service_and_says_what_is_wrong_with_which(self):
        port = lasting_port()
        controller = self.start_controller(LANE_PORT=str(port))
        settings = {**os.environ, "WORKER_TOKEN": WORKER_TOKEN, "HEARTH_LOG_LEVEL": "error"}
        settings["CONTROLLER_URL"] = controller.url
        settings["LANE_URL"] = f"tcp://127.0.0.1:{port}"
        good = run("hearth-worker", "--check-config", environment=settings)
        self.assertEqual(good.returncode, 0, good.stdout + good.stderr)
        rows = self.rows(good)
        self.assertEqual(
            {service for service, _, _ in rows},
            {"credentials", "SQS", "S3", "DynamoDB", "Redis", "controller", "lane"},
        )
        self.assertEqual(set(rows.values()), {"ok"})
        bad = run(
            "hearth-worker",
            "--check-config",
            environment={
                **settings, "WORKER_TOKEN": "a guess of the token", "TABLE_NAME": "no-such-table",
            },
        )
        self.assertEqual(bad.returncode, 1)
        failed = {key[0]: text for key, text in self.rows(bad).items() if text != "ok"}
        self.assertEqual(set(failed), {"DynamoDB", "controller", "lane"}, bad.stdout)
        self.assertIn("WORKER_TOKEN", failed["controller"])
        self.assertIn("WORKER_TOKEN", failed["lane"])
        for place, said in {
            controller.url.replace("http", "tcp"): "LANE_URL names a controller's LANE_PORT",
            f"unix:{controller.folder}/absent": "No such file",
            f"tls://127.0.0.1:{port}": "TLS handshake",
        }.items():
            wrong = run("hearth-worker", "--check-config",
                        environment={**settings, "LANE_URL": place})
            failed = {key[0]: text for key, text in self.rows(wrong).items() if text != "ok"}
            self.assertEqual((wrong.returncode, set(failed)), (1, {"lane"}), wrong.stdout)
            self.assertIn(said, failed["lane"])
        controller.stop()


class AWorkerWithoutAuthorities(unittest.TestCase):
    def test_says_which_file_it_lacks_and_ends(self):
        with tempfile.TemporaryDirectory(prefix="hearth-fleet-", dir="/var/tmp") as folder:
            os.chmod(folder, 0o755)
            done = run("hearth-worker", environment={
                **os.environ, "WORKER_TOKEN": WORKER_TOKEN,
                "CONTROLLER_URL": "http://127.0.0.1:1", "HEARTH_WORKER_PORT": "0",
                "HEARTH_DATA_DIR": os.path.join(folder, "data"),
                "LANE_URL": "tls://127.0.0.1:1", "LANE_CA_FILE": "/nonexistent/ca.pem",
            })
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("/nonexistent/ca.pem", done.stderr)


class OwnRedis:
    """A redis-server that a test may end and start again, with options of its command line."""

    def __init__(self, *options):
        self.options = options
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.address = f"127.0.0.1:{self.port}"
        self.process = None

    def start(self):
        self.process = subprocess.Popen(
            ["redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "",
             *self.options],
            stdout=subprocess.DEVNULL,
        )

    def end(self):
        if self.process is not None:
            self.process.kill()
            self.process.wait()
            self.process = None


class RedisThatGoesAway(FleetTest):
    def setUp(self):
        self.redis = OwnRedis()
        self.addCleanup(self.redis.end)
        self.redis.start()

    def test_turns_health_red_and_leaves_calls_and_jobs_working(self):
        controller = self.start_controller(REDIS_HOST=self.redis.address, HEARTH_RATE_LIMIT="1000")
        (worker,) = self.start_workers(controller, 1, REDIS_HOST=self.redis.address)
        client = controller.client()
        function = client.upload(HELLO)
        self.assertEqual(client.get("/health", key=False).status, 200)
        self.redis.end()
        away = eventually(
            lambda: (lambda answer: answer if answer.status == 503 else None)(
                client.get("/health", key=False)
            ),
            "that /health says so",
        )
        self.assertIn("Redis", away.json()["reason"])
        self.assertEqual(client.result(function), 1)
        self.assertEqual(client.wait_for_job(client.submit(function))["status"], "SUCCEEDED")
        self.assertGreater(controller.metric("hearth_rate_limit_unasked"), 0)
        self.assertGreater(controller.metric("hearth_queued_calls_by_record"), 0)
        self.redis.start()
        eventually(lambda: client.get("/health", key=False).status == 200, "that it is well again")
        self.assertEqual(client.result(function), 1)
        stop_in_order(controller, worker)

    def test_has_requests_refused_where_the_limiter_fails_closed(self):
        controller = self.start_controller(
            REDIS_HOST=self.redis.address, HEARTH_RATE_LIMIT="1000",
            HEARTH_RATE_LIMIT_FAIL_OPEN="false",
        )
        client = controller.client()
        self.assertEqual(client.get("/functions").status, 200)
        self.redis.end()
        refused = eventually(
            lambda: (lambda answer: answer if answer.status == 503 else None)(
                client.get("/functions")
            ),
            "the refusal",
        )
        self.assertIn("retry-after", refused.headers)
        controller.stop()


class AuthoritiesOfOnesOwn(FleetTest):
    def test_are_trusted_for_the_controller_and_for_redis_and_only_where_they_are_named(self):
        folder = tempfile.mkdtemp(prefix="hearth-fleet-", dir="/var/tmp")
        self.addCleanup(shutil.rmtree, folder)
        os.chmod(folder, 0o755)  # programs read it as a user without rights
        certificate, key = make_certificate(folder)
        os.chmod(certificate, 0o644)
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            tls_port = probe.getsockname()[1]
        redis = OwnRedis("--tls-port", str(tls_port), "--tls-cert-file", certificate,
                         "--tls-key-file", key, "--tls-auth-clients", "no")
        self.addCleanup(redis.end)
        redis.start()
        store = {"REDIS_HOST": f"rediss://localhost:{tls_port}", "REDIS_CA_FILE": certificate}
        controller = self.start_controller(HEARTH_TLS_CERT=certificate, HEARTH_TLS_KEY=key, **store)
        url = f"https://localhost:{controller.port}"
        stranger = self.make(Worker, url, **store).start()
        eventually(lambda: "does not hear this worker" in stranger.log_text(), "distrust")
        worker = self.make(Worker, url, CONTROLLER_CA_FILE=certificate, **store).start()
        eventually(lambda: f'"a worker joined","worker":"{worker.id}"' in controller.log_text(),
                   "a heartbeat")
        self.assertIn("connected to Redis", controller.log_text())
        self.assertNotIn(stranger.id, controller.log_text())
        stop_in_order(worker, stranger, controller)

    def test_that_cannot_be_read_are_named_at_the_start(self):
        with tempfile.TemporaryDirectory(prefix="hearth-fleet-", dir="/var/tmp") as folder:
            os.chmod(folder, 0o755)
            done = run("hearth-worker", environment={
                **os.environ, "WORKER_TOKEN": "a worker's token",
                "CONTROLLER_URL": "https://127.0.0.1:1", "HEARTH_WORKER_PORT": "0",
                "HEARTH_DATA_DIR": os.path.join(folder, "data"),
                "CONTROLLER_CA_FILE": "/nonexistent/ca.pem",
            })
        self.assertEqual(done.returncode, 1, done.stderr)
        self.assertIn("/nonexistent/ca.pem", done.stderr)


class TheRateLimit(FleetTest):
    def test_is_exact_and_says_when_to_come_back(self):
        controller = self.start_controller(HEARTH_RATE_LIMIT="3", HEARTH_RATE_WINDOW="1h")
        client = controller.client()
        # Other tests share this Redis, and this address its window.
        answers = [client.get("/functions") for _ in range(4)]
        refused = [each for each in answers if each.status == 429]
        self.assertEqual(answers[-1].status, 429)
        self.assertGreater(int(refused[-1].headers["retry-after"]), 0)
        self.assertEqual(refused[-1].headers["ratelimit-limit"], "3")
        controller.stop()


class TheServiceManager(FleetTest):
    def test_hears_of_the_start_the_life_and_the_end_of_each_program(self):
        controller = self.start_controller()
        for kind, arguments in ((Controller, ()), (Worker, (controller.url,))):
            with self.subTest(kind.name):
                manager = ServiceManager()
                self.addCleanup(manager.close)
                started = self.make(kind, *arguments).start(
                    NOTIFY_SOCKET=manager.address, WATCHDOG_USEC="200000"
                )
                manager.wait_for("READY=1")
                manager.wait_for("WATCHDOG=1")
                started.signal(signal.SIGTERM)
                manager.wait_for("STOPPING=1")
                manager.wait_for("EXTEND_TIMEOUT_USEC=")
                started.wait_for_clean_end()
        controller.stop()


class AnIdleWorker(FleetTest):
    def test_is_small_and_asks_the_queue_once_for_as_long_as_it_waits(self):
        controller = self.start_controller()
        worker = self.make(Worker, controller.url, HEARTH_QUEUE_WAIT="20s").start()
        eventually(lambda: len(controller.live_workers()) == 1, "its heartbeat")
        # Some twenty heartbeats later.
        eventually(
            lambda: worker.metric('hearth_heartbeats{event="taken"}') >= 20, "twenty heartbeats"
        )
        self.assertEqual(worker.metric('hearth_aws_calls{service="sqs"}'), 1)
        with open(f"/proc/{worker.process.pid}/status", encoding="ascii") as status:
            resident_kb = int(re.search(r"VmRSS:\s+(\d+)", status.read()).group(1))
        self.assertLess(resident_kb, IDLE_RSS_KB_MAX)
        worker.kill()
        controller.stop()


if __name__ == "__main__":
    main()
