#!/usr/bin/python3
"""The command line: help, versions, wrong options, and what a failed start says."""

import os
import pathlib
import re
import shutil
import socket
import subprocess
import tempfile

from harness import StandaloneTest, main
from server import START_WAIT_S, binary

DOCUMENTED = ("--listen", "--port", "--port-file", "--data-dir", "--api-key", "--threads",
              "--memory-budget", "--concurrency", "--jobs", "--rate-limit", "--grace",
              "--idle-ttl", "--freeze-after", "--recycle-calls", "--recycle-age", "--cpu-floor",
              "--log-level", "--tls-cert", "--tls-key")


def hearth(*arguments, environment=None):
    return subprocess.run(
        [binary(), *arguments], capture_output=True, text=True, timeout=START_WAIT_S, check=False,
        stdin=subprocess.DEVNULL, env={**os.environ, **(environment or {})})


class HelpTest(StandaloneTest):
    def test_help_names_the_commands_and_every_option(self):
        for arguments in (["--help"], ["-h"]):
            done = hearth(*arguments)
            self.assertEqual((done.returncode, done.stderr), (0, ""))
            self.assertIn("dev", done.stdout)
        done = hearth("dev", "--help")
        self.assertEqual((done.returncode, done.stderr), (0, ""))
        for option in DOCUMENTED:
            self.assertIn(option, done.stdout)
        for variable in ("INFRA_API_KEY", "HEARTH_DATA_DIR", "HEARTH_TLS_CERT", "PORT"):
            self.assertIn(variable, done.stdout)
        self.assertIn("curl", done.stdout)

    def test_the_version_is_one_line(self):
        done = hearth("--version")
        self.assertEqual(done.returncode, 0)
        self.assertRegex(done.stdout, r"^hearth \d+\.\d+\.\d+\n$")

    def test_wrong_command_lines_are_refused_on_standard_error(self):
        for arguments in ([], ["nothing"], ["dev", "--nothing"], ["dev", "--port", "no"],
                          ["dev", "--port", "65536"], ["dev", "--port", "-1"],
                          ["dev", "--threads", "0"], ["dev", "--threads", "65"],
                          ["dev", "--concurrency", "0"], ["dev", "--jobs", "1001"],
                          ["dev", "--log-level", "loud"], ["dev", "--grace", "-1"],
                          ["dev", "--idle-ttl", "1.5"], ["dev", "--rate-limit", "-5"],
                          ["dev", "extra"], ["dev", "--port"]):
            with self.subTest(arguments):
                done = hearth(*arguments)
                self.assertNotEqual(done.returncode, 0)
                self.assertTrue(done.stderr)
                self.assertNotIn("terminate called", done.stderr)


class StartTest(StandaloneTest):
    def setUp(self):
        self.folder = tempfile.mkdtemp(prefix="hearth-e2e-cli-", dir="/var/tmp")
        os.chmod(self.folder, 0o755)
        self.addCleanup(shutil.rmtree, self.folder, ignore_errors=True)

    def refused(self, *options, data_dir=None, environment=None):
        """What a start that must fail says; it leaves no process."""
        folder = data_dir or os.path.join(self.folder, "data")
        done = hearth("dev", "--data-dir", folder, "--api-key", "k", *options,
                      environment={"PORT": "0", **(environment or {})})
        self.assertEqual(done.returncode, 1, done)
        self.assertIn("hearth: ", done.stderr)
        return done.stderr

    def test_a_folder_that_the_service_cannot_reach_is_named_with_a_remedy(self):
        closed = os.path.join(self.folder, "closed")
        os.mkdir(closed, 0o700)
        text = self.refused(data_dir=os.path.join(closed, "data"))
        self.assertIn(closed, text)
        self.assertIn("--data-dir", text)
        self.assertIn("chmod o+x", text)

    def test_a_data_folder_that_is_a_file_or_cannot_be_made_is_named(self):
        file = os.path.join(self.folder, "file")
        pathlib.Path(file).write_text("x", encoding="ascii")
        for folder in (file, os.path.join(file, "below"), "/proc/hearth"):
            with self.subTest(folder):
                self.assertIn(folder.removesuffix("/below"), self.refused(data_dir=folder))

    def test_a_database_that_is_none_is_named(self):
        data = os.path.join(self.folder, "data")
        os.mkdir(data)
        pathlib.Path(data, "hearth.db").write_bytes(b"this is no database, " * 500)
        text = self.refused()
        self.assertIn("hearth.db", text)

    def test_a_port_in_use_is_named_with_a_remedy(self):
        with socket.socket() as taken:
            taken.bind(("127.0.0.1", 0))
            taken.listen()
            port = taken.getsockname()[1]
            text = self.refused("--port", str(port))
        self.assertIn(f"127.0.0.1:{port}", text)
        self.assertIn("in use", text)
        self.assertIn("--port", text)

    def test_a_port_of_another_hearth_is_in_use_too(self):
        for threads in ("1", "2"):
            with self.subTest(threads):
                server = self.make_server("--threads", threads).start()
                text = self.refused("--port", str(server.port))
                self.assertIn("in use", text)
                self.assertEqual(server.client().get("/health").status, 200)
                server.stop()

    def test_an_address_that_is_none_is_named(self):
        for address in ("nonsense", "256.1.1.1", "192.0.2.1", ""):
            with self.subTest(address):
                self.assertIn(address, self.refused("--listen", address))

    def test_a_port_file_that_cannot_be_written_is_named(self):
        text = self.refused("--port-file", os.path.join(self.folder, "no", "such", "folder"))
        self.assertIn("--port-file", text)

    def test_a_memory_budget_below_one_function_is_refused(self):
        self.assertIn("--memory-budget", self.refused("--memory-budget", "64"))
        self.assertIn("--memory-budget", self.refused("--memory-budget", "-1"))

    def test_a_key_is_made_when_none_is_given(self):
        server = self.make_server(api_key="").start()
        key = re.search(r"it is ([0-9a-f]{32})", server.log_text())[1]
        server.api_key = key
        self.assertEqual(server.client().get("/functions").status, 200)
        self.assertEqual(server.client().get("/functions", headers={"x-api-key": ""},
                                             key=False).status, 401)
        server.stop()

    def test_it_listens_on_ipv6_too(self):
        server = self.make_server("--listen", "::1").start()
        with socket.create_connection(("::1", server.port), START_WAIT_S) as connection:
            connection.sendall(b"GET /health HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
            self.assertTrue(connection.recv(100).startswith(b"HTTP/1.1 200"))
        server.stop()

    def test_the_data_folder_is_private(self):
        server = self.make_server().start()
        self.assertEqual(os.stat(server.data_dir).st_mode & 0o777, 0o700)
        self.assertNotEqual(os.stat(server.data_dir).st_uid, 0)
        server.stop()

    def test_the_server_has_no_privileges(self):
        server = self.make_server("--threads", "2").start()
        for task in os.listdir(f"/proc/{server.pid}/task"):
            status = pathlib.Path(f"/proc/{server.pid}/task/{task}/status").read_text("ascii")
            fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
            self.assertNotIn("0", fields["Uid"].split())
            self.assertNotIn("0", fields["Gid"].split())
            self.assertEqual(fields["Groups"].strip(), "")
            self.assertEqual(int(fields["CapEff"], 16), 0)
            self.assertEqual(int(fields["CapPrm"], 16), 0)
            self.assertEqual(fields["NoNewPrivs"].strip(), "1")
        server.stop()


if __name__ == "__main__":
    main()
