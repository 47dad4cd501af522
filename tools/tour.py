#!/usr/bin/python3
"""Uploads the examples to a running server and calls each twice with curl: the quickstart's tour.

Prints a table of latencies and results, then the curl lines to repeat them. Exits 1 when a call
fails or a result is not the expected one.
"""

import argparse
import json
import pathlib
import shlex
import subprocess
import sys
import time
import zipfile

ROOT = pathlib.Path(__file__).resolve().parent.parent
EXAMPLES = ROOT / "runtimes" / "python" / "examples"
sys.dont_write_bytecode = True
sys.path.insert(0, str(EXAMPLES))
import comparison  # noqa: E402  pylint: disable=wrong-import-position

CURL_SECONDS_MAX = 120
JOB_SECONDS_MAX = 120
JOB_POLL_SECONDS = 0.05
SHOWN_COLUMNS_MAX = 64
MEMORY_MB_DEFAULT = 128


class Problem(Exception):
    """A call that did not answer as it must."""


class Server:
    """Calls by curl, whose own clock tells the latency without its start-up."""

    def __init__(self, url, api_key, folder):
        self.url, self.api_key, self.folder = url, api_key, folder

    def call(self, path, *arguments):
        """(answer, seconds) of a call that succeeded."""
        command = ["curl", "--silent", "--show-error", "--max-time", str(CURL_SECONDS_MAX)]
        command += ["--header", f"x-api-key: {self.api_key}", *arguments]
        command += ["--write-out", "\n%{http_code} %{time_total}", self.url + path]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise Problem(f"{path}: {done.stderr.strip()}")
        body, _, figures = done.stdout.rpartition("\n")
        status, seconds = figures.split()
        if not status.startswith("2"):
            raise Problem(f"{path} answered {status}: {body[:500]}")
        return json.loads(body), float(seconds)


def code_file(example, folder):
    """The file to upload; a folder is zipped first."""
    code = EXAMPLES / example["code"]
    if not code.is_dir():
        return code
    archive = folder / f"{example['name']}.zip"
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as target:
        for name in example["files"]:
            target.write(code / name, name)
    return archive


def upload_fields(example):
    fields = {name: example[name] for name in ("name", "memoryMb", "timeoutMs", "handler")}
    fields["env"] = json.dumps(example["env"]) if example["env"] else None
    return {name: value for name, value in fields.items() if value is not None}


def upload_arguments(path, fields):
    arguments = ["--form", f"file=@{path}"]
    for name, value in fields.items():
        arguments += ["--form-string", f"{name}={value}"]
    return arguments


def run(server, example, function_id):
    """One call: the final answer and the seconds until it was there."""
    request = server.folder / f"{example['name']}.request.json"
    event = comparison.load(example, "input")
    request.write_text(json.dumps({"functionId": function_id, "inputData": event}))
    arguments = ["--header", "content-type: application/json", "--data-binary", f"@{request}"]
    if not example["async"]:
        return server.call("/run", *arguments)
    start = time.monotonic()
    accepted, _ = server.call("/run", "--header", "x-async: true", *arguments)
    while True:
        answer, _ = server.call(f"/status/{accepted['jobId']}")
        seconds = time.monotonic() - start
        if answer["status"] not in ("QUEUED", "RUNNING"):
            return answer, seconds
        if seconds > JOB_SECONDS_MAX:
            raise Problem(f"the job is still {answer['status']} after {JOB_SECONDS_MAX} s")
        time.sleep(JOB_POLL_SECONDS)


def check(example, answer):
    if answer["status"] != "SUCCEEDED":
        raise Problem(f"{answer['status']}: {json.dumps(answer.get('error'))[:500]}")
    expected = comparison.load(example, "expected")
    found = comparison.differences(expected, answer["result"], example["compare"])
    if found:
        raise Problem("; ".join(found[:5]))


def milliseconds(value):
    return "-" if value is None else f"{value:,.1f}"


def shown(example, result):
    text = json.dumps({name: result[name] for name in example["show"]}, ensure_ascii=False)
    return text if len(text) <= SHOWN_COLUMNS_MAX else text[: SHOWN_COLUMNS_MAX - 1] + "…"


def visit(server, example):
    """Uploads and calls twice; prints a line for each call."""
    path = code_file(example, server.folder)
    function, _ = server.call("/upload", *upload_arguments(path, upload_fields(example)))
    for round_name in ("cold", "warm"):
        answer, seconds = run(server, example, function["functionId"])
        check(example, answer)
        times = [seconds * 1e3, answer.get("durationMs"), answer.get("initMs")]
        figures = "".join(f"{milliseconds(value):>10}" for value in times)
        name = example["name"] + (" (job)" if example["async"] else "")
        print(f"{name:<20}{round_name:<6}{figures}  {shown(example, answer['result'])}", flush=True)


def upload_line(example):
    code = EXAMPLES / example["code"]
    lines = []
    path = code.relative_to(ROOT)
    if code.is_dir():
        path = pathlib.Path("/tmp", f"{example['name']}.zip")
        script = "import shutil; shutil.make_archive"
        target = f"'{path.with_suffix('')}', 'zip', '{code.relative_to(ROOT)}'"
        lines.append(f'python3 -c "{script}({target})"')
    # What the defaults do anyway stays out, so that the line can be read.
    needed = {name: value for name, value in upload_fields(example).items() if name == "env"}
    if example["memoryMb"] != MEMORY_MB_DEFAULT:
        needed["memoryMb"] = example["memoryMb"]
    form = " ".join(shlex.quote(part) for part in upload_arguments(path, needed))
    form = form.replace("--form ", "-F ")
    find_id = "sed 's/.*\"functionId\": *\"\\([^\"]*\\)\".*/\\1/'"
    lines.append(f'id=$(curl -s -H "x-api-key: $key" $url/upload {form} | {find_id})')
    return lines


def curl_lines(example):
    data = EXAMPLES / example["input"]
    event = f"$(cat {data.relative_to(ROOT)})"
    flag = ' -H "x-async: true"' if example["async"] else ""
    body = f'"{{\\"functionId\\": \\"$id\\", \\"inputData\\": {event}}}"'
    lines = [f"# {example['name']}: {example['about']}", *upload_line(example)]
    headers = f'-H "x-api-key: $key" -H "content-type: application/json"{flag}'
    lines.append(f"curl -s {headers} $url/run -d {body}")
    return lines


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True)
    parser.add_argument("--api-key", required=True)
    parser.add_argument("--folder", type=pathlib.Path, required=True, help="for request files")
    arguments = parser.parse_args()
    server = Server(arguments.url, arguments.api_key, arguments.folder)
    examples = comparison.load_manifest()
    print(f"{'':<26}{'client ms':>10}{'handler':>10}{'init':>10}  result")
    for example in examples:
        try:
            visit(server, example)
        except Problem as problem:
            print(f"{example['name']}: {problem}", file=sys.stderr)
            return 1
    print(f"\nTo repeat them, from {ROOT}, on this server or another one:\n")
    print(f"url={arguments.url}; key={arguments.api_key}")
    for example in examples:
        print("\n".join(curl_lines(example)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
