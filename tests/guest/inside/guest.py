"""What the guest's own tests share: the installed service, its cgroups, a client of it."""

import pathlib
import re
import subprocess
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parents[1] / "e2e"))

from client import Client  # noqa: E402
from server import eventually, instance_of, read_text  # noqa: E402,F401

UNIT = "hearth.service"
UNIT_CGROUP = pathlib.Path("/sys/fs/cgroup/system.slice", UNIT)
SETTINGS = pathlib.Path("/etc/hearth/hearth.env")
DATA = pathlib.Path("/var/lib/hearth")
PORT = 8080
WAIT_S = 120  # a bound: the emulator is slow


def systemctl(*arguments):
    return subprocess.run(["systemctl", *arguments], capture_output=True, text=True, check=False)


def show(name):
    """A property of the unit."""
    return systemctl("show", "-P", name, UNIT).stdout.strip()


def api_key():
    return re.search(r"^INFRA_API_KEY=(\w+)$", SETTINGS.read_text(), re.M)[1]


def client():
    return Client(PORT, api_key())


def is_serving():
    try:
        return client().get("/health", key=False).status == 200
    except OSError:
        return False


def await_service():
    eventually(is_serving, "the service answers", WAIT_S)


def instance_cgroup():
    return UNIT_CGROUP / f"hearth-{instance_of(DATA)}"


def slots():
    """The cgroups of the service's sandboxes."""
    return sorted(instance_cgroup().glob("slot-*"))


def read(cgroup, name):
    return (cgroup / name).read_text().strip()


def events(cgroup, name):
    """A file of "key number" lines."""
    return {key: int(value) for key, value in (line.split() for line in
                                               read(cgroup, name).splitlines())}


def cgroup_of(pid):
    """Where a process is, or None when it is gone."""
    found = re.search(r"^0::(.*)$", read_text(f"/proc/{pid}/cgroup"), re.M)
    return pathlib.Path("/sys/fs/cgroup" + found[1]) if found else None


def process_called(name):
    """The process that has given itself this name."""
    def find():
        for folder in pathlib.Path("/proc").glob("[0-9]*"):
            if read_text(folder / "comm").strip() == name:
                return int(folder.name)
        return None

    return eventually(find, f"a process is called {name}", WAIT_S)


def elapsed(action):
    began = time.monotonic()
    action()
    return time.monotonic() - began
