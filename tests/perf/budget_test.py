#!/usr/bin/python3
"""What a warm call may cost in the server: system calls of its event loop, and allocations.

Counts, not times: they hold on a busy machine too. Each budget stands here with the figure that was
measured when it was set; whoever makes a call dearer on purpose changes both.
"""

import json
import os
import pathlib
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "tests" / "e2e"), str(ROOT / "bench")]
import measure  # noqa: E402
from harness import ECHO, StandaloneTest  # noqa: E402
from server import API_KEY  # noqa: E402

WARM_UP = 200
CALLS = 500
CLIENTS = 16
SHARED_CALLS = 2000
LOAD = os.environ.get("HEARTH_BENCH_BINARY", str(ROOT / "build/release/bench/load/hearth-bench"))
COUNTER_LIBRARY = os.environ.get("HEARTH_COUNT_ALLOCATIONS", "")

# Of the event loop's thread, one call at a time. Measured: 10.1. Three io_uring_enter (the request,
# the result, the answer), the event's own send, three reads of the sandbox's gauges, two that empty
# the output's pipe, a look for a stray answer. Records are gathered: a wake of the thread that
# writes them is shared by the calls of 10 ms.
SYSTEM_CALLS_BUDGET = 11.2
# io_uring_enter of all event loops. Measured: 3.0 one at a time; 0.4 to 1.4 from 16 clients, whose
# calls share them.
ENTERS_BUDGET = 3.5
ENTERS_SHARED_BUDGET = 2
# malloc and operator new of all threads, with the record of the call. Measured: 45.
ALLOCATIONS_BUDGET = 50
# How often the sandbox's Python goes to sleep for a call. Measured: 0 to 1.0, by whether the next
# event is there before it looks. It was 2 when it slept in a read, which is also woken when the
# worker takes the answer to the last call.
SLEEPS_BUDGET = 1.3
# Other work on the machine adds wake-ups and takes none away: the best round counts.
ROUNDS = 6


def descendants(pid):
    # By the parents: while processes come and go a parent's list of children may lack some.
    parents = {}
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            parents[int(status.parent.name)] = int(
                status.read_text(encoding="utf-8").rpartition(")")[2].split()[1])
        except OSError:
            continue  # has ended meanwhile
    found = {pid}
    while more := {each for each, parent in parents.items() if parent in found} - found:
        found |= more
    return found


def time_of_python(pid):
    """The processor time that a sandbox's Python has had; 0 for what is none, or has ended."""
    process = pathlib.Path(f"/proc/{pid}")
    try:
        is_python = (process / "comm").read_text(encoding="utf-8") == "python3\n"
        return int((process / "schedstat").read_text().split()[0]) if is_python else 0
    except OSError:
        return 0


def sleeps_of(pid):
    status = pathlib.Path(f"/proc/{pid}/status").read_text(encoding="utf-8")
    return int(re.search(r"^voluntary_ctxt_switches:\s+(\d+)$", status, re.MULTILINE)[1])


def least(measured, budget):
    """What a round costs, at its best; no further than a round within the budget."""
    best = measured()
    for _ in range(ROUNDS - 1):
        if best <= budget:
            break
        best = min(best, measured())
    return best


class BudgetTest(StandaloneTest):
    def start(self, **environment):
        self.server = self.make_server(
            "--concurrency", str(CLIENTS), environment={**os.environ, **environment})
        self.server.start()
        self.client = self.server.client()
        function_id = self.client.upload(ECHO)
        self.body = json.dumps({"functionId": function_id, "inputData": {"name": "Ada"}}).encode()
        self.kept = self.connect()
        self.call(WARM_UP)

    def connect(self):
        """A kept connection that sends a request as one piece, as client libraries do."""
        measure.API_KEY = API_KEY
        made = measure.Client(self.server.port)
        self.addCleanup(made.close)
        return made

    def call(self, times):
        request = self.kept.request("POST", "/run", self.body)
        for _ in range(times):
            status, answer = self.kept.call(request)
            self.assertEqual(status, 200, answer)

    def enters(self):
        text = self.client.get("/metrics").body.decode()
        return float(re.search(r"^hearth_ring_enters ([0-9.e+]+)$", text, re.MULTILINE)[1])

    def test_the_event_loop_enters_the_kernel_so_often_for_a_call(self):
        self.start()

        def round_of_calls():
            before = self.enters()
            self.call(CALLS)
            return (self.enters() - before) / CALLS

        each = least(round_of_calls, ENTERS_BUDGET)
        print(f"io_uring_enter for a call: {each:.2f}, budget {ENTERS_BUDGET}")
        self.assertLessEqual(each, ENTERS_BUDGET)

    def test_calls_at_once_share_their_ways_into_the_kernel(self):
        self.start()
        each = least(self.enters_of_calls_at_once, ENTERS_SHARED_BUDGET)
        print(f"io_uring_enter for one of {CLIENTS} calls at once: {each:.2f}, "
              f"budget {ENTERS_SHARED_BUDGET}")
        self.assertLessEqual(each, ENTERS_SHARED_BUDGET)

    def enters_of_calls_at_once(self):
        done = subprocess.run(
            [LOAD, f"127.0.0.1:{self.server.port}", "--api-key", API_KEY, "--json", "--connections",
             str(CLIENTS), "--calls", str(SHARED_CALLS), "--duration", "60"],
            capture_output=True, text=True, check=True)
        found = json.loads(done.stdout)
        self.assertEqual(found["calls"], SHARED_CALLS)
        return found["server"]["ringEnters"] / SHARED_CALLS

    def test_the_event_loop_makes_so_many_system_calls_for_a_call(self):
        if shutil.which("strace") is None:
            self.skipTest("NOT RUN: strace is absent; apt-get install strace")
        self.start()
        counts = {}
        each = least(lambda: self.traced_calls(counts), SYSTEM_CALLS_BUDGET)
        top = sorted(counts.items(), key=lambda item: -item[1])[:8]
        print(f"system calls for a call: {each:.2f}, budget {SYSTEM_CALLS_BUDGET}: "
              + ", ".join(f"{name} {count / CALLS:.2f}" for name, count in top))
        self.assertLessEqual(each, SYSTEM_CALLS_BUDGET)

    def traced_calls(self, counts):
        report = pathlib.Path(tempfile.mkstemp(prefix="hearth-strace-")[1])
        self.addCleanup(report.unlink)
        # Not -f: the thread with the event loop, which is the first, alone.
        tracer = subprocess.Popen(
            ["strace", "-c", "-U", "calls,name", "-o", str(report), "-p",
             str(self.server.process.pid)], stderr=subprocess.PIPE, text=True)
        self.addCleanup(tracer.stderr.close)
        attached = tracer.stderr.readline()
        if "attached" not in attached:
            tracer.wait()
            self.skipTest(f"NOT RUN: strace may not attach here: {attached}")
        self.call(CALLS)
        tracer.send_signal(signal.SIGINT)
        tracer.wait()
        counts.clear()
        counts.update((name, int(number)) for number, name in re.findall(
            r"^\s*(\d+) (\w+)$", report.read_text(encoding="utf-8"), re.MULTILINE))
        counts.pop("total")
        return sum(counts.values()) / CALLS

    def test_a_warm_python_sleeps_at_most_once_for_a_call(self):
        self.start()
        # The one that has served the calls so far; parked ones wait for their first.
        busy = max(descendants(self.server.process.pid), key=time_of_python)

        def round_of_calls():
            before = sleeps_of(busy)
            self.call(CALLS)
            return (sleeps_of(busy) - before) / CALLS

        each = least(round_of_calls, SLEEPS_BUDGET)
        print(f"sleeps of a sandbox's Python for a call: {each:.2f}, budget {SLEEPS_BUDGET}")
        self.assertLessEqual(each, SLEEPS_BUDGET)

    def test_a_call_allocates_so_often(self):
        if not COUNTER_LIBRARY:
            self.skipTest("NOT RUN: HEARTH_COUNT_ALLOCATIONS names no library: run it by ctest")
        with tempfile.NamedTemporaryFile(prefix="hearth-count-") as file:
            file.write(struct.pack("Q", 0))
            file.flush()
            self.start(LD_PRELOAD=COUNTER_LIBRARY, HEARTH_COUNT_FILE=file.name,
                       HEARTH_COUNT_PROGRAM="hearth")

            def allocations():
                file.seek(0)
                return struct.unpack("Q", file.read(8))[0]
            self.assertGreater(allocations(), 0)

            def round_of_calls():
                before = allocations()
                self.call(CALLS)
                return (allocations() - before) / CALLS

            each = least(round_of_calls, ALLOCATIONS_BUDGET)
        print(f"allocations for a call: {each:.1f}, budget {ALLOCATIONS_BUDGET}")
        self.assertLessEqual(each, ALLOCATIONS_BUDGET)


if __name__ == "__main__":
    unittest.main(verbosity=2)
