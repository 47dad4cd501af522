#!/usr/bin/python3
"""The installed service on a host whose cgroups are version 2 alone: it keeps to the cgroup that
systemd hands it, every limit there is the kernel's, and whatever happens it comes back clean."""

import os
import pathlib
import signal
import sys
import tempfile
import unittest

from guest import (DATA, UNIT, UNIT_CGROUP, WAIT_S, await_service, cgroup_of, client, eventually,
                   events, instance_cgroup, process_called, read, show, slots, systemctl)

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / "e2e"))

from harness import Background, zip_of  # noqa: E402
from server import start_time_of  # noqa: E402

INSIDE = pathlib.Path(__file__).resolve().parent
PROCESSES = 64 + 1  # sandbox/protocol.h, pids_default; and init
MEMORY_MB = 128

FUNCTION = """
import ctypes, os

def name_process(name):
    ctypes.CDLL(None).prctl(15, name.encode(), 0, 0, 0)

def spin(event):
    name_process(event["name"])
    while True:
        pass

def allocate(event):
    # A child takes it, and the parent is to go as well.
    if os.fork() == 0:
        held = []
        while True:
            held.append(bytearray(8 << 20))
    os.wait()
    return "the child died alone"

def fork(event):
    for made in range(1000):
        try:
            child = os.fork()
        except BlockingIOError:
            return made
        if child == 0:
            while True:
                ctypes.CDLL(None).pause()

def add(event):
    if "name" in event:
        name_process(event["name"])
    return sum(event["numbers"])

def handler(event, context):
    return globals()[event["do"]](event)
"""


# Starts a server twice, says each time which cgroups there are, and calls a function.
CONTAINER = """
umount -l /sys/fs/cgroup
mount -t cgroup2 cgroup2 /sys/fs/cgroup
for each in first second; do
    rm -f {folder}/port
    INFRA_API_KEY=key hearth dev --port 0 --port-file {folder}/port --data-dir {folder}/data &
    server=$!
    python3 -B - {folder} <<'END'
import os, pathlib, sys
sys.path[:0] = ["{inside}"]
from guest import Client, eventually, read_text
port = eventually(lambda: read_text(sys.argv[1] + "/port").strip(), "the server listens", 120)
client = Client(int(port), "key")
function = client.upload("def handler(event, context): return event + 1")
found = sorted(os.listdir("/sys/fs/cgroup"))
print(*[name for name in found if name == "hearth-processes"], client.result(function, 4))
if not [name for name in found if name.startswith("hearth-dev-")]:
    sys.exit("no instance below the container's cgroup")
END
    kill $server
    wait $server
done
"""


CONTAINER_UNIT = """
[Service]
Type=oneshot
MemoryAccounting=yes
TasksAccounting=yes
CPUWeight=100
ExecStart=unshare --cgroup --mount /bin/sh -e {script}
StandardOutput=file:{folder}/said
StandardError=inherit
"""


class ServiceTest(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        await_service()
        cls.client = client()

    def upload(self, **settings):
        function = self.client.upload(FUNCTION, **settings)
        self.addCleanup(self.client.request, "DELETE", f"/functions/{function}")
        return function

    def assert_serves(self, function=None):
        self.assertEqual(
            self.client.result(function or self.upload(), {"do": "add", "numbers": [2, 3]}), 5)

    def test_01_installing_enables_and_starts_it(self):
        self.assertEqual(systemctl("is-enabled", UNIT).stdout.strip(), "enabled")
        self.assertEqual(show("ActiveState"), "active")
        self.assertEqual(os.stat("/etc/hearth/hearth.env").st_mode & 0o777, 0o600)

    def test_02_it_runs_functions_and_jobs(self):
        function = self.upload()
        self.assert_serves(function)
        archive = zip_of({"main.py": "from part.sums import add as handler\n",
                          "part/sums.py": "def add(event, context): return sum(event)\n"})
        zipped = self.client.upload(archive, "code.zip")
        self.addCleanup(self.client.request, "DELETE", f"/functions/{zipped}")
        self.assertEqual(self.client.result(zipped, [4, 5]), 9)
        self.assertEqual(self.client.try_upload(b"PK\x03\x04 cut off", "code.zip").status, 400)
        job = self.client.submit(function, {"do": "add", "numbers": [20, 22]})
        self.assertEqual(self.client.wait_for_job(job)["result"], 42)

    def test_03_its_processes_are_in_a_leaf_of_the_delegated_cgroup(self):
        main = int(show("MainPID"))
        self.assertEqual(cgroup_of(main), UNIT_CGROUP / "hearth-processes")
        self.assertEqual(read(UNIT_CGROUP, "cgroup.procs"), "")
        for inner in (UNIT_CGROUP, instance_cgroup()):
            self.assertLessEqual({"cpu", "memory", "pids"},
                                 set(read(inner, "cgroup.subtree_control").split()))
        # The server is nobody special, and its manager has a user of its own: root.
        self.assertEqual(os.stat(f"/proc/{main}").st_uid, os.stat(DATA).st_uid)
        self.assertNotEqual(os.stat(DATA).st_uid, 0)

    def test_04_every_sandbox_has_the_kernels_limits(self):
        self.assert_serves()
        self.assertTrue(slots())
        for slot in slots():
            self.assertEqual(read(slot, "memory.max"), str(MEMORY_MB << 20))
            self.assertEqual(read(slot, "memory.oom.group"), "1")
            self.assertEqual(read(slot, "pids.max"), str(PROCESSES))
            if (slot / "memory.swap.max").exists():
                self.assertEqual(read(slot, "memory.swap.max"), "0")

    def test_05_out_of_memory_ends_the_whole_sandbox_and_nothing_else(self):
        before = events(instance_cgroup(), "memory.events")
        body = self.client.run(self.upload(), {"do": "allocate"})
        self.assertEqual(body["error"]["type"], "Runtime.OutOfMemory", body)
        after = events(instance_cgroup(), "memory.events")
        # The kernel's own doing: one group, all of its processes.
        self.assertEqual(after["oom_group_kill"] - before["oom_group_kill"], 1)
        self.assertGreater(after["oom_kill"] - before["oom_kill"], 2)
        self.assertEqual((show("ActiveState"), show("NRestarts")), ("active", "0"))
        self.assert_serves()

    def test_06_forks_end_at_pids_max(self):
        function = self.upload()
        self.client.result(function, {"do": "add", "numbers": [], "name": "warm-one"})
        slot = cgroup_of(process_called("warm-one"))
        # Below RLIMIT_NPROC, which else answers first.
        (slot / "pids.max").write_text("20")
        made = self.client.result(function, {"do": "fork"})
        self.assertEqual(made, 20 - 2)  # init and Python
        self.assertGreater(events(slot, "pids.events")["max"], 0)
        self.assert_serves()

    def test_07_the_high_water_mark_is_the_kernels(self):
        function = self.upload()
        body = self.client.run(function, {"do": "add", "numbers": []})
        self.assertGreater(body["maxMemoryMb"], 0)
        self.assertLessEqual(body["maxMemoryMb"], MEMORY_MB)

    def test_08_a_frozen_sandbox_dies_of_its_timeout(self):
        function = self.upload(timeoutMs=20_000)
        call = Background(lambda: self.client.run(function, {"do": "spin", "name": "frozen-one"}))
        slot = cgroup_of(process_called("frozen-one"))
        self.assertEqual(slot.parent, instance_cgroup())
        (slot / "cgroup.freeze").write_text("1")
        eventually(lambda: events(slot, "cgroup.events")["frozen"] == 1, "it is frozen", WAIT_S)
        before = events(slot, "cpu.stat")["usage_usec"]
        self.assert_serves()
        self.assertEqual(events(slot, "cpu.stat")["usage_usec"], before)
        # SIGKILL alone would wait for the thaw where version 1 freezes; cgroup.kill does not.
        self.assertEqual(call.result()["error"]["type"], "Sandbox.Timedout")
        eventually(lambda: not slot.exists() or events(slot, "cgroup.events")["frozen"] == 0,
                   "the cgroup is gone, or another sandbox's", WAIT_S)

    def test_09_cpu_max_throttles(self):
        function = self.upload(timeoutMs=60_000)
        call = Background(lambda: self.client.run(function, {"do": "spin", "name": "busy-one"}))
        slot = cgroup_of(process_called("busy-one"))
        # Its burst is larger than that share, which the kernel would refuse.
        (slot / "cpu.max.burst").write_text("0")
        (slot / "cpu.max").write_text("10000 100000")
        eventually(lambda: events(slot, "cpu.stat")["nr_throttled"] > 3, "it is throttled", WAIT_S)
        (slot / "cgroup.kill").write_text("1")
        self.assertEqual(call.result()["status"], "FAILED")

    def test_10_a_killed_server_is_started_again_and_keeps_what_it_had(self):
        function = self.upload()
        self.assert_serves(function)
        killed = int(show("MainPID"))
        os.kill(killed, signal.SIGKILL)
        eventually(lambda: show("MainPID") not in ("0", str(killed)), "a new process", WAIT_S)
        await_service()
        self.assert_serves(function)
        self.assertEqual(show("NRestarts"), "1")
        server = start_time_of(int(show("MainPID")))
        for slot in slots():
            for pid in read(slot, "cgroup.procs").split():
                self.assertGreaterEqual(start_time_of(int(pid)), server)

    def test_11_stopping_leaves_nothing_and_starting_again_finds_everything(self):
        function = self.upload()
        self.assert_serves(function)
        self.assertEqual(systemctl("stop", UNIT).returncode, 0)
        self.assertEqual((show("Result"), show("ExecMainStatus")), ("success", "0"))
        self.assertFalse(UNIT_CGROUP.exists())
        self.assertEqual(systemctl("start", UNIT).returncode, 0)
        await_service()
        self.assert_serves(function)

    def test_12_in_a_container_it_rules_the_containers_cgroup(self):
        # As a container runtime does it: a cgroup that is not delegated in systemd's sense, as the
        # root of a namespace, with its own mount; and a second start by a process that the first
        # has moved.
        unit = pathlib.Path("/run/systemd/system/hearth-container.service")
        with tempfile.TemporaryDirectory(dir="/var/tmp") as folder:
            os.chmod(folder, 0o755)
            script = pathlib.Path(folder, "container")
            script.write_text(CONTAINER.format(folder=folder, inside=INSIDE))
            unit.write_text(CONTAINER_UNIT.format(folder=folder, script=script))
            self.addCleanup(systemctl, "daemon-reload")
            self.addCleanup(unit.unlink)
            systemctl("daemon-reload")
            started = systemctl("start", unit.name)
            said = pathlib.Path(folder, "said").read_text()
            self.assertEqual(started.returncode, 0, said)
            lines = [line for line in said.splitlines() if not line.startswith("{")]
            self.assertEqual(lines, ["hearth-processes 5"] * 2, said)


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    unittest.main(verbosity=2)
