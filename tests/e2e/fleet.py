"""Real hearth-controller and hearth-worker programs for a test, on the services whose environment
it runs in (tools/localcloud run)."""

import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import tempfile
import time
import unittest

from client import Client
from server import adopt_orphans, binary, eventually, instance_of, processes_of, read_text
from server import cgroups_of, reap_orphans

API_KEY = "the-key-of-end-to-end-tests"
WORKER_TOKEN = "a worker's token"
# Bounds of waits, not expectations: a loaded machine is slow.
START_WAIT_S = 60
STOP_WAIT_S = 90
HEARTBEAT_MS = 200

# Functions that several tests upload.
HELLO = """
def handler(event, context):
    return {"hello": event["name"]}
"""
# Ends when it is told to, by its event.
SLEEPER = """
import time

def handler(event, context):
    time.sleep(event["seconds"])
    return "slept"
"""
ASYNC = {"x-async": "true"}


def program(name):
    return str(pathlib.Path(binary()).parent / name)


def lasting_port():
    """A free port that a program finds free again when it is restarted: below those that the kernel
    gives to outgoing connections, of which one may be the very attempt to reach the program."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


def stop_in_order(*programs):
    """SIGTERM to all at once, then the ends in order."""
    for each in programs:
        each.process.send_signal(signal.SIGTERM)
    for each in programs:
        each.wait_for_clean_end()


class Program:
    """One process with settings by its environment; its folder goes with it."""

    name = ""
    port_file_setting = ""
    port_setting = ""

    def __init__(self, **settings):
        adopt_orphans()
        # Under /var/tmp: root starts the program, which then serves as a user without rights.
        self.folder = tempfile.mkdtemp(prefix="hearth-fleet-", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.log_path = os.path.join(self.folder, "log")
        self.port_path = os.path.join(self.folder, "port")
        self.settings = {
            "WORKER_TOKEN": WORKER_TOKEN,
            self.port_setting: str(lasting_port()),
            self.port_file_setting: self.port_path,
            **settings,
        }
        self.process = None
        self.port = 0

    def launch(self, **more):
        pathlib.Path(self.port_path).unlink(missing_ok=True)
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                [program(self.name), "--env-file", self.empty_file()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **self.settings, **more},
            )
        return self

    def start(self, **more):
        self.launch(**more)
        what = "the port file"
        self.port = int(eventually(self._port_text, what, START_WAIT_S))
        # A restart is where the others know it to be.
        self.settings[self.port_setting] = str(self.port)
        return self

    def empty_file(self):
        """So that no .env of the working folder takes part."""
        path = os.path.join(self.folder, "settings.env")
        pathlib.Path(path).touch()
        return path

    def _port_text(self):
        if self.process.poll() is not None:
            raise AssertionError(f"{self.name} ended at its start:\n{self.log_text()}")
        text = read_text(self.port_path)
        return text if text.endswith("\n") else ""

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def log_text(self):
        return read_text(self.log_path)

    def client(self):
        return Client(self.port, API_KEY)

    def metric(self, name):
        """The value of a line of /metrics, whose labels are part of the name."""
        text = self.client().get("/metrics").body.decode()
        for line in text.splitlines():
            if line.startswith(name + " "):
                return float(line.split()[-1])
        return None

    def signal(self, number):
        self.process.send_signal(number)

    def kill(self):
        self.process.kill()
        self.process.wait()

    def wait_for_clean_end(self):
        try:
            status = self.process.wait(STOP_WAIT_S)
        except subprocess.TimeoutExpired:
            raise AssertionError(f"no end within {STOP_WAIT_S} s:\n{self.log_text()}") from None
        if status != 0:
            raise AssertionError(f"exit status {status}:\n{self.log_text()}")

    def stop(self):
        self.signal(signal.SIGTERM)
        self.wait_for_clean_end()

    def discard(self):
        if self.process is not None and self.process.poll() is None:
            self.kill()
        shutil.rmtree(self.folder, ignore_errors=True)


class Controller(Program):
    name = "hearth-controller"
    port_setting = "PORT"
    port_file_setting = "HEARTH_PORT_FILE"

    def __init__(self, **settings):
        defaults = {
            "INFRA_API_KEY": API_KEY,
            "HEARTH_RATE_LIMIT": "0",
            "HEARTH_HEARTBEAT_INTERVAL": f"{HEARTBEAT_MS}ms",
        }
        super().__init__(**{**defaults, **settings})

    def workers(self):
        """{id: what is listed}"""
        listed = self.client().get("/api/workers").json()["workers"]
        return {each["id"]: each for each in listed}

    def live_workers(self):
        return [each for each in self.workers().values() if each["status"] == "LIVE"]


class Worker(Program):
    name = "hearth-worker"
    port_setting = "HEARTH_WORKER_PORT"
    port_file_setting = "HEARTH_WORKER_PORT_FILE"

    def __init__(self, controller_url, **settings):
        super().__init__(CONTROLLER_URL=controller_url, **settings)
        self.data_dir = os.path.join(self.folder, "data")
        self.settings["HEARTH_DATA_DIR"] = self.data_dir
        self.settings.setdefault("MAX_MEMORY_MB", "2048")
        # A stop waits for the end of the request that waits for jobs.
        self.settings.setdefault("HEARTH_QUEUE_WAIT", "1s")

    @property
    def id(self):
        for line in self.log_text().splitlines():
            told = json.loads(line)
            if told["msg"] == "working":
                return told["worker"]
        return None

    def left_behind(self):
        reap_orphans({self.process.pid})
        instance = instance_of(self.data_dir, "worker")
        return processes_of(instance) + cgroups_of(instance)

    def stop(self):
        super().stop()
        left = self.left_behind()
        if left:
            raise AssertionError(f"left behind: {left}\n{self.log_text()}")

    def kill(self):
        super().kill()
        eventually(lambda: not self.left_behind(), "the end of every sandbox")


class ServiceManager:
    """The other end of NOTIFY_SOCKET."""

    def __init__(self):
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("")  # an abstract name of the kernel's choice
        self._socket.settimeout(START_WAIT_S)
        self.address = "@" + self._socket.getsockname()[1:].decode()

    def wait_for(self, text):
        """The first message that holds `text`."""
        until = time.monotonic() + START_WAIT_S
        while time.monotonic() < until:
            message = self._socket.recv(4096).decode()
            if text in message:
                return message
        raise AssertionError(f"the program never said {text}")

    def close(self):
        self._socket.close()


class FleetTest(unittest.TestCase):
    """Starts programs; those that a failing test leaves running are ended."""

    def make(self, kind, *arguments, **settings):
        made = kind(*arguments, **settings)
        self.addCleanup(made.discard)
        return made

    def start_controller(self, **settings):
        return self.make(Controller, **settings).start()

    def start_workers(self, controller, count, **settings):
        workers = [self.make(Worker, controller.url, **settings) for _ in range(count)]
        for each in workers:
            each.launch()
        for each in workers:
            each.port = int(eventually(each._port_text, "the worker's port", START_WAIT_S))
        return workers
