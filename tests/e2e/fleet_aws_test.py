#!/usr/bin/python3
"""What a fleet does on AWS beyond its stores: hosts that end, the backlog for CloudWatch, settings
that refer to secrets, and --check-config. EC2's metadata and AWS's smaller services are scripted.
"""

import http.server
import json
import os
import subprocess
import tempfile
import threading
import urllib.parse

from fleet import API_KEY, WORKER_TOKEN, Controller, FleetTest, Worker, program, stop_in_order
from harness import eventually, main

INSTANCE = "i-0123456789abcdef0"
HOOKS = """<LifecycleHooks><member><LifecycleHookName>drain</LifecycleHookName>
<LifecycleTransition>autoscaling:EC2_INSTANCE_TERMINATING</LifecycleTransition>
<HeartbeatTimeout>60</HeartbeatTimeout></member></LifecycleHooks>"""
GROUP = "<member><AutoScalingGroupName>workers</AutoScalingGroupName></member>"


class ScriptedAws:
    """EC2's metadata, Auto Scaling, CloudWatch, Systems Manager and Secrets Manager, as a test
    wants them."""

    def __init__(self):
        self.metadata = {"instance-id": INSTANCE, "instance-life-cycle": "spot"}
        self.parameters = {}
        self.secrets = {}
        self.forms = []
        self.lock = threading.Lock()
        aws = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_):
                pass

            def answer(self, status, text):
                body = text.encode()
                self.send_response(status)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def do_PUT(self):
                self.answer(200, "token")

            def do_GET(self):
                path = self.path.removeprefix("/latest/meta-data/")
                with aws.lock:
                    value = aws.metadata.get(path)
                if self.headers.get("x-aws-ec2-metadata-token") != "token":
                    self.answer(401, "")
                else:
                    self.answer(404 if value is None else 200, value or "")

            def do_POST(self):
                body = self.rfile.read(int(self.headers["content-length"])).decode()
                self.answer(*aws.serve(self.headers.get("x-amz-target", ""), body))

        self.server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.thread = threading.Thread(target=self.server.serve_forever, daemon=True)
        self.thread.start()

    def serve(self, target, body):
        if target == "AmazonSSM.GetParameter":
            value = self.parameters.get(json.loads(body)["Name"])
            if value is None:
                return 400, '{"__type":"ParameterNotFound"}'
            return 200, json.dumps({"Parameter": {"Value": value}})
        if target == "secretsmanager.GetSecretValue":
            value = self.secrets.get(json.loads(body)["SecretId"])
            if value is None:
                return 400, '{"__type":"ResourceNotFoundException"}'
            return 200, json.dumps({"SecretString": value})
        form = dict(urllib.parse.parse_qsl(body))
        with self.lock:
            self.forms.append(form)
        answers = {"DescribeAutoScalingInstances": GROUP, "DescribeLifecycleHooks": HOOKS}
        return 200, answers.get(form["Action"], "<Done/>")

    def tell(self, path, value):
        with self.lock:
            self.metadata[path] = value

    def asked(self, action):
        with self.lock:
            return [form for form in self.forms if form["Action"] == action]

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_address[1]}"

    def settings(self):
        services = ("AUTO_SCALING", "CLOUDWATCH", "SSM", "SECRETS_MANAGER")
        return {
            "AWS_EC2_METADATA_DISABLED": "false",
            "AWS_EC2_METADATA_SERVICE_ENDPOINT": self.url,
            **{f"AWS_ENDPOINT_URL_{each}": self.url for each in services},
        }

    def close(self):
        self.server.shutdown()
        self.thread.join()
        self.server.server_close()


class FleetOnAws(FleetTest):
    def setUp(self):
        self.aws = ScriptedAws()
        self.addCleanup(self.aws.close)

    def check(self, name, **settings):
        """Exit status and output of --check-config."""
        with tempfile.NamedTemporaryFile(suffix=".env") as nothing:
            done = subprocess.run(
                [program(name), "--check-config", "--env-file", nothing.name],
                env={**os.environ, **settings},
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=120,
                check=False,
            )
        return done.returncode, done.stdout


class AHostThatEnds(FleetOnAws):
    def setUp(self):
        super().setUp()
        self.controller = self.start_controller()
        (self.worker,) = self.start_workers(self.controller, 1, **self.aws.settings())

    def tearDown(self):
        self.controller.stop()

    def test_drains_its_worker_and_is_let_go_by_its_group_after(self):
        self.aws.tell("autoscaling/target-lifecycle-state", "Terminated")
        self.worker.wait_for_clean_end()
        self.assertEqual(self.worker.left_behind(), [])
        self.assertIn('"draining"', self.worker.log_text())
        (done,) = self.aws.asked("CompleteLifecycleAction")
        self.assertEqual(
            (done["AutoScalingGroupName"], done["LifecycleHookName"], done["InstanceId"]),
            ("workers", "drain", INSTANCE),
        )
        self.assertEqual(done["LifecycleActionResult"], "CONTINUE")
        self.assertTrue(self.aws.asked("RecordLifecycleActionHeartbeat"))
        self.assertEqual(self.controller.live_workers(), [])

    def test_by_a_spot_notice_drains_its_worker_and_asks_no_group(self):
        notice = {"action": "terminate", "time": "2099-01-31T08:22:00Z"}
        self.aws.tell("spot/instance-action", json.dumps(notice))
        self.worker.wait_for_clean_end()
        self.assertEqual(self.worker.left_behind(), [])
        self.assertEqual(self.aws.asked("CompleteLifecycleAction"), [])


class TheBacklog(FleetOnAws):
    def test_is_told_to_cloudwatch_where_that_was_asked_for(self):
        controller = self.start_controller(**self.aws.settings(), HEARTH_PUBLISH_BACKLOG="1")
        eventually(lambda: self.aws.asked("PutMetricData"), "a metric")
        form = self.aws.asked("PutMetricData")[0]
        self.assertEqual(form["Namespace"], "Hearth")
        self.assertEqual(form["MetricData.member.1.MetricName"], "BacklogPerInstance")
        self.assertEqual(
            form["MetricData.member.1.Dimensions.member.1.Value"],
            os.environ["SQS_URL"].rsplit("/", 1)[1],
        )
        self.assertGreaterEqual(float(form["MetricData.member.1.Value"]), 0)
        controller.stop()


class ASettingThatRefers(FleetOnAws):
    def test_is_fetched_before_the_start_and_shown_nowhere(self):
        self.aws.parameters["/hearth/api-key"] = API_KEY
        self.aws.secrets["hearth/fleet"] = json.dumps({"token": "a-token-from-a-secret"})
        controller = self.start_controller(
            **self.aws.settings(),
            INFRA_API_KEY="ssm:/hearth/api-key",
            WORKER_TOKEN="secretsmanager:hearth/fleet#token",
        )
        worker = self.make(Worker, controller.url, WORKER_TOKEN="a-token-from-a-secret").start()
        eventually(lambda: controller.live_workers(), "the worker's first heartbeat")
        self.assertNotIn("a-token-from-a-secret", controller.log_text())
        stop_in_order(controller, worker)

    def test_that_cannot_be_fetched_is_a_problem_among_all_others(self):
        controller = self.make(
            Controller,
            **self.aws.settings(),
            INFRA_API_KEY="ssm:/absent",
            WORKER_TOKEN="secretsmanager:absent#token",
            PORT="no number",
        )
        controller.launch()
        self.assertEqual(controller.process.wait(60), 1)
        told = controller.log_text()
        for part in ("INFRA_API_KEY", "there is no parameter /absent", "WORKER_TOKEN", "PORT"):
            self.assertIn(part, told)


class CheckConfig(FleetOnAws):
    def test_tells_every_right_of_the_controller(self):
        settings = {"INFRA_API_KEY": API_KEY, "WORKER_TOKEN": WORKER_TOKEN,
                    "HEARTH_PUBLISH_BACKLOG": "1"}
        status, told = self.check("hearth-controller", **settings, **self.aws.settings())
        self.assertEqual(status, 0, told)
        for right in ("sqs:SendMessage", "s3:PutObject", "dynamodb:Query",
                      "cloudwatch:PutMetricData"):
            self.assertIn(right, told)
        self.assertNotIn("FAILED", told)

    def test_tells_every_right_of_a_worker_on_ec2_and_what_is_wrong(self):
        settings = {"WORKER_TOKEN": WORKER_TOKEN, "CONTROLLER_URL": "http://127.0.0.1:9",
                    "TABLE_NAME": os.environ["LOGS_TABLE_NAME"]}
        status, told = self.check("hearth-worker", **settings, **self.aws.settings())
        self.assertEqual(status, 1, told)
        self.assertIn("its key is not", told)
        for right in ("sqs:ReceiveMessage", "autoscaling:RecordLifecycleActionHeartbeat"):
            self.assertIn(right, told)
        self.assertEqual(self.aws.asked("CompleteLifecycleAction"), [])


if __name__ == "__main__":
    main()
