#!/usr/bin/python3
"""tools/localcloud starts real services on loopback, and ends them and nothing else."""

import json
import os
import pathlib
import select
import shlex
import signal
import socket
import subprocess
import tempfile
import time
import unittest

ROOT = pathlib.Path(__file__).resolve().parents[2]
TOOL = ROOT / "tools" / "localcloud"
LOCK_FILES = sorted((ROOT / "tools" / "localcloud.d").rglob("package-lock.json"))
SECONDS_MAX = 60


def tool(*arguments, check=True):
    return subprocess.run(
        [str(TOOL), *map(str, arguments)], capture_output=True, text=True, check=check, cwd="/"
    )


def environment_of(text):
    words = (word.partition("=") for word in shlex.split(text) if word != "export")
    return {name: value for name, _, value in words}


def state_of(folder):
    return json.loads((pathlib.Path(folder) / "state.json").read_text(encoding="utf-8"))


def pids_of(folder):
    return {name: service["pid"] for name, service in state_of(folder).items()}


def ended(handle):
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(SECONDS_MAX * 1000))


def curl(*arguments):
    command = ["curl", "--silent", "--show-error", "--fail-with-body", "--max-time", "20"]
    done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise AssertionError(f"curl {arguments}: {done.stdout}{done.stderr}")
    return done.stdout


def aws(url, target, content, *more):
    header = f"X-Amz-Target: {target}"
    kind = "Content-Type: application/x-amz-json-1.0"
    return json.loads(curl("-H", header, "-H", kind, "-d", json.dumps(content), *more, url) or "{}")


class ServicesTest(unittest.TestCase):
    """One set for all of these."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.addClassCleanup(cls.folder.cleanup)
        cls.addClassCleanup(tool, "down", "--folder", cls.folder.name)
        cls.environment = environment_of(tool("up", "--folder", cls.folder.name).stdout)
        # As the service's own tools sign.
        user = f"{cls.environment['AWS_ACCESS_KEY_ID']}:{cls.environment['AWS_SECRET_ACCESS_KEY']}"
        cls.signed = lambda _, service: (
            "--aws-sigv4",
            f"aws:amz:{cls.environment['AWS_REGION']}:{service}",
            "--user",
            user,
        )

    def dynamodb(self, action, content):
        url = self.environment["AWS_ENDPOINT_URL_DYNAMODB"]
        return aws(url, f"DynamoDB_20120810.{action}", content, *self.signed("dynamodb"))

    def sqs(self, action, content):
        return aws(self.environment["AWS_ENDPOINT_URL_SQS"], f"AmazonSQS.{action}", content)

    def test_a_message_that_is_sent_is_received(self):
        queue = {"QueueUrl": self.environment["SQS_URL"]}
        self.sqs("SendMessage", queue | {"MessageBody": "a job"})
        messages = self.sqs("ReceiveMessage", queue)["Messages"]
        self.assertEqual([message["Body"] for message in messages], ["a job"])
        self.sqs("DeleteMessage", queue | {"ReceiptHandle": messages[0]["ReceiptHandle"]})

    def test_what_is_received_again_and_again_ends_in_the_dead_letter_queue(self):
        def attributes(variable):
            content = {"QueueUrl": self.environment[variable], "AttributeNames": ["All"]}
            return self.sqs("GetQueueAttributes", content)["Attributes"]

        redrive = json.loads(attributes("SQS_URL")["RedrivePolicy"])
        self.assertEqual(redrive["deadLetterTargetArn"], attributes("DLQ_URL")["QueueArn"])
        # More than the three attempts of a job: docs/fleet.md.
        self.assertEqual(int(redrive["maxReceiveCount"]), 10)

        def receive(variable, visibility):
            content = {"VisibilityTimeout": visibility, "WaitTimeSeconds": 0}
            content["QueueUrl"] = self.environment[variable]
            return self.sqs("ReceiveMessage", content).get("Messages", [])

        queue = {"QueueUrl": self.environment["SQS_URL"]}
        self.sqs("SendMessage", queue | {"MessageBody": "poison"})
        received = [len(receive("SQS_URL", 0)) for _ in range(11)]
        self.assertEqual(received, [1] * 10 + [0])
        self.assertEqual([message["Body"] for message in receive("DLQ_URL", 60)], ["poison"])

    def test_an_object_that_is_put_is_read_back(self):
        url = f"{self.environment['AWS_ENDPOINT_URL_S3']}/{self.environment['BUCKET_NAME']}/a/b"
        signed = (*self.signed("s3"), "-H", "x-amz-content-sha256: UNSIGNED-PAYLOAD")
        curl("-X", "PUT", "--data-binary", "some code", *signed, url)
        self.assertEqual(curl(*signed, url), "some code")

    def test_functions_are_found_by_id_and_listed_in_order_of_creation(self):
        table = {"TableName": self.environment["TABLE_NAME"]}
        for name, created in (("late", "2"), ("early", "1")):
            item = {"id": {"S": name}, "kind": {"S": "function"}, "created": {"S": created}}
            self.dynamodb("PutItem", table | {"Item": item})
        found = self.dynamodb("GetItem", table | {"Key": {"id": {"S": "late"}}})
        self.assertEqual(found["Item"]["created"], {"S": "2"})
        query = {
            "IndexName": "by_creation",
            "KeyConditionExpression": "kind = :kind",
            "ExpressionAttributeValues": {":kind": {"S": "function"}},
        }
        listed = self.dynamodb("Query", table | query)["Items"]
        self.assertEqual([item["id"]["S"] for item in listed], ["early", "late"])

    def test_records_are_found_by_their_job(self):
        table = {"TableName": self.environment["LOGS_TABLE_NAME"]}
        self.dynamodb("PutItem", table | {"Item": {"job_id": {"S": "7"}}})
        found = self.dynamodb("GetItem", table | {"Key": {"job_id": {"S": "7"}}})
        self.assertEqual(found["Item"], {"job_id": {"S": "7"}})

    def test_redis_keeps_what_is_set(self):
        host, _, port = self.environment["REDIS_HOST"].partition(":")
        command = ["redis-cli", "-h", host, "-p", port]
        subprocess.run([*command, "SET", "key", "value"], check=True, capture_output=True)
        got = subprocess.run([*command, "GET", "key"], check=True, capture_output=True, text=True)
        self.assertEqual(got.stdout.strip(), "value")

    def test_a_second_up_changes_nothing_and_prints_the_same_environment(self):
        before = pids_of(self.folder.name)
        again = tool("up", "--folder", self.folder.name)
        self.assertEqual(environment_of(again.stdout), self.environment)
        self.assertEqual(pids_of(self.folder.name), before)

    def test_another_port_for_what_runs_already_is_refused(self):
        done = tool("up", "--folder", self.folder.name, "--redis-port", 1, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("redis runs already", done.stderr)

    def test_status_is_a_table_for_people_and_json_for_programs(self):
        table = tool("status", "--folder", self.folder.name).stdout
        told = json.loads(tool("status", "--folder", self.folder.name, "--json").stdout)
        self.assertTrue(told["up"])
        for service in told["services"]:
            self.assertTrue(service["answers"], service)
            self.assertIn(str(service["port"]), table)

    def test_they_listen_on_loopback_alone(self):
        ports = {service["port"] for service in state_of(self.folder.name).values()}
        listed = subprocess.run(["ss", "-Hltn"], check=True, capture_output=True, text=True).stdout
        addresses = [line.split()[3].rpartition(":") for line in listed.splitlines()]
        ours = {address for address, _, port in addresses if int(port) in ports}
        self.assertEqual(ours, {"127.0.0.1"})


class LifeTest(unittest.TestCase):
    def setUp(self):
        folder = tempfile.TemporaryDirectory()
        self.addCleanup(folder.cleanup)
        self.folder = folder.name

    def test_down_leaves_no_process_and_a_dead_service_is_started_anew(self):
        self.addCleanup(tool, "down", "--folder", self.folder)
        tool("up", "--folder", self.folder)
        first = pids_of(self.folder)
        gone = os.pidfd_open(first["sqs"])
        os.kill(first["sqs"], signal.SIGKILL)
        self.assertTrue(ended(gone))
        told = tool("status", "--folder", self.folder, check=False)
        self.assertEqual(told.returncode, 3)
        self.assertIn("gone", told.stdout)

        tool("up", "--folder", self.folder)
        second = pids_of(self.folder)
        self.assertFalse(set(first.values()) & set(second.values()))
        handles = [os.pidfd_open(pid) for pid in second.values()]
        down = tool("down", "--folder", self.folder).stdout
        self.assertEqual(down.count(" ended\n"), 4, down)
        for handle in handles:
            self.assertTrue(ended(handle))
            os.close(handle)
        self.assertIn("nothing runs", tool("down", "--folder", self.folder).stdout)

    def test_a_stranger_with_a_remembered_pid_is_not_ended(self):
        with subprocess.Popen(["sleep", "600"]) as stranger:
            boot = pathlib.Path("/proc/sys/kernel/random/boot_id").read_text().strip()
            known = {"pid": stranger.pid, "start_time": 1, "boot_id": boot, "port": 1}
            pathlib.Path(self.folder, "state.json").write_text(json.dumps({"redis": known}))
            self.assertIn("gone", tool("down", "--folder", self.folder).stdout)
            self.assertIsNone(stranger.poll())
            stranger.kill()

    def test_a_port_that_is_taken_fails_with_a_remedy_and_leaves_nothing(self):
        with socket.create_server(("127.0.0.1", 0)) as taken:
            port = taken.getsockname()[1]
            done = tool("up", "--folder", self.folder, "--dynamodb-port", port, check=False)
        self.assertEqual(done.returncode, 1)
        self.assertIn("dynalite", done.stderr)
        self.assertIn("EADDRINUSE", done.stderr)
        self.assertIn("do:", done.stderr)
        self.assertIn("nothing runs", tool("down", "--folder", self.folder).stdout)

    def test_run_gives_a_command_the_environment_and_passes_its_exit_code_on(self):
        script = 'echo "${SQS_URL} ${REDIS_HOST}"; exit 7'
        done = tool("run", "--folder", self.folder, "--", "bash", "-c", script, check=False)
        self.assertEqual(done.returncode, 7, done.stderr)
        self.assertRegex(done.stdout, r"^http://\S+:\d+/\S+ 127\.0\.0\.1:\d+\n$")
        self.assertIn("nothing runs", tool("down", "--folder", self.folder).stdout)

    def assert_services_end_with_run(self, number, exit_code):
        command = [str(TOOL), "run", "--folder", self.folder, "--", "cat"]
        with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL) as run:
            self.addCleanup(run.kill)
            until = time.monotonic() + SECONDS_MAX
            while not pathlib.Path(self.folder, "environment").exists():
                self.assertLess(time.monotonic(), until)
                self.assertIsNone(run.poll())
                time.sleep(0.02)
            handles = [os.pidfd_open(pid) for pid in pids_of(self.folder).values()]
            run.send_signal(number)
            for handle in handles:
                self.assertTrue(ended(handle))
                os.close(handle)
            self.assertEqual(run.wait(SECONDS_MAX), exit_code)

    def test_services_of_a_run_that_is_killed_end_with_it(self):
        self.assert_services_end_with_run(signal.SIGKILL, -signal.SIGKILL)

    def test_a_run_that_is_asked_to_end_takes_its_services_down(self):
        self.assert_services_end_with_run(signal.SIGTERM, 128 + signal.SIGTERM)
        self.assertFalse(pathlib.Path(self.folder, "state.json").exists())


class PackagesTest(unittest.TestCase):
    def test_lock_files_name_no_registry_but_the_public_one_and_pin_every_content(self):
        self.assertEqual(len(LOCK_FILES), 2)
        for path in LOCK_FILES:
            for name, package in json.loads(path.read_text(encoding="utf-8"))["packages"].items():
                with self.subTest(path=path.parent.name, package=name):
                    public = "https://registry.npmjs.org/"
                    self.assertTrue(package.get("resolved", public).startswith(public))
                    self.assertTrue(not name or package["integrity"].startswith("sha512-"))


if __name__ == "__main__":
    unittest.main()
