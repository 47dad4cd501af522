#!/usr/bin/python3
"""C: the network. Brokered egress (group 44) does not exist: a function reaches nothing."""

import os
import socket

from attack import (AttackTest, Background, eventually, fails_with, group, main, read_text,
                    succeeds_if, succeeds_with)
from server import processes_of

LISTEN_BACKLOG = 64


def refused(*errnos):
    return succeeds_if(lambda test, result: test.assertLessEqual(set(result), set(errnos)))


class NetworkTest(AttackTest):
    functions = "network"
    groups = (
        group("45", "descriptors sent along with a frame are dropped", "descriptor_bomb",
              succeeds_with("with luggage"), timeoutMs=3000),
        group("45b", "a stream sent through itself is dropped", "descriptor_cycle",
              fails_with("Sandbox.ProtocolViolation"), timeoutMs=3000),
        group("45c", "descriptors with no frame are dropped", "forged_with_rights",
              fails_with("Sandbox.ProtocolViolation"), timeoutMs=3000),
        group("46", "no filters and no interface requests", "interfaces",
              succeeds_with([["EPERM"], "EPERM"])),
        group("46b", "socket buffers are the sandbox's own memory", "flood_own_sockets",
              succeeds_if(lambda test, result: test.assertEqual(result, "EMFILE")),
              memoryMb=512),
    )

    def listener(self, family, address):
        end = socket.socket(family)
        self.addCleanup(end.close)
        end.bind(address)
        end.listen(LISTEN_BACKLOG)
        end.setblocking(False)
        return end

    def assert_nobody_came(self, listener):
        with self.assertRaises(BlockingIOError):
            listener.accept()

    def test_40_nothing_answers_on_any_address(self):
        local = self.listener(socket.AF_INET, ("0.0.0.0", 0))
        local6 = self.listener(socket.AF_INET6, ("::1", 0))
        datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.addCleanup(datagrams.close)
        datagrams.bind(local.getsockname())
        datagrams.setblocking(False)
        names = socket.gethostbyname_ex(socket.gethostname())[2]
        event = {"host_addresses": names,
                 "ports": [local.getsockname()[1], local6.getsockname()[1], self.server.port]}
        self.check_group(group("40", "", "dial_everywhere", refused(
            "ENETUNREACH", "EADDRNOTAVAIL", "ECONNREFUSED", "EHOSTUNREACH"), event))
        self.assert_nobody_came(local)
        self.assert_nobody_came(local6)
        with self.assertRaises(BlockingIOError):
            datagrams.recv(1)

    def test_41_abstract_sockets_of_the_host_are_elsewhere(self):
        name = f"hearth-attack-{os.getpid()}"
        host = self.listener(socket.AF_UNIX, "\0" + name)
        self.check_group(group("41", "", "dial_abstract", refused("ECONNREFUSED", "EPERM"),
                               {"name": name}))
        self.assert_nobody_came(host)

    def test_42_socket_files_of_the_host_are_not_there(self):
        path = os.path.join(self.server.folder, "host.socket")
        host = self.listener(socket.AF_UNIX, path)
        os.chmod(path, 0o777)
        self.check_group(group("42", "", "dial_paths", refused("ENOENT"), {"paths": [path]}))
        self.assert_nobody_came(host)
        os.unlink(path)

    def test_43_two_sandboxes_cannot_meet(self):
        listening = self.upload_attack(name="listening", timeoutMs=5000)
        waiting = Background(lambda: self.client.run(listening, {"attack": "serve_neighbours"}))
        eventually(lambda: any(read_text(f"/proc/{pid}/comm") == "listening\n"
                               for pid, _ in processes_of(self.server.instance)), "it listens")
        visitor = self.upload_attack(name="visitor")
        self.assertEqual(self.client.result(visitor, {"attack": "visit_neighbours"}),
                         ["ECONNREFUSED", "ENOENT", "ENOENT", "ENETUNREACH", "ok"])
        self.serve_innocent()
        self.assertEqual(waiting.result()["error"]["type"], "Sandbox.Timedout")
        self.retire(listening)
        self.retire(visitor)
        self.assert_nothing_left()


if __name__ == "__main__":
    main()
