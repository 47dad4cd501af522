#!/usr/bin/python3
"""D: resources. The limits end the one that takes too much, and others are served meanwhile."""

import os

from attack import (AttackTest, cgroups_of, eventually, fails_with, group, main, processes_of,
                    read_text, succeeds_if, succeeds_with)

PROCESSES = 64  # sandbox/protocol.h, pids_default: processes and threads of a sandbox
OPEN_FILES = 1024  # sandbox/rlimits.h, open_files_max
CRASHES = 25

TIMED_OUT = fails_with("Sandbox.Timedout")
OUT_OF_MEMORY = fails_with("Runtime.OutOfMemory")


def ends_at(limit, verdict):
    """Refused with this errno, at the limit and not before half of it."""
    def judge(test, result):
        test.assertEqual(result[1], verdict, result)
        test.assertLessEqual(result[0], limit)
        test.assertGreater(result[0], limit // 2)

    return succeeds_if(judge)


class ResourcesTest(AttackTest):
    functions = "resources"
    groups = (
        group("47", "forks end at the limit", "forks", ends_at(PROCESSES, "EAGAIN"),
              violations=("strays", "pids_limit")),
        group("47b", "a fork bomb ends with its time or its memory", "fork_bomb",
              fails_with(("Sandbox.Timedout", "Runtime.OutOfMemory")),
              violations=frozenset({"pids_limit", "out_of_memory"}), timeoutMs=2000),
        group("48", "threads end at the limit", "threads", ends_at(PROCESSES, "EAGAIN"),
              violations="pids_limit"),
        group("49", "memory ends at the limit", "allocate", OUT_OF_MEMORY),
        group("49b", "a childs memory is the functions", "allocate_in_a_child", OUT_OF_MEMORY),
        group("49c", "populated maps are counted", "allocate_by_map", OUT_OF_MEMORY),
        group("49d", "memory files are counted", "allocate_by_memfd", OUT_OF_MEMORY),
        group("49e", "pipes end at a limit", "allocate_by_pipes", succeeds_if(
            lambda test, result: test.assertIn(result[1], ("EMFILE", "ENOMEM")))),
        group("49f", "deep recursion ends the sandbox alone", "allocate_by_stack",
              fails_with(("Runtime.OutOfMemory", "Runtime.Crashed", "RecursionError",
                          "MemoryError"))),
        group("50", "open files end at the limit", "open_files",
              succeeds_with([OPEN_FILES, "EMFILE", True])),
        group("50b", "kernel objects end at a limit", "kernel_objects", succeeds_with(["EMFILE"])),
        group("50c", "socket pairs end at the limit", "crowd_of_sockets", succeeds_with("EMFILE")),
        group("51", "endless work ends with its time", "spin", TIMED_OUT, {"processes": 1},
              timeoutMs=1500),
        group("51b", "endless work of many ends with its time", "spin", TIMED_OUT,
              {"processes": 50}, timeoutMs=2000),
        group("52", "a deaf function ends with its time", "never_return", TIMED_OUT,
              timeoutMs=700),
        group("52b", "a deaf loop in C ends with its time", "spin_in_c", TIMED_OUT, timeoutMs=700),
        group("52c", "a wait that no signal ends, ends with its time", "wait_in_vfork", TIMED_OUT,
              timeoutMs=700),
        group("53", "stopped processes end with their time", "stop_oneself", TIMED_OUT,
              timeoutMs=700),
        group("54", "a daemon ends with its sandbox", "leave_a_daemon", succeeds_with("done"),
              violations="strays"),
        group("55", "init cannot be killed from inside", "kill_init",
              # Where Landlock scopes signals, a forked Python does not even reach its init.
              succeeds_if(lambda test, result: test.assertIn(
                  result, (["ok"] * 5 + ["ESRCH"], ["EPERM"] * 5 + ["ESRCH"])))),
        group("55b", "a child that kills everybody crashes its sandbox",
              "kill_everybody_from_a_child", fails_with("Runtime.Crashed", "SIGKILL")),
        group("56", "priorities cannot be raised", "priorities", succeeds_if(
            lambda test, result: test.assertLessEqual(set(result), {"EPERM", "EACCES"}))),
        group("56b", "limits cannot be raised", "raise_limits", succeeds_with([10, "EPERM"])),
        group("57", "a storm of syncs starves nobody", "storm_of_syncs", succeeds_with("stormed"),
              {"seconds": 1}),
        group("58", "timers end at the limit", "timers", succeeds_with([True, "EAGAIN"])),
        group("58b", "a storm of timers starves nobody", "storm_of_timers",
              succeeds_with("stormed"), {"seconds": 1}),
    )

    def test_47c_the_kernel_holds_the_limits_of_every_sandbox(self):
        limits = {"memory": 128 << 20, "pids": PROCESSES + 1}  # and init
        found = {"memory": set(), "pids": set()}
        for group_path in cgroups_of(self.server.instance):
            for slot in os.listdir(group_path):
                for name, files in {"memory": ("memory.limit_in_bytes", "memory.max"),
                                    "pids": ("pids.max",)}.items():
                    for each in files:
                        if text := read_text(f"{group_path}/{slot}/{each}"):
                            found[name].add(int(text.replace("max", "-1")))
        self.assertEqual({name: max(values) for name, values in found.items() if min(values) > 0},
                         limits)

    def test_54b_nobody_serves_beside_a_stray_process(self):
        function_id = self.upload_attack(name="stray")
        self.addCleanup(self.client.request, "DELETE", f"/functions/{function_id}")
        self.assertEqual(self.client.result(function_id, {"attack": "leave_a_daemon"}), "done")
        self.assertNotIn("left behind",
                         self.client.result(function_id, {"attack": "processes"}))
        self.assertFalse([pid for pid, _ in processes_of(self.server.instance)
                          if read_text(f"/proc/{pid}/comm") == "left behind\n"])
        self.retire(function_id)
        self.assert_nothing_left()

    def test_59_a_crash_loop_leaks_nothing(self):
        function_id = self.upload_attack(name="crash-loop")
        started = self.client.metrics()["hearth_sandboxes_started"]
        for _ in range(CRASHES):
            body = self.client.run(function_id, {"attack": "crash"})
            fails_with("Runtime.Crashed", "SIGABRT")(self, body)
            self.serve_innocent()
        self.assertGreaterEqual(self.client.metrics()["hearth_sandboxes_started"] - started, 1)
        eventually(lambda: self.client.metrics()['hearth_sandboxes{state="busy"}'] == 0,
                   "no sandbox is busy")
        self.retire(function_id)
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
