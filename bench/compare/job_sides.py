"""Systems that run jobs in the background, behind one face: start, submit, count the done, stop.

A job is the handler of examples/hello with the same event. Each side has as many processes for jobs
as the others. One Python process submits on all sides, on as many threads; a round lasts from the
first submission until the last outcome stands recorded, where its caller could ask for it.
"""

import contextlib
import json
import os
import pathlib
import shlex
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import time

import common
import measure

SUBMITTERS = 16
POLL_SECONDS = 0.02
ROUND_SECONDS_MAX = 600
EVENT = json.loads(common.EVENT)
REDIS_CONFIGURATION = "bind 127.0.0.1\nport {port}\nsave \"\"\nappendonly no\ndir {folder}\n"


def in_threads(count, action):
    """action(number) for 0 to count-1, shared among the submitters' threads."""
    problems = []

    def work(first):
        try:
            action(range(first, count, SUBMITTERS))
        except Exception as problem:  # pylint: disable=broad-exception-caught
            problems.append(problem)

    threads = [threading.Thread(target=work, args=(first,)) for first in range(SUBMITTERS)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    if problems:
        measure.fail(f"a job was not accepted: {problems[0]!r}", "mend that first")


class JobSide:
    """start() and stop() around any number of rounds."""

    def __init__(self):
        self.resources = contextlib.ExitStack()

    def start(self):
        raise NotImplementedError

    def submit(self, count):
        raise NotImplementedError

    def done(self):
        """How many jobs have a recorded outcome since the start."""
        raise NotImplementedError

    def stop(self):
        self.resources.close()

    def await_done(self, count):
        deadline = time.monotonic() + ROUND_SECONDS_MAX
        while self.done() < count:
            if time.monotonic() > deadline:
                measure.fail(f"{type(self).__name__}: {self.done()} of {count} jobs ended within "
                             f"{ROUND_SECONDS_MAX} s", "read the logs of that side")
            time.sleep(POLL_SECONDS)

    def round(self, count):
        """Jobs per second."""
        before = self.done()
        start = time.monotonic()
        self.submit(count)
        self.await_done(before + count)
        return count / (time.monotonic() - start)


class HearthSide(JobSide):
    """What both forms of Hearth share: POST /run with x-async."""

    def __init__(self):
        super().__init__()
        self.server, self.request = None, b""

    def prepare(self, server):
        self.server = server
        hello = common.EXAMPLES / "hello" / "hello.py"
        body = json.dumps({"functionId": measure.upload(server, hello, "hello"),
                           "inputData": EVENT}).encode()
        head = measure.Client(server.port).request("POST", "/run", body)
        self.request = head.replace(b"\r\n", b"\r\nx-async: true\r\n", 1)

    def submit(self, count):
        def send(numbers):
            client = measure.Client(self.server.port)
            for _ in numbers:
                # 429 says that the queue is full for the moment.
                while True:
                    status, answer = client.call(self.request)
                    if status == 202:
                        break
                    if status != 429:
                        raise OSError(f"{status}: {answer[:200]!r}")
                    time.sleep(POLL_SECONDS)
            client.close()
        in_threads(count, send)

    def count_on(self, servers):
        """Jobs whose outcome stands, as the job takers count them in /metrics."""
        total = 0
        for server in servers:
            for line in server.get("/metrics").splitlines():
                if line.startswith('hearth_job_events{event="succeeded"} '):
                    total += float(line.split()[-1])
        return round(total)


class HearthDev(HearthSide):
    """Controller, worker and storage as one process."""

    def __init__(self, build, workers):
        super().__init__()
        self.build, self.workers = build, workers

    def start(self):
        count = str(self.workers)
        self.prepare(self.resources.enter_context(measure.hearth(
            common.hearth_binary(self.build), ["--jobs", count, "--concurrency", count])))

    def done(self):
        return self.count_on([self.server])


class HearthFleet(HearthSide):
    """hearth-controller and one hearth-worker on tools/localcloud: SQS, S3, DynamoDB, Redis."""

    token = "a worker's token"

    def __init__(self, build, workers):
        super().__init__()
        self.build, self.workers = build, workers
        self.worker = None

    def environment(self, folder):
        cloud = str(measure.ROOT / "tools" / "localcloud")
        up = subprocess.run([cloud, "up", "--folder", f"{folder}/cloud"], check=True, text=True,
                            stdout=subprocess.PIPE)
        self.resources.callback(subprocess.run, [cloud, "down", "--folder", f"{folder}/cloud"],
                                check=True, stdout=subprocess.DEVNULL)
        words = (word.partition("=") for word in shlex.split(up.stdout))
        settings = {name: value for name, found, value in words if found}
        pathlib.Path(folder, "settings.env").touch()
        return {**os.environ, **settings, "WORKER_TOKEN": self.token,
                "INFRA_API_KEY": measure.API_KEY, "HEARTH_RATE_LIMIT": "0"}

    def run(self, name, folder, environment):
        port_file = pathlib.Path(folder, f"{name}-port")
        program = measure.need_binary(self.build / "src" / "bin" / name, name)
        log = self.resources.enter_context(open(pathlib.Path(folder, f"{name}-log"), "wb"))
        settings = {"HEARTH_PORT_FILE": str(port_file), "HEARTH_WORKER_PORT_FILE": str(port_file)}
        process = subprocess.Popen(
            [program, "--env-file", f"{folder}/settings.env"], stdout=log, stderr=log,
            env={**environment, **settings})
        self.resources.callback(measure.stop, process)
        port = measure.wait_for(name, process, lambda: measure.read_port(port_file))
        return measure.Server(process, port)

    def start(self):
        self.prepare(self.start_programs())

    def start_programs(self):
        """Controller and worker with a lane of TCP; the controller, once it has the lane."""
        # Root starts the programs, which then serve as users without rights.
        folder = tempfile.mkdtemp(prefix="hearth-compare-", dir="/var/tmp")
        os.chmod(folder, 0o755)
        self.resources.callback(shutil.rmtree, folder, True)
        environment = self.environment(folder)
        with common.free_port() as lane_port:
            pass
        controller = self.run("hearth-controller", folder, {
            **environment, "PORT": "0", "LANE_PORT": str(lane_port)})
        self.worker = self.run("hearth-worker", folder, {
            **environment, "CONTROLLER_URL": f"http://127.0.0.1:{controller.port}",
            "LANE_URL": f"tcp://127.0.0.1:{lane_port}",
            "HEARTH_WORKER_PORT": "0", "HEARTH_DATA_DIR": f"{folder}/data",
            "HEARTH_JOB_CONCURRENCY": str(self.workers), "HEARTH_CONCURRENCY": str(self.workers)})
        measure.wait_for("the lane", controller.process, lambda: controller.get(
            "/metrics").find("\nhearth_lanes 1\n") > 0 or None)
        return controller

    def done(self):
        return self.count_on([self.worker])


class RedisSide(JobSide):
    """A redis-server of its own and worker processes of the peer."""

    def __init__(self, workers):
        super().__init__()
        self.workers, self.port, self.client = workers, 0, None

    def start_redis(self):
        import redis  # pylint: disable=import-outside-toplevel
        program = measure.need_program("redis-server")
        folder = self.resources.enter_context(tempfile.TemporaryDirectory(prefix="hearth-redis-"))
        with socket.create_server(("127.0.0.1", 0)) as taken:
            self.port = taken.getsockname()[1]
        configuration = pathlib.Path(folder, "redis.conf")
        configuration.write_text(REDIS_CONFIGURATION.format(port=self.port, folder=folder),
                                 encoding="utf-8")
        process = subprocess.Popen([program, str(configuration)], stdout=subprocess.DEVNULL)
        self.resources.callback(measure.stop, process)
        measure.wait_for("redis-server", process, lambda: measure.accepts(self.port))
        self.client = redis.Redis(port=self.port)
        self.resources.callback(self.client.close)
        os.environ["HEARTH_BENCH_REDIS"] = f"redis://127.0.0.1:{self.port}"
        sys.path.insert(0, str(common.PEERS))

    def spawn(self, *command):
        environment = {**os.environ, "PYTHONPATH": str(common.PEERS),
                       "PYTHONDONTWRITEBYTECODE": "1"}
        process = subprocess.Popen(command, env=environment, cwd=common.PEERS,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.resources.callback(measure.stop, process)


class Celery(RedisSide):
    """Broker and results in Redis; prefork, as many processes; the rest as it comes."""

    def start(self):
        self.start_redis()
        self.spawn("/usr/bin/python3", "-m", "celery", "-A", "bare_celery", "worker",
                   "--concurrency", str(self.workers), "--loglevel", "ERROR")

    def submit(self, count):
        import bare_celery  # pylint: disable=import-outside-toplevel,import-error

        def send(numbers):
            for _ in numbers:
                bare_celery.hello.delay(EVENT)
        in_threads(count, send)

    def done(self):
        # Results have a database of their own.
        return self.client.execute_command("EVAL", "redis.call('SELECT', 1) "
                                           "return redis.call('DBSIZE')", 0)


class Rq(RedisSide):
    """As many `rq worker` processes; each forks for each job, which is its way."""

    def start(self):
        from rq import Queue  # pylint: disable=import-outside-toplevel
        self.start_redis()
        self.queue = Queue(connection=self.client)
        for _ in range(self.workers):
            self.spawn("/usr/bin/python3", "-m", "rq.cli", "worker", "--quiet", "--url",
                       os.environ["HEARTH_BENCH_REDIS"])

    def submit(self, count):
        def send(numbers):
            for _ in numbers:
                self.queue.enqueue("bare_rq.hello", EVENT, result_ttl=86400)
        in_threads(count, send)

    def done(self):
        return self.queue.finished_job_registry.count


def compare(options, rival, least):
    """Rows of jobs per second, in turns."""
    kind = HearthFleet if options.fleet else HearthDev
    sides = {"hearth": kind(options.build, options.workers), "rival": rival}
    try:
        for side in sides.values():
            side.start()
        for side in sides.values():
            side.round(options.jobs)  # connections are made, the stand-ins' code is compiled
        found = common.in_turns(options.rounds, {
            name: (lambda side=side: side.round(options.jobs)) for name, side in sides.items()})
    finally:
        for side in sides.values():
            side.stop()
    form = "controller and worker on SQS, S3, DynamoDB" if options.fleet else "hearth dev"
    return [common.row(f"jobs, submission to recorded outcome, {options.workers} processes, {form}",
                       "jobs/s", common.median(found["hearth"]), common.median(found["rival"]),
                       least=least)]


def parse(text, jobs):
    parser = common.parser(text, rounds=5)
    parser.add_argument("--jobs", type=int, default=jobs, help=f"of each turn ({jobs})")
    parser.add_argument("--workers", type=int, default=2, help="processes that run jobs (2)")
    parser.add_argument("--fleet", action="store_true",
                        help="hearth-controller and hearth-worker on tools/localcloud, not `hearth "
                        "dev`")
    return parser.parse_args()
