"""A client of the API: plain requests, uploads, calls, and what the tests read from the answers."""

import http.client
import io
import json
import re
import time
import zipfile

REQUEST_WAIT_S = 120  # a bound for hung servers, not an expectation
JOB_WAIT_S = 120
FINAL = ("SUCCEEDED", "FAILED", "DEAD")


class Response:
    """Status, headers (names in lower case) and the whole body."""

    def __init__(self, status, headers, body):
        self.status = status
        self.headers = {name.lower(): value for name, value in headers}
        self.body = body

    def json(self):
        return json.loads(self.body)

    def __repr__(self):
        return f"{self.status} {self.headers} {self.body[:2000]!r}"


def form(parts):
    """A multipart body of (name, file name or None, bytes) and its content type."""
    boundary = "----hearth-end-to-end-7MA4YWxkTrZu0gW"
    out = io.BytesIO()
    for name, file_name, content in parts:
        disposition = f'form-data; name="{name}"'
        if file_name is not None:
            disposition += f'; filename="{file_name}"'
        out.write(f"--{boundary}\r\nContent-Disposition: {disposition}\r\n\r\n".encode())
        out.write(content + b"\r\n")
    out.write(f"--{boundary}--\r\n".encode())
    return out.getvalue(), f"multipart/form-data; boundary={boundary}"


def function_form(code, file_name, fields):
    """The upload form; code is source text, bytes, or None for none."""
    parts = []
    for name, value in fields.items():
        text = json.dumps(value) if isinstance(value, dict) else str(value)
        parts.append((name, None, text.encode()))
    if code is not None:
        content = code.encode() if isinstance(code, str) else code
        parts.append(("file", file_name, content))
    return form(parts)


def zip_of(files):
    """A zip archive of {path: text or bytes}."""
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for path, content in files.items():
            archive.writestr(path, content)
    return out.getvalue()


class Client:
    def __init__(self, port, api_key, connect=None):
        self.port = port
        self.api_key = api_key
        self._connect = connect or self._connect_plain

    def _connect_plain(self):
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=REQUEST_WAIT_S)

    def connect(self):
        """A connection of http.client, for those who keep it."""
        return self._connect()

    def request(self, method, path, body=None, headers=None, key=True):
        """One exchange on a connection of its own."""
        connection = self.connect()
        try:
            return self.exchange(connection, method, path, body, headers, key)
        finally:
            connection.close()

    def exchange(self, connection, method, path, body=None, headers=None, key=True):
        sent = {"x-api-key": self.api_key} if key else {}
        connection.request(method, path, body, {**sent, **(headers or {})})
        got = connection.getresponse()
        return Response(got.status, got.getheaders(), got.read())

    def get(self, path, **options):
        return self.request("GET", path, **options)

    def post_json(self, path, value, headers=None, method="POST"):
        body = value if isinstance(value, (bytes, str)) else json.dumps(value)
        kind = {"content-type": "application/json"}
        return self.request(method, path, body, {**kind, **(headers or {})})

    def try_upload(self, code, file_name="main.py", **fields):
        body, kind = function_form(code, file_name, fields)
        return self.request("POST", "/upload", body, {"content-type": kind})

    def upload(self, code, file_name="main.py", **fields):
        """The new function's id."""
        answer = self.try_upload(code, file_name, **fields)
        if answer.status != 201:
            raise AssertionError(f"upload: {answer}")
        return answer.json()["functionId"]

    def try_update(self, function_id, code=None, file_name="main.py", **fields):
        body, kind = function_form(code, file_name, fields)
        return self.request("PUT", f"/functions/{function_id}", body, {"content-type": kind})

    def try_run(self, function_id, event=None, headers=None):
        value = {"functionId": function_id, "inputData": event}
        return self.post_json("/run", value, headers)

    def run(self, function_id, event=None, headers=None):
        """The body of a call that was made, however it ended."""
        answer = self.try_run(function_id, event, headers)
        if answer.status != 200:
            raise AssertionError(f"run: {answer}")
        return answer.json()

    def result(self, function_id, event=None):
        """What the function returned."""
        body = self.run(function_id, event)
        if body["status"] != "SUCCEEDED":
            raise AssertionError(f"run: {body}")
        return body["result"]

    def submit(self, function_id, event=None):
        """The id of a job that was accepted."""
        answer = self.try_run(function_id, event, {"x-async": "true"})
        if answer.status != 202:
            raise AssertionError(f"submit: {answer}")
        return answer.json()["jobId"]

    def status(self, job_id):
        answer = self.get(f"/status/{job_id}")
        if answer.status != 200:
            raise AssertionError(f"status of {job_id}: {answer}")
        return answer.json()

    def wait_for_job(self, job_id, within_s=JOB_WAIT_S):
        """Its status once it is final."""
        until = time.monotonic() + within_s
        while True:
            body = self.status(job_id)
            if body["status"] in FINAL:
                return body
            if time.monotonic() > until:
                raise AssertionError(f"no outcome within {within_s} s: {body}")
            time.sleep(0.02)

    def wait_for_job_record(self, job_id):
        """The record of a call whose answer is here already: it is written just after it."""
        until = time.monotonic() + JOB_WAIT_S
        while True:
            answer = self.get(f"/status/{job_id}")
            if answer.status == 200:
                return answer.json()
            if time.monotonic() > until:
                raise AssertionError(f"no record of {job_id}: {answer}")
            time.sleep(0.02)

    def metrics(self):
        """{"name{labels}": value} of every sample."""
        answer = self.get("/metrics")
        if answer.status != 200:
            raise AssertionError(f"metrics: {answer}")
        samples = re.findall(r"^([a-z][^ #]*(?:\{[^}]*\})?) (\S+)$", answer.body.decode(), re.M)
        return {name: float(value) for name, value in samples}
