#!/usr/bin/python3
"""F: two hostile functions at once, and one after the other."""

import os
import pathlib
import re
import signal

from attack import (AttackTest, Background, END_WAIT_S, SLOWNESS, cgroups_of, code_of, eventually,
                    group, in_parallel, main, process_ids, processes_of, read_text,
                    succeeds_if, succeeds_with)
from harness import StandaloneTest
from server import sandboxd_of

HOLD_MS = 4000 * SLOWNESS
SIBLINGS = 3


def host_user_of(pid):
    """The user on the host, and 0 when the process has ended."""
    found = re.search(r"^Uid:\t(\d+)", read_text(f"/proc/{pid}/status"), re.M)
    return int(found[1]) if found else 0


class SandboxesTest(AttackTest):
    functions = "sandboxes"
    groups = (
        group("73b", "no leases and no notices on shared files", "lease",
              succeeds_with(["EPERM"] * 8)),
        group("75", "nothing of an ancestor is left in a process", "own_identity",
              succeeds_if(lambda test, result: (test.assertEqual(
                  {key: result[key] for key in ("descriptors", "parent visible", "ptrace",
                                                "threads", "signals blocked")},
                  {"descriptors": [0, 1, 2, 3], "parent visible": False, "ptrace": "EPERM",
                   "threads": 1, "signals blocked": ["0" * 16]}),
                  # Without effect, or refused by Landlock.
                  test.assertIn(result["kill init"], ("ok", "EPERM"))))),
    )

    def named(self, name):
        """Whether a process of this server's sandboxes calls itself so."""
        return any(read_text(f"/proc/{pid}/comm") == name + "\n"
                   for pid, _ in processes_of(self.server.instance))

    def upload_for_test(self, **settings):
        function_id = self.upload_attack(**settings)
        self.addCleanup(self.client.request, "DELETE", f"/functions/{function_id}")
        return function_id

    def holding(self, attack="hold", sign="holding", **event):
        """A function that stays in its call; the call's answer comes at its timeout."""
        function_id = self.upload_for_test(name="first", timeoutMs=HOLD_MS)
        waiting = Background(lambda: self.client.run(function_id, {"attack": attack, **event}))
        if sign:
            eventually(lambda: self.named(sign), "it holds")
        return function_id, waiting

    def test_73_file_locks_are_the_known_covert_channel(self):
        """Recorded in docs/security.md: locks on shared read-only files pass between sandboxes."""
        second = self.upload_for_test(name="second")
        self.assertEqual(self.client.result(second, {"attack": "try_lock"}), "ok")
        _, waiting = self.holding()
        self.assertEqual(self.client.result(second, {"attack": "try_lock"}), "EAGAIN")
        self.serve_innocent()
        self.assertEqual(waiting.result()["status"], "FAILED")
        self.assertEqual(self.client.result(second, {"attack": "try_lock"}), "ok")

    def test_73c_nobody_watches_a_neighbours_files(self):
        watcher = self.upload_for_test(name="watcher")
        victim = self.upload_for_test(name="victim")
        self.client.result(victim, {"attack": "touch_shared_files"})
        self.client.result(watcher, {"attack": "layout"})
        waiting = Background(lambda: self.client.result(watcher, {"attack": "watch", "seconds": 2}))
        until = [False]

        def touch():
            while not until[0]:
                self.client.result(victim, {"attack": "touch_shared_files"})

        touching = Background(touch)
        seen = waiting.result()
        until[0] = True
        touching.result()
        self.assertNotEqual(seen, "saw the neighbour")

    def test_74_two_sandboxes_share_no_place(self):
        self.holding()
        second = self.upload_for_test(name="second")
        self.assertEqual(self.client.result(second, {"attack": "look_around"}), {
            "files": [], "shared memory": -1, "semaphore": True, "abstract": "ECONNREFUSED",
            "processes": True, "signals": [], "keys": "ENOSYS", "everybody": "ESRCH"})
        self.assertTrue(self.named("holding"))
        self.serve_innocent()

    def test_74b_no_user_lives_twice(self):
        first, _ = self.holding()
        users = {}
        for pid, _ in processes_of(self.server.instance):
            slot = re.search(r"slot-(\d+)", read_text(f"/proc/{pid}/cgroup"))
            if slot and (user := host_user_of(pid)) > 1000:
                users.setdefault(user, set()).add(slot[1])
        self.assertGreaterEqual(len(users), 2)  # the innocent one's and the holding one's
        for user, slots in users.items():
            self.assertEqual(len(slots), 1, user)

    def test_77_nothing_passes_to_the_next_tenant_of_a_slot(self):
        for _ in range(5):
            function_id = self.upload_attack(name="tenant")
            self.assertEqual(self.client.result(function_id, {"attack": "list_everywhere"}),
                             [0, 0])
            self.assertEqual(self.client.result(function_id, {"attack": "write_everywhere"}),
                             ["left"])
            self.retire(function_id)
        self.assert_nothing_left()


    def test_71_siblings_have_no_randomness_in_common(self):
        """Neighbours, and each one's successor, which may come from the same ancestor."""
        functions = [self.upload_for_test(name=f"sibling-{index}") for index in range(SIBLINGS)]
        event = {"attack": "random_values", "numpy": True}
        values = []
        for _ in range(2):
            values += in_parallel([lambda each=each: self.client.result(each, event)
                                   for each in functions])
            for each in functions:
                self.client.run(each, {"attack": "leave"})
        for name in values[0]:
            self.assertEqual(len({each[name] for each in values}), 2 * SIBLINGS, name)

    def test_74c_every_namespace_is_its_own(self):
        self.holding()
        names = ("user", "pid", "mnt", "net", "ipc", "uts", "cgroup")
        namespaces = {"host": {name: os.readlink(f"/proc/self/ns/{name}") for name in names}}
        for pid, _ in processes_of(self.server.instance):
            slot = re.search(r"slot-(\d+)", read_text(f"/proc/{pid}/cgroup"))
            if slot and host_user_of(pid) >= 200_000:
                namespaces[slot[1]] = {name: os.readlink(f"/proc/{pid}/ns/{name}")
                                       for name in names}
        self.assertGreaterEqual(len(namespaces), 3)
        for name in names:
            self.assertEqual(len({each[name] for each in namespaces.values()}), len(namespaces),
                             name)


class LayoutTest(AttackTest):
    """Where each Python is executed, neighbours share no secret of a process."""

    functions = "sandboxes"
    environment = {**AttackTest.environment, "HEARTH_ZYGOTE": "off"}
    shells = 0  # nothing would be forked into them

    def test_72_neighbours_do_not_know_each_others_layout(self):
        functions = [self.upload_attack(name=f"neighbour-{index}") for index in range(SIBLINGS)]
        values = [self.client.result(each, {"attack": "layout"}) for each in functions]
        for name in values[0]:
            self.assertEqual(len({each[name] for each in values}), SIBLINGS, name)

        for each in functions:
            self.retire(each)
        self.assert_nothing_left()


class ManagersEndTest(StandaloneTest):
    """Group 78: however Hearth ends, what resists ends with it."""

    def resisting(self):
        server = self.make_server("--memory-budget", "1024").start()
        self.addCleanup(self.end_by_force, server.instance)
        client = server.client()
        function_id = client.upload(code_of("sandboxes"), "attack.zip", timeoutMs=60_000)

        def call():
            try:
                client.run(function_id, {"attack": "resist"})
            except OSError:
                pass  # the server was killed
            except AssertionError:
                pass  # or it answered that it goes

        Background(call)
        eventually(lambda: any(read_text(f"/proc/{pid}/comm") == "resisting\n"
                               for pid, _ in processes_of(server.instance)), "it resists")
        return server

    def end_by_force(self, instance):
        """So that a layer that is missing costs this machine nothing."""
        for path in cgroups_of(instance):
            for killer in pathlib.Path(path).glob("slot-*/cgroup.kill"):
                killer.write_text("1")
        try:
            eventually(lambda: not processes_of(instance), "all its processes have ended",
                       END_WAIT_S)
        except AssertionError as problem:
            raise AssertionError(f"{problem}: {processes_of(instance)}") from None
        for path in cgroups_of(instance):
            for folder, _, _ in os.walk(path, topdown=False):
                os.rmdir(folder)

    def assert_users_gone(self, users):
        eventually(lambda: not any(host_user_of(pid) in users and "resisting" in
                                   read_text(f"/proc/{pid}/comm") for pid in process_ids()),
                   "all its processes have ended", END_WAIT_S)

    def users_of(self, server):
        return {user for pid, _ in processes_of(server.instance)
                if (user := host_user_of(pid)) >= 200_000}

    def test_78_a_killed_server_leaves_no_process(self):
        server = self.resisting()
        users = self.users_of(server)
        self.assertTrue(users)
        server.kill()
        server.check_nothing_left()
        self.assert_users_gone(users)

    def test_78b_a_killed_sandbox_manager_leaves_no_process(self):
        server = self.resisting()
        users = self.users_of(server)
        os.kill(sandboxd_of(server.instance), signal.SIGKILL)
        self.assert_users_gone(users)
        server.signal(signal.SIGTERM)
        server.wait()


if __name__ == "__main__":
    main()
