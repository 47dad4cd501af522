"""The frame of an attack: upload it, run it through /run beside an innocent function, judge what it
saw, delete it, and prove that nothing of it is left."""

import collections
import concurrent.futures
import ctypes
import os
import pathlib
import re
import statistics
import sys
import time

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER.parent / "e2e"))

from harness import (  # noqa: E402,F401
    Background, ServerTest, eventually, in_parallel, main, zip_of,
)
from server import (  # noqa: E402
    POLL_S, cgroups_of, is_alive, process_ids, processes_of, read_text, sandboxd_of,
    temporary_files_of,
)

CANARY = "canary-4fb1d7d2c9"  # in the server's environment and nowhere else
SANDBOX_UIDS = range(200_000, 200_000 + 16_384)  # sandbox/spawner.cc, slots_max
# An attack may cost others time, since they share the processors, but not service: so many times
# their own latency in calm, measured in the same run.
SLOWDOWN_MAX = 60
CALM_CALLS = 15
PARKED = 4  # sandboxes that the server keeps ready
SHELLS = 4  # and those that it keeps ready but for Python
LANDLOCK_TRUNCATES = 3  # from this ABI on, Linux 6.2, it knows of truncation
SLOWNESS = int(os.environ.get("HEARTH_TEST_SLOWNESS", "1"))  # more in an emulator
END_WAIT_S = 10 * SLOWNESS  # a bound for what is retired, not an expectation

INNOCENT = """
import os
def handler(event, context):
    return {"double": event * 2, "seen": os.listdir("/tmp") + os.listdir("/dev/shm")}
"""


def succeeds_with(expected):
    """The attack ran to its end and saw exactly this."""

    def check(test, body):
        test.assertEqual(body["status"], "SUCCEEDED", body)
        test.assertEqual(body["result"], expected, body)

    return check


def succeeds_if(condition):
    """The attack ran to its end, and what it saw is as condition(test, result) asserts."""

    def check(test, body):
        test.assertEqual(body["status"], "SUCCEEDED", body)
        condition(test, body["result"])

    return check


# What the audit names for a call that ended with this error type.
AUDITED = {"Sandbox.ProtocolViolation": "protocol", "Sandbox.PolicyViolation": "policy",
           "Runtime.OutOfMemory": "out_of_memory"}


def fails_with(kind, words="", message=None):
    """The call ends with this error type, and the message has the words."""
    kinds = kind if isinstance(kind, tuple) else (kind,)
    named = [AUDITED[each] for each in kinds if each in AUDITED]

    def check(test, body):
        test.assertEqual(body["status"], "FAILED", body)
        test.assertIn(body["error"]["type"], kinds, body)
        test.assertIn(words, body["error"]["message"], body)
        if message is not None:
            test.assertEqual(body["error"]["message"], message)

    check.violations = tuple(named) if len(kinds) == 1 else frozenset(named)
    return check


VIOLATIONS = ("protocol", "policy", "out_of_memory", "pids_limit", "strays", "output_flood")

Group = collections.namedtuple("Group", "number title attack check event violations settings")


def group(number, title, attack, check, event=None, violations=None, **settings):
    """One entry of a module's table: the group's number, what must hold, the hostile function's
    name, its judge; the event's other members; upload fields such as memoryMb. `violations` are
    the kinds that the audit names for it, each once: a kind, several, or (); a frozenset is a
    choice, where the outcome is one too. Unless told, what belongs to the judge's error type."""
    if violations is None:
        violations = getattr(check, "violations", ())
    if isinstance(violations, str):
        violations = (violations,)
    return Group(number, title, attack, check, event or {}, violations, settings)


def landlock_abi():
    """Of this host's kernel; 0 without Landlock."""
    create_ruleset, version = 444, 1
    return max(0, ctypes.CDLL(None).syscall(create_ruleset, None, 0, version))


def descriptors_of(pid):
    return len(os.listdir(f"/proc/{pid}/fd"))


def mounts_in_namespace_of(pid):
    return len(read_text(f"/proc/{pid}/mountinfo").splitlines())


def strays():
    """Processes with a sandbox's user outside every sandbox's cgroup, of any server."""
    found = []
    for pid in process_ids():
        user = re.search(r"^Uid:\t(\d+)", read_text(f"/proc/{pid}/status"), re.M)
        if user and int(user[1]) in SANDBOX_UIDS and is_alive(pid):
            if "/hearth-" not in read_text(f"/proc/{pid}/cgroup") and is_alive(pid):
                found.append(pid)
    return found


def code_of(functions):
    """The archive of a module of attacks."""
    folder = FOLDER / "functions"
    return zip_of({"main.py": (folder / f"{functions}.py").read_text(),
                   "probe.py": (folder / "probe.py").read_text()})


class AttackTest(ServerTest):
    """One server for a letter; each group of its table becomes a test."""

    options = ("--memory-budget", "6144", "--parked", str(PARKED),
               "--shells", str(SHELLS))
    environment = {"HEARTH_TEST_CANARY": CANARY, "AWS_SECRET_ACCESS_KEY": CANARY}
    shells = SHELLS  # that its server keeps ready
    functions = None  # the file in functions/
    groups = ()

    def __init_subclass__(cls):
        for each in cls.groups:
            name = "test_%s_%s" % (each.number, re.sub(r"\W+", "_", each.title))
            if hasattr(cls, name):
                raise TypeError(f"two groups are called {name}")
            setattr(cls, name, cls.case_of(each))

    @staticmethod
    def case_of(which):
        def run(self):
            self.check_group(which)

        return run

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # One archive for all, so that the worker's code cache has one entry for all.
        cls.code = code_of(cls.functions)
        cls.innocent = cls.client.upload(INNOCENT, name="innocent")
        warm_up = cls.upload_attack()
        cls.client.run(warm_up, {"attack": "no such attack"})
        cls.retire(warm_up)
        cls.calm = [cls.serve_innocent() for _ in range(CALM_CALLS)]
        cls.baseline = cls.settled_footprint()

    @classmethod
    def upload_attack(cls, **settings):
        return cls.client.upload(cls.code, "attack.zip", **settings)

    @classmethod
    def retire(cls, function_id):
        answer = cls.client.request("DELETE", f"/functions/{function_id}")
        if answer.status != 204:
            raise AssertionError(f"delete: {answer}")

    @classmethod
    def serve_innocent(cls):
        """One call of the other function: right, and how long it took."""
        began = time.monotonic()
        got = cls.client.result(cls.innocent, 21)
        if got != {"double": 42, "seen": []}:
            raise AssertionError(f"the innocent function answered {got}")
        return time.monotonic() - began

    @classmethod
    def footprint(cls):
        """What the server holds on this host, by kind."""
        sandboxd = sandboxd_of(cls.server.instance)
        return {
            "processes": len(processes_of(cls.server.instance)),
            "cgroups": sum(len(os.listdir(path)) for path in cgroups_of(cls.server.instance)),
            "descriptors of hearth": descriptors_of(cls.server.pid),
            "descriptors of hearth-sandboxd": descriptors_of(sandboxd),
            "mounts of hearth": mounts_in_namespace_of(cls.server.pid),
            "mounts of hearth-sandboxd": mounts_in_namespace_of(sandboxd),
            "strays": len(strays()),
            "temporary files": len(temporary_files_of(cls.server.data_dir)),
        }

    @classmethod
    def settled_footprint(cls):
        """Once it is the same twice with every sandbox there that is made ahead: retired ones end,
        and those are made, on their own time."""
        last = [None]
        libexec = pathlib.Path(os.environ["HEARTH_BINARY"]).parent.parent / "libexec"
        # An installation without a zygote, as the weakened ones are, has nothing to fork into them.
        shells_ready = cls.shells if (libexec / "hearth/hearth-zygote").exists() else 0

        def settled():
            # Asked first: what is made after a footprint was taken is not in it.
            metrics = cls.client.metrics()
            parked, shells = (metrics[f'hearth_sandboxes{{state="{state}"}}']
                              for state in ("parked", "shell"))
            if (parked, shells) != (PARKED, shells_ready):
                last[0] = None
                time.sleep(POLL_S)
                return False
            before, last[0] = last[0], cls.footprint()
            time.sleep(POLL_S)
            return before == last[0]

        eventually(settled, "the footprint settles")
        return last[0]

    def assert_nothing_left(self):
        """All is back to the baseline, or below it."""
        now = {}

        def back():
            now.update(self.footprint())
            return all(now[kind] <= count for kind, count in self.baseline.items())

        try:
            eventually(back, "the footprint is back", END_WAIT_S)
        except AssertionError:
            before, type(self).baseline = self.baseline, self.settled_footprint()
            who = [(pid, read_text(f"/proc/{pid}/status").split("\n")[0], command)
                   for pid, command in processes_of(self.server.instance)]
            self.fail(f"left behind: {now}, before: {before}, now: {who}")

    def run_beside_innocent(self, function_id, event):
        """The attack's answer; the innocent function is served until it is here, at least once."""
        with concurrent.futures.ThreadPoolExecutor(1) as pool:
            attack = pool.submit(self.client.run, function_id, event)
            latencies = [self.serve_innocent()]
            while not attack.done():
                latencies.append(self.serve_innocent())
            body = attack.result()
        # A few calls are an accident of scheduling; of many, the middle one counts.
        if len(latencies) >= CALM_CALLS:
            slower = statistics.median(latencies) / statistics.median(self.calm)
            self.assertLess(slower, SLOWDOWN_MAX, "the innocent function was starved")
        return body

    def check_group(self, which):
        failed = self.client.metrics()['hearth_invocations_total{status="failed"}']
        audited = self.violations_counted()
        function_id = self.upload_attack(name=f"attack-{which.number}", **which.settings)
        try:
            body = self.run_beside_innocent(function_id, {"attack": which.attack, **which.event})
            which.check(self, body)
            counted = self.client.metrics()['hearth_invocations_total{status="failed"}'] - failed
            self.assertEqual(counted, int(body["status"] == "FAILED"))
            self.serve_innocent()
        finally:
            self.retire(function_id)
        self.assert_nothing_left()
        self.assert_audited(which, function_id, audited)
        return body

    def violations_counted(self):
        metrics = self.client.metrics()
        return {kind: metrics[f'hearth_sandbox_violations_total{{kind="{kind}"}}']
                for kind in VIOLATIONS}

    def assert_audited(self, which, function_id, before):
        """Each violation that is named is counted once and told once, with all that names it."""
        lines = [line for line in self.server.log_lines()
                 if line["msg"] == "sandbox violation" and line["functionId"] == function_id]
        kinds = sorted(line["kind"] for line in lines)
        if isinstance(which.violations, frozenset):
            self.assertLessEqual(set(kinds), which.violations, lines)
            self.assertEqual(len(kinds), len(set(kinds)), lines)
        else:
            self.assertEqual(kinds, sorted(which.violations), lines)
        counted = {kind: count - before[kind]
                   for kind, count in self.violations_counted().items() if count != before[kind]}
        self.assertEqual(counted, dict.fromkeys(kinds, 1))
        for line in lines:
            self.assertEqual(line["functionName"], f"attack-{which.number}", line)
            self.assertEqual(line["revision"], 1, line)
            self.assertTrue(line["requestId"] and line["details"], line)
