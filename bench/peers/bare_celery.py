"""The hello example's handler as a task of Celery, with Redis as broker and for results."""

import os
import pathlib
import sys
import types

from celery import Celery

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "runtimes" / "python" / "examples"
sys.path.insert(0, str(EXAMPLES / "hello"))

from hello import handler  # noqa: E402  pylint: disable=wrong-import-position

CONTEXT = types.SimpleNamespace(function_name="hello")
REDIS = os.environ["HEARTH_BENCH_REDIS"]

app = Celery("bare_celery", broker=f"{REDIS}/0", backend=f"{REDIS}/1")


@app.task
def hello(event):
    return handler(event, CONTEXT)
