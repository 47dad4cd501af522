#!/usr/bin/python3
"""HTTPS, when a certificate and its key are given."""

import http.client
import os
import shutil
import socket
import ssl
import subprocess
import tempfile

from harness import ECHO, REQUEST_WAIT_S, StandaloneTest, in_parallel, main


def make_certificate(folder):
    """Paths of a certificate for localhost and of its key."""
    certificate, key = os.path.join(folder, "cert.pem"), os.path.join(folder, "key.pem")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1",
         "-nodes", "-days", "2", "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1",
         "-keyout", key, "-out", certificate],
        check=True, capture_output=True)
    return certificate, key


class TlsTest(StandaloneTest):
    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.mkdtemp(prefix="hearth-e2e-tls-")
        cls.addClassCleanup(shutil.rmtree, cls.folder)
        cls.certificate, cls.key = make_certificate(cls.folder)

    def serve(self, *options):
        server = self.make_server(*options, environment={"HEARTH_TLS_CERT": self.certificate,
                                                         "HEARTH_TLS_KEY": self.key}).start()
        trusting = ssl.create_default_context(cafile=self.certificate)
        client = server.client(connect=lambda: http.client.HTTPSConnection(
            "localhost", server.port, timeout=REQUEST_WAIT_S, context=trusting))
        # The listener is on 127.0.0.1 only; the name is for the certificate.
        return server, client

    def test_everything_works_over_tls(self):
        for threads in ("1", "2"):
            with self.subTest(threads):
                server, client = self.serve("--threads", threads)
                self.assertEqual(client.get("/health", key=False).json(), {"status": "ok"})
                self.assertEqual(client.get("/functions", key=False).status, 401)
                function_id = client.upload(ECHO)
                self.assertEqual(client.result(function_id, {"a": ["ü"]}), {"a": ["ü"]})
                large = "x" * (5 << 20)
                self.assertEqual(client.result(function_id, large), large)
                code = b"#" * (20 << 20) + b"\n" + ECHO.encode()
                self.assertEqual(client.result(client.upload(code), 1), 1)
                connection = client.connect()
                for _ in range(20):
                    answer = client.exchange(connection, "GET", "/health")
                    self.assertEqual(answer.status, 200)
                connection.close()
                results = in_parallel([lambda n=n: client.result(function_id, n)
                                       for n in range(12)])
                self.assertEqual(results, list(range(12)))
                self.assertIn("https://", server.log_text())
                server.stop()

    def test_plain_http_and_garbage_get_nothing_and_disturb_nobody(self):
        server, client = self.serve()
        for sent in (b"GET /health HTTP/1.1\r\nhost: a\r\n\r\n", bytes(1000), b"\x16\x03\x01"):
            with socket.create_connection(("127.0.0.1", server.port), REQUEST_WAIT_S) as peer:
                peer.sendall(sent)
                peer.shutdown(socket.SHUT_WR)
                try:
                    self.assertNotIn(b"HTTP/1.1 200", peer.recv(65536))
                except ConnectionResetError:
                    pass
        self.assertEqual(client.get("/health").status, 200)
        server.stop()

    def test_old_protocol_versions_are_refused(self):
        server, client = self.serve()
        old = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        old.check_hostname, old.verify_mode = False, ssl.CERT_NONE
        old.set_ciphers("ALL:@SECLEVEL=0")
        old.minimum_version = old.maximum_version = ssl.TLSVersion.TLSv1_1
        with socket.create_connection(("127.0.0.1", server.port), REQUEST_WAIT_S) as peer:
            with self.assertRaises((ssl.SSLError, ConnectionError)):
                old.wrap_socket(peer)
        self.assertEqual(client.get("/health").status, 200)
        server.stop()

    def refused(self, environment):
        server = self.make_server(environment=environment)
        server.launch()
        self.assertEqual(server.wait(), 1)
        return server.log_text()

    def test_a_certificate_without_a_key_is_refused(self):
        text = self.refused({"HEARTH_TLS_CERT": self.certificate})
        self.assertIn("set both or neither", text)

    def test_files_that_are_no_certificate_or_key_are_named(self):
        other = os.path.join(self.folder, "other.pem")
        with open(other, "w", encoding="ascii") as out:
            out.write("not a certificate\n")
        missing = os.path.join(self.folder, "missing.pem")
        for certificate, key, named in ((missing, self.key, missing),
                                        (other, self.key, other),
                                        (self.certificate, missing, missing),
                                        (self.certificate, other, other)):
            with self.subTest(certificate=certificate, key=key):
                text = self.refused({"HEARTH_TLS_CERT": certificate, "HEARTH_TLS_KEY": key})
                self.assertIn(named, text)


if __name__ == "__main__":
    main()
