"""The four services: how each is started, when it is ready, whether it answers."""

import http.client
import os
import pathlib
import select
import socket
import time

import processes

HERE = pathlib.Path(__file__).resolve().parent
HOST = "127.0.0.1"
START_SECONDS_MAX = 60  # a loaded machine; unloaded, each is up within half a second
ANSWER_SECONDS_MAX = 5
REDIS_PORT_ATTEMPTS_MAX = 5
LOG_LINES_SHOWN = 15

NAMES = ("redis", "sqs", "dynamodb", "s3")
WHAT = {
    "redis": "redis-server",
    "sqs": "fauxqs",
    "dynamodb": "dynalite",
    "s3": "s3rver",
}


class ServiceError(Exception):
    """What went wrong and, as second argument, what to do about it."""


def log_file(folder, name):
    return folder / f"{name}.log"


def last_lines(folder, name):
    path = log_file(folder, name)
    text = path.read_text(encoding="utf-8", errors="replace") if path.exists() else ""
    return "\n".join(text.splitlines()[-LOG_LINES_SHOWN:])


def did_not_start(folder, name, why):
    return ServiceError(
        f"{WHAT[name]} ({name}) {why}\n{last_lines(folder, name)}",
        f"read the lines above (whole log: {log_file(folder, name)}); is its port taken?",
    )


class StandIn:
    """One of the npm packages, started by serve.mjs, which reports the port that it has."""

    def __init__(self, folder, name, port, stand_ins, bound_to_parent, remember):
        self.folder, self.name = folder, name
        node = (stand_ins / "node-program").read_text(encoding="utf-8").strip()
        data = folder / f"{name}-data"
        data.mkdir(exist_ok=True)
        self.ready, theirs = os.pipe()
        script = [str(HERE / "serve.mjs"), name, str(port), str(stand_ins / "packages")]
        command = [node, *script, str(data), str(theirs)]
        self.child, self.known = processes.start(
            command, log_file(folder, name), (theirs,), bound_to_parent
        )
        os.close(theirs)
        remember(name, self.known | {"port": None})

    def wait(self):
        """Its port; the pipe ends without one when it failed."""
        poll = select.poll()
        poll.register(self.ready, select.POLLIN)
        answered = poll.poll(START_SECONDS_MAX * 1000)
        text = os.read(self.ready, 16) if answered else b""
        os.close(self.ready)
        if text:
            return int(text)
        why = "ended at once" if answered else f"was not up within {START_SECONDS_MAX} s"
        raise did_not_start(self.folder, self.name, why)


def free_port():
    with socket.socket() as probe:
        probe.bind((HOST, 0))
        return probe.getsockname()[1]


class Redis:
    """redis-server. It cannot take a free port by itself: when another process takes the one that
    was free a moment ago, the next is tried."""

    def __init__(self, folder, port, bound_to_parent, remember):
        self.folder, self.given, self.bound_to_parent = folder, port, bound_to_parent
        self.remember, self.attempts = remember, 0
        self.start()

    def start(self):
        self.attempts += 1
        self.port = self.given or free_port()
        data = self.folder / "redis-data"
        data.mkdir(exist_ok=True)
        command = ["redis-server", "--bind", HOST, "--port", str(self.port), "--dir", str(data)]
        command += ["--save", "", "--appendonly", "no", "--daemonize", "no"]
        self.child, self.known = processes.start(
            command, log_file(self.folder, "redis"), (), self.bound_to_parent
        )
        self.remember("redis", self.known | {"port": None})

    def wait(self):
        until = time.monotonic() + START_SECONDS_MAX
        while time.monotonic() < until:
            if redis_pid(self.port) == self.known["pid"]:
                return self.port
            if self.child.poll() is not None:
                if self.given or self.attempts == REDIS_PORT_ATTEMPTS_MAX:
                    raise did_not_start(self.folder, "redis", "ended at once")
                self.start()
            time.sleep(0.02)  # redis-server tells nobody when it is ready
        raise did_not_start(self.folder, "redis", f"was not up within {START_SECONDS_MAX} s")


def redis_pid(port):
    """The pid of the redis-server behind a port, or None when none answers."""
    try:
        with socket.create_connection((HOST, port), ANSWER_SECONDS_MAX) as connection:
            connection.sendall(b"INFO server\r\n")
            text = b""
            while b"process_id:" not in text or not text.endswith(b"\r\n"):
                more = connection.recv(65536)
                if not more:
                    return None
                text += more
    except OSError:
        return None
    return int(text.partition(b"process_id:")[2].split()[0])


def answers(name, service):
    """Whether a real request is answered, with whatever status."""
    if name == "redis":
        return redis_pid(service["port"]) == service["pid"]
    connection = http.client.HTTPConnection(HOST, service["port"], timeout=ANSWER_SECONDS_MAX)
    try:
        connection.request("GET", "/")
        connection.getresponse().read()
        return True
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def start_all(folder, ports, stand_ins, bound_to_parent, remember):
    """Starts the four at once, then waits for each. `remember` is told of every process before
    anything else can fail, so that none is lost."""
    started = {}
    for name in NAMES:
        if name == "redis":
            service = Redis(folder, ports[name], bound_to_parent, remember)
        else:
            service = StandIn(folder, name, ports[name], stand_ins, bound_to_parent, remember)
        started[name] = service
    for name, service in started.items():
        port = service.wait()
        remember(name, service.known | {"port": port})
