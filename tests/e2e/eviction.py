"""Many functions under a memory budget that holds few of them: the load, what it did, what it left.

tests/e2e/life_test.py runs it small, bench/eviction as large as the promise."""

import os
import random
import re
import statistics
import threading
import time

from server import (Server, cgroups_of, eventually, process_ids, processes_of, read_text,
                    sandboxd_of, temporary_files_of)

MEMORY_MB = 128
SKEW = 0.9  # of the popularity: the n-th function is called n ** -SKEW times as often as the first
CLIENTS = 4
PARKED = 4  # sandboxes that the server keeps ready
LOOK_S = 0.2
RSS_RATIO_MAX = 1.10
SOURCE = """
ME = %d
calls = 0
def handler(event, context):
    global calls
    calls += 1
    return [ME, event, calls]
"""


def zygote_of(instance):
    """Resident kilobytes and threads of the zygote, or None while there is none. The Pythons that
    it forked have its command line and are children of their own inits."""
    sandboxd = sandboxd_of(instance)
    for pid in process_ids():
        status = read_text(f"/proc/{pid}/status")
        if re.search(rf"^PPid:\t{sandboxd}$", status, re.M) and "hearth-zygote" in read_text(
                f"/proc/{pid}/cmdline"):
            rss = re.search(r"^VmRSS:\s+(\d+)", status, re.M)
            threads = re.search(r"^Threads:\s+(\d+)", status, re.M)
            return [int(rss[1]), int(threads[1])] if rss and threads else None
    return None


def users_of(instance):
    """The users on the host that processes of the server's sandboxes have."""
    found = set()
    for pid, _ in processes_of(instance):
        uid = re.search(r"^Uid:\t(\d+)", read_text(f"/proc/{pid}/status"), re.M)
        if uid and int(uid[1]) >= 200_000:
            found.add(int(uid[1]))
    return len(found)


def footprint(server):
    sandboxd = sandboxd_of(server.instance)
    return {
        "processes": len(processes_of(server.instance)),
        "users": users_of(server.instance),
        "cgroups": sum(len(os.listdir(path)) for path in cgroups_of(server.instance)),
        "descriptors of hearth": len(os.listdir(f"/proc/{server.pid}/fd")),
        "descriptors of hearth-sandboxd": len(os.listdir(f"/proc/{sandboxd}/fd")),
        "mounts of hearth-sandboxd": len(read_text(f"/proc/{sandboxd}/mountinfo").splitlines()),
        "temporary files": len(temporary_files_of(server.data_dir)),
    }


def settled_footprint(server):
    """Once it is the same twice with every parked sandbox there: what is ended ends on its own
    time."""
    seen = []

    def settled():
        time.sleep(LOOK_S)
        seen.append(footprint(server))
        parked = server.client().metrics()['hearth_sandboxes{state="parked"}']
        return len(seen) > 1 and seen[-1] == seen[-2] and parked == PARKED

    eventually(settled, "the footprint settles")
    return seen[-1]


class Load:
    """The functions of one round, and its calls by several clients."""

    def __init__(self, server, functions, seed):
        self.server, self.seed = server, seed
        client = server.client()
        self.ids = [client.upload(SOURCE % number, name=f"f{number}", memoryMb=MEMORY_MB)
                    for number in range(functions)]
        self.weights = [(number + 1) ** -SKEW for number in range(functions)]
        self.latencies, self.problems, self.cold = [], [], 0

    def call(self, client, number, event):
        began = time.monotonic()
        body = client.run(self.ids[number], event)
        self.latencies.append(time.monotonic() - began)
        if body["status"] != "SUCCEEDED" or body["result"][:2] != [number, event]:
            self.problems.append(f"function {number} answered {body}")
        self.cold += body["coldStart"]

    def drive(self, index, count):
        source = random.Random(self.seed * 1000 + index)
        client = self.server.client()
        try:
            for number in source.choices(range(len(self.ids)), self.weights, k=count):
                self.call(client, number, source.randrange(1 << 30))
        except Exception as problem:  # pylint: disable=broad-except
            self.problems.append(repr(problem))

    def run(self, calls):
        client = self.server.client()
        for number in range(len(self.ids)):
            self.call(client, number, 0)
        threads = [threading.Thread(target=self.drive, args=(index, calls // CLIENTS))
                   for index in range(CLIENTS)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()

    def delete(self):
        client = self.server.client()
        for each in self.ids:
            client.request("DELETE", f"/functions/{each}")


def measure(functions, budget_sandboxes, calls, binary_options=()):
    """(figures, what does not hold). The first round makes what is kept on purpose: the code
    cache's entries, buffers, a settled zygote."""
    server = Server("--memory-budget", str(budget_sandboxes * MEMORY_MB), *binary_options)
    try:
        server.start()
        warm_up = Load(server, functions, 1)
        warm_up.run(functions * 2)
        warm_up.delete()
        before = settled_footprint(server)
        zygote_before = eventually(lambda: zygote_of(server.instance), "there is a zygote")
        load = Load(server, functions, 2)
        began = time.monotonic()
        load.run(calls)
        seconds = time.monotonic() - began
        metrics = server.client().metrics()
        load.delete()
        after = settled_footprint(server)
        zygote_after = eventually(lambda: zygote_of(server.instance), "there is a zygote")
        server.stop()
    finally:
        server.discard()
    latencies = sorted(load.latencies)
    figures = {
        "calls": len(latencies), "seconds": seconds, "cold": load.cold,
        "p50 ms": statistics.median(latencies) * 1e3,
        "p99 ms": latencies[len(latencies) * 99 // 100] * 1e3,
        "evicted": metrics["hearth_sandboxes_evicted"],
        "zygote kB, threads": [zygote_before, zygote_after],
        **{what: [before[what], after[what]] for what in before},
    }
    problems = warm_up.problems + load.problems
    problems += [f"{what}: {before[what]} before, {after[what]} after"
                 for what in before if after[what] > before[what]]
    if load.cold <= functions:
        problems.append("nothing was evicted: the budget is too large to show anything")
    if (zygote_after[0] > zygote_before[0] * RSS_RATIO_MAX
            or zygote_after[1] != zygote_before[1]):
        problems.append(f"the zygote grew: {zygote_before} before, {zygote_after} after")
    return figures, problems
