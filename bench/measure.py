"""Shared by the benchmarks: starting what is compared, a client with little overhead, figures.

Everything listens on loopback. Latencies are seconds as float, printed in microseconds.
"""

import contextlib
import json
import pathlib
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
HEARTH = ROOT / "build" / "release" / "src" / "bin" / "hearth"
ECHO = ROOT / "build" / "release" / "bench" / "hearth-bench-echo"
# Loopback only, for the length of one benchmark.
API_KEY = "the-key-of-benchmarks"
START_SECONDS_MAX = 30
STOP_SECONDS_MAX = 30
ANSWER_SECONDS_MAX = 60


def fail(what, remedy):
    sys.exit(f"FAILED: {what}\n  do:    {remedy}")


def need_program(name):
    path = shutil.which(name)
    return path or fail(f"{name} is not installed", f"apt-get install {name}")


def need_binary(path, target):
    if not pathlib.Path(path).exists():
        fail(f"{path} is missing", f"cmake --preset release && ninja -C build/release {target}")
    return str(path)


def wait_for(what, process, probe):
    """What `probe` answers once it is not None, while the process lives and time remains."""
    deadline = time.monotonic() + START_SECONDS_MAX
    while time.monotonic() < deadline:
        answer = probe()
        if answer is not None:
            return answer
        if process.poll() is not None:
            fail(f"{what} ended with {process.returncode}", "read its messages above")
        time.sleep(0.02)
    return fail(f"{what} did not start within {START_SECONDS_MAX} s", "read its messages above")


def read_port(path):
    text = path.read_text() if path.exists() else ""
    return int(text) if text.endswith("\n") or text.strip().isdigit() else None


def stop(process):
    """SIGTERM and wait; the exit code, or None when it had to be killed."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
    try:
        return process.wait(STOP_SECONDS_MAX)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
        return None


class Server:
    """A running program and where it listens."""

    def __init__(self, process, port):
        self.process, self.port = process, port

    def get(self, path):
        url = f"http://127.0.0.1:{self.port}{path}"
        request = urllib.request.Request(url, headers={"x-api-key": API_KEY})
        with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
            return answer.read().decode()


@contextlib.contextmanager
def hearth(binary, arguments=()):
    """`hearth dev` on a free port and an own data folder, which is removed afterwards."""
    need_binary(binary, "hearth hearth-sandboxd")
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        # The sandbox's users are not ours, and the folder's default is 0700.
        pathlib.Path(folder).chmod(0o755)
        port_file = pathlib.Path(folder, "port")
        log = open(pathlib.Path(folder, "log"), "wb")  # pylint: disable=consider-using-with
        command = [str(binary), "dev", "--port", "0", "--port-file", str(port_file)]
        command += ["--data-dir", str(pathlib.Path(folder, "data"))]
        command += ["--api-key", API_KEY, *arguments]
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            port = wait_for("hearth dev", process, lambda: read_port(port_file))
            yield Server(process, port)
        except BaseException:
            log.flush()
            sys.stderr.write(pathlib.Path(folder, "log").read_text(errors="replace")[-4000:])
            raise
        finally:
            stop(process)
            log.close()


@contextlib.contextmanager
def port_writer(what, binary, *arguments):
    """A server that writes its port to the file that is its first argument."""
    with tempfile.TemporaryDirectory(prefix="hearth-bench-") as folder:
        port_file = pathlib.Path(folder, "port")
        process = subprocess.Popen([str(binary), str(port_file), *map(str, arguments)])
        try:
            yield Server(process, wait_for(what, process, lambda: read_port(port_file)))
        finally:
            stop(process)


def echo(binary):
    return port_writer("the echo", need_binary(binary, "hearth-bench-echo"))


def accepts(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
        return True
    except OSError:
        return None


@contextlib.contextmanager
def gunicorn(application, arguments=()):
    """Debian's gunicorn serving bench/<application>, by a socket that is bound here."""
    program = need_program("gunicorn")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        command = ["/usr/bin/python3", program, "--bind", f"fd://{listener.fileno()}"]
        command += ["--workers", "1", "--log-level", "error", *arguments, application]
        process = subprocess.Popen(
            command, pass_fds=[listener.fileno()], cwd=ROOT / "bench" / "peers"
        )
    server = Server(process, port)

    def answers():
        try:
            return server.get("/") is not None or None
        except OSError:
            return None

    try:
        wait_for("gunicorn", process, answers)
        yield server
    finally:
        stop(process)


def upload(server, path, name, timeout_ms=10000, runtime="python", file=None):
    """Uploads one .py file; its functionId."""
    boundary = "hearth-bench-boundary"
    content = pathlib.Path(path).read_text(encoding="utf-8")
    parts = [
        f'--{boundary}\r\ncontent-disposition: form-data; name="{field}"\r\n\r\n{value}\r\n'
        for field, value in (("name", name), ("timeoutMs", timeout_ms), ("runtime", runtime))
    ]
    parts.append(
        f'--{boundary}\r\ncontent-disposition: form-data; name="file"; '
        f'filename="{file or name}.py"\r\n'
        f"content-type: text/x-python\r\n\r\n{content}\r\n--{boundary}--\r\n"
    )
    request = urllib.request.Request(
        f"http://127.0.0.1:{server.port}/upload",
        data="".join(parts).encode(),
        headers={
            "content-type": f"multipart/form-data; boundary={boundary}",
            "x-api-key": API_KEY,
        },
    )
    with urllib.request.urlopen(request, timeout=ANSWER_SECONDS_MAX) as answer:
        return json.load(answer)["functionId"]


class Client:
    """One HTTP/1.1 connection that does only what the two sides' answers need."""

    def __init__(self, port, keep_alive=True):
        self.port, self.keep_alive, self.socket = port, keep_alive, None

    def connect(self):
        self.socket = socket.create_connection(("127.0.0.1", self.port), ANSWER_SECONDS_MAX)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def close(self):
        if self.socket is not None:
            self.socket.close()
            self.socket = None

    def request(self, method, path, body=b""):
        connection = b"keep-alive" if self.keep_alive else b"close"
        head = f"{method} {path} HTTP/1.1\r\nhost: 127.0.0.1\r\n".encode()
        head += f"x-api-key: {API_KEY}\r\n".encode()
        head += b"content-type: application/json\r\nconnection: " + connection
        return head + f"\r\ncontent-length: {len(body)}\r\n\r\n".encode() + body

    def call(self, request):
        """Sends the bytes of one request; (status, body). Connects first where that is needed."""
        if self.socket is None:
            self.connect()
        self.socket.sendall(request)
        data = self.socket.recv(65536)
        while b"\r\n\r\n" not in data:
            data += self.receive()
        head, _, body = data.partition(b"\r\n\r\n")
        lower = head.lower()
        at = lower.find(b"\r\ncontent-length:")
        if at < 0:
            raise OSError("the answer has no content-length")
        length = int(lower[at + 17 :].split(b"\r\n", 1)[0])
        while len(body) < length:
            body += self.receive()
        if not self.keep_alive or b"\r\nconnection: close" in lower:
            self.close()
        return int(head[9:12]), body

    def receive(self):
        data = self.socket.recv(65536)
        if not data:
            raise OSError("the server closed the connection within an answer")
        return data


def percentile(values, share):
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def microseconds(seconds):
    return f"{seconds * 1e6:,.0f} µs"
