"""The hello example's handler behind gunicorn without anything around it: the peer of bench/warm.

One JSON event in, one JSON result out, the same handler code as what Hearth runs.
"""

import json
import pathlib
import sys
import types

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "runtimes" / "python" / "examples"
sys.path.insert(0, str(EXAMPLES / "hello"))

from hello import handler  # noqa: E402  pylint: disable=wrong-import-position

CONTEXT = types.SimpleNamespace(function_name="hello")


def application(environ, start_response):
    length = int(environ.get("CONTENT_LENGTH") or 0)
    event = json.loads(environ["wsgi.input"].read(length)) if length else {}
    body = json.dumps(handler(event["inputData"] if event else {}, CONTEXT)).encode()
    headers = [("content-type", "application/json"), ("content-length", str(len(body)))]
    start_response("200 OK", headers)
    return [body]
