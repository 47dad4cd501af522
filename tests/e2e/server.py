"""A real `hearth dev` for a test: starts it, stops it, and proves that nothing of it is left."""

import ctypes
import json
import math
import os
import pathlib
import shutil
import signal
import subprocess
import tempfile
import time

from client import Client

API_KEY = "end-to-end"
# Bounds of waits, not expectations: a loaded machine is slow.
START_WAIT_S = 60
STOP_WAIT_S = 90
CLEAN_WAIT_S = 30
POLL_S = 0.02

PR_SET_CHILD_SUBREAPER = 36


def binary():
    """The program under test: of the build that runs the test, or of build/release by hand."""
    built = pathlib.Path(__file__).resolve().parents[2] / "build/release/src/bin/hearth"
    return os.environ.get("HEARTH_BINARY", str(built))


def eventually(condition, what, within_s=CLEAN_WAIT_S):
    """The first true value of condition(); AssertionError when there is none in time."""
    until = time.monotonic() + within_s
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > until:
            raise AssertionError(f"did not happen within {within_s} s: {what}")
        time.sleep(POLL_S)


def adopt_orphans():
    """Makes whatever the server leaves behind a child of this process, so that it is seen."""
    if ctypes.CDLL(None, use_errno=True).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")


def read_text(path):
    try:
        return pathlib.Path(path).read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""


def process_ids():
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def instance_of(data_dir, program="dev"):
    """The name that a server gives what it makes on the host; as src/bin/groundwork.cc does."""
    status = os.stat(data_dir)
    return f"{program}-{status.st_dev}-{status.st_ino}"


def is_alive(pid):
    """Not gone and not a zombie that waits to be reaped."""
    state = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
    return bool(state) and state[0] not in ("Z", "X")


def processes_of(instance):
    """hearth-sandboxd of the instance, and everything in its cgroups."""
    found = []
    for pid in process_ids():
        arguments = read_text(f"/proc/{pid}/cmdline").split("\0")
        if instance in arguments or f"/hearth-{instance}" in read_text(f"/proc/{pid}/cgroup"):
            if is_alive(pid):
                found.append((pid, " ".join(arguments)))
    return found


def sandboxd_of(instance):
    """Its process id: the oldest process with the instance on its command line."""
    found = [pid for pid, command in processes_of(instance) if "hearth-sandboxd" in command]
    return min(found, key=start_time_of)


def start_time_of(pid):
    """In clock ticks since boot; later than any when it has ended. Ids say nothing: they wrap."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return math.inf
    return int(text.rpartition(")")[2].split()[19])


def cgroups_of(instance):
    return [
        os.path.join(folder, name)
        for folder, names, _ in os.walk("/sys/fs/cgroup")
        for name in names
        if name == f"hearth-{instance}"
    ]


def mounts_of(data_dir):
    return [
        line
        for line in read_text("/proc/self/mountinfo").splitlines()
        if str(data_dir) in line or "hearth-root" in line
    ]


def temporary_files_of(data_dir):
    """Everything that is neither the database, stored code nor the cache of unpacked code."""
    known = {"code", "unpacked", "hearth.db", "hearth.db-wal", "hearth.db-shm", "hearth.db.lock"}
    found = [name for name in os.listdir(data_dir) if name not in known]
    found += [f"code/tmp/{name}" for name in os.listdir(f"{data_dir}/code/tmp")]
    found += [
        f"unpacked/{name}"
        for name in os.listdir(f"{data_dir}/unpacked")
        if name.startswith(("unpacking-", "removing-"))
    ]
    return found


def reap_orphans(known):
    """Waits for adopted children that have ended; Popen waits for its own."""
    for pid in process_ids():
        fields = read_text(f"/proc/{pid}/stat").rpartition(")")[2].split()
        if len(fields) > 1 and int(fields[1]) == os.getpid() and fields[0] == "Z":
            if pid not in known:
                try:
                    os.waitpid(pid, os.WNOHANG)
                except ChildProcessError:
                    pass


class Server:
    """One server on a data folder of its own, or on one that is handed on after a crash."""

    def __init__(self, *options, data_dir=None, environment=None, api_key=API_KEY):
        adopt_orphans()
        self.folder = None
        if data_dir is None:
            # Under /var/tmp: root starts the server, which then serves as a user without rights.
            self.folder = tempfile.mkdtemp(prefix="hearth-e2e-", dir="/var/tmp")
            os.chmod(self.folder, 0o755)
            data_dir = os.path.join(self.folder, "data")
        self.data_dir = data_dir
        self.api_key = api_key
        self.options = list(options)
        if os.geteuid() != 0:
            # What an ordinary user may have of cgroups differs from host to host.
            self.options.append("--allow-no-limits")
        # Many servers live for a second each: making many sandboxes ahead would be their main work.
        self.environment = {"HEARTH_PARKED": "4", **os.environ, **(environment or {})}
        self.process = None
        self.port = 0
        self.log_path = tempfile.mktemp(prefix="hearth-e2e-log-", dir="/var/tmp")
        self.port_path = self.log_path + ".port"

    def start(self):
        self.launch()
        text = eventually(self._port_text, "the port file\n" + self.log_text(), START_WAIT_S)
        self.port = int(text)
        return self

    def launch(self):
        """Starts the process and does not wait for it to listen."""
        pathlib.Path(self.port_path).unlink(missing_ok=True)
        arguments = [binary(), "dev", "--port", "0", "--port-file", self.port_path]
        arguments += ["--data-dir", self.data_dir, *self.options]
        with open(self.log_path, "ab") as log:
            self.process = subprocess.Popen(
                arguments,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**self.environment, "INFRA_API_KEY": self.api_key},
            )

    def _port_text(self):
        if self.process.poll() is not None:
            raise AssertionError(
                f"hearth ended with {self.process.returncode} at its start:\n{self.log_text()}"
            )
        text = read_text(self.port_path)
        return text if text.endswith("\n") else ""

    @property
    def instance(self):
        return instance_of(self.data_dir)

    @property
    def pid(self):
        return self.process.pid

    def client(self, **options):
        return Client(self.port, self.api_key, **options)

    def log_text(self):
        return read_text(self.log_path)

    def log_lines(self):
        """The log as JSON objects; anything else in it is an error."""
        return [json.loads(line) for line in self.log_text().splitlines()]

    def signal(self, number):
        self.process.send_signal(number)

    def wait(self, within_s=STOP_WAIT_S):
        try:
            return self.process.wait(within_s)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"no end within {within_s} s:\n{self.log_text()}") from None

    def stop(self):
        """SIGTERM, exit status 0, nothing left."""
        self.signal(signal.SIGTERM)
        status = self.wait()
        if status != 0:
            raise AssertionError(f"exit status {status} after SIGTERM:\n{self.log_text()}")
        self.check_nothing_left()

    def kill(self):
        """As the kernel's memory killer would: no chance to clean up."""
        self.process.kill()
        self.process.wait()

    def leftovers(self):
        reap_orphans({self.process.pid})
        return {
            "processes": processes_of(self.instance),
            "cgroups": cgroups_of(self.instance),
            "mounts": mounts_of(self.data_dir),
            "files": temporary_files_of(self.data_dir),
        }

    def check_nothing_left(self):
        """Right after a clean exit and, within a bound, after a crash too."""
        left = self.leftovers()
        until = time.monotonic() + (0 if self.process.returncode == 0 else CLEAN_WAIT_S)
        while any(left.values()) and time.monotonic() < until:
            time.sleep(POLL_S)
            left = self.leftovers()
        if any(left.values()):
            raise AssertionError(f"left behind: {left}\n{self.log_text()}")

    def discard(self):
        """Ends what a failed test left running, and removes the folder."""
        if self.process is not None and self.process.poll() is None:
            self.process.kill()
            self.process.wait()
            eventually(lambda: not self.leftovers()["processes"], "the end of every sandbox")
        for path in (self.log_path, self.port_path):
            pathlib.Path(path).unlink(missing_ok=True)
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)
