"""Many jobs on a fleet to which things happen, and the account of what became of each."""

import collections
import http.client
import itertools
import os
import random
import signal
import threading
import time
import urllib.parse

from fault_proxy import FaultProxy
from fleet import Controller, Worker
from server import instance_of, processes_of

FINAL = ("SUCCEEDED", "FAILED", "TIMED_OUT", "DEAD")
# Says which execution it was: a second one of the same job answers something else.
HANDLER = ("import os\n"
           "def handler(event, context):\n"
           "    return [event, os.urandom(8).hex()]\n")
ENDPOINTS = {"SQS": "AWS_ENDPOINT_URL_SQS", "S3": "AWS_ENDPOINT_URL_S3",
             "DynamoDB": "AWS_ENDPOINT_URL_DYNAMODB"}
SUBMITTERS = 8
WATCHERS = 4


def proxies_for(share, seed):
    """{setting: value} that leads every program through proxies, and the proxies by service."""
    settings, proxies = {}, {}
    for number, (service, name) in enumerate(ENDPOINTS.items()):
        address = urllib.parse.urlsplit(os.environ[name])
        proxies[service] = FaultProxy(address.port, seed + number, share)
        settings[name] = f"{address.scheme}://127.0.0.1:{proxies[service].port}"
    return settings, proxies


class Account:
    """Submits jobs and follows each until its outcome, which must never change."""

    def __init__(self, client, function_id, count):
        self.client = client
        self.function_id = function_id
        self.count = count
        self.accepted = {}  # job id: its event
        self.refused = 0  # answers that promise nothing
        self.outcomes = {}  # job id: its record
        self._lock = threading.Lock()
        self._numbers = itertools.count()

    def submit_all(self, pause=0.0):
        in_threads(SUBMITTERS, self._submit, pause)

    def _submit(self, pause):
        connection = self.client.connect()
        while (number := next(self._numbers)) < self.count:
            while not self._submit_one(connection, number):
                time.sleep(0.05)
            time.sleep(pause)
        connection.close()

    def _submit_one(self, connection, number):
        body = f'{{"functionId":"{self.function_id}","inputData":{number}}}'
        headers = {"content-type": "application/json", "x-async": "true"}
        try:
            answer = self.client.exchange(connection, "POST", "/run", body, headers)
        except (OSError, http.client.HTTPException):
            connection.close()  # the controller is away, or was while it answered
            answer = None
        with self._lock:
            if answer is None or answer.status != 202:
                self.refused += 1
                return False
            self.accepted[answer.json()["jobId"]] = number
        return True

    def settle_all(self, within_s, progress=lambda done, total: None):
        """Waits for the outcome of every job that was accepted so far."""
        until = time.monotonic() + within_s
        while left := [each for each in self.accepted if each not in self.outcomes]:
            if time.monotonic() > until:
                return
            progress(len(self.outcomes), len(self.accepted))
            queue = iter(left)
            in_threads(WATCHERS, self._look, queue, threading.Lock())
            if not self.outcomes.keys() >= set(left):
                time.sleep(0.5)

    def _look(self, queue, lock):
        connection = self.client.connect()
        while True:
            with lock:
                job_id = next(queue, None)
            if job_id is None:
                break
            record = self._status(connection, job_id)
            if record and record["status"] in FINAL:
                with self._lock:
                    self.outcomes[job_id] = record
        connection.close()

    def _status(self, connection, job_id):
        try:
            answer = self.client.exchange(connection, "GET", f"/status/{job_id}")
        except (OSError, http.client.HTTPException):
            connection.close()
            return None
        return answer.json() if answer.status == 200 else None

    def changed(self):
        """Jobs whose outcome is another one than the first that was seen."""
        connection = self.client.connect()
        now = {each: self._status(connection, each) for each in self.outcomes}
        connection.close()
        return [each for each, first in self.outcomes.items()
                if not now[each] or (now[each]["status"], now[each].get("result")) !=
                (first["status"], first.get("result"))]

    def summary(self):
        states = collections.Counter(each["status"] for each in self.outcomes.values())
        extra = sum(max(0, each.get("attempts", 1) - 1) for each in self.outcomes.values())
        return {"accepted": len(self.accepted), "refused": self.refused,
                "outcomes": len(self.outcomes), "lost": len(self.accepted) - len(self.outcomes),
                "states": dict(states), "executionsMoreThanJobs": extra}


def in_threads(count, target, *arguments):
    threads = [threading.Thread(target=target, args=arguments) for _ in range(count)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()


class Supervisor:
    """What a service manager does: a program that ended begins again. And what it does not: it
    kills one now and then."""

    KINDS = ("worker", "sandboxd", "controller", "redis", "connections")

    def __init__(self, programs, redis=None, proxies=(), kinds=KINDS, seed=1):
        self.programs = programs
        self.kinds = kinds
        self.redis = redis
        self.proxies = list(proxies)
        self.kills = collections.Counter()
        self._random = random.Random(seed)
        self._stopping = threading.Event()
        self._thread = None

    def start(self, kill_every_s):
        self._thread = threading.Thread(target=self._run, args=(kill_every_s,))
        self._thread.start()
        return self

    def stop(self):
        """No more kills; everything runs again."""
        self._stopping.set()
        self._thread.join()
        self._revive()

    def _run(self, kill_every_s):
        due = time.monotonic() + kill_every_s
        victims = itertools.cycle([each for each in self.victims() if each[0] in self.kinds])
        while not self._stopping.wait(0.1):
            self._revive()
            if time.monotonic() >= due:
                name, kill = next(victims)
                kill()
                self.kills[name] += 1
                due = time.monotonic() + kill_every_s

    def victims(self):
        workers = [each for each in self.programs if isinstance(each, Worker)]
        controllers = [each for each in self.programs if isinstance(each, Controller)]
        if workers:
            yield "worker", lambda: self._random.choice(workers).process.kill()
            yield "sandboxd", lambda: self._kill_sandboxd(self._random.choice(workers))
        for each in controllers:
            yield "controller", each.process.kill
        if self.redis:
            yield "redis", self._restart_redis
        if self.proxies:
            yield "connections", lambda: [each.cut_all() for each in self.proxies]

    def _restart_redis(self):
        self.redis.end()
        self.redis.start()

    @staticmethod
    def _kill_sandboxd(worker):
        for pid, command in processes_of(instance_of(worker.data_dir, "worker")):
            if "hearth-sandboxd" in command:
                try:
                    os.kill(pid, signal.SIGKILL)
                except ProcessLookupError:
                    pass

    def _revive(self):
        for each in self.programs:
            if each.process.poll() is not None:
                each.launch()

