"""The hello example's handler as a job of RQ."""

import pathlib
import sys
import types

EXAMPLES = pathlib.Path(__file__).resolve().parents[2] / "runtimes" / "python" / "examples"
sys.path.insert(0, str(EXAMPLES / "hello"))

from hello import handler  # noqa: E402  pylint: disable=wrong-import-position

CONTEXT = types.SimpleNamespace(function_name="hello")


def hello(event):
    return handler(event, CONTEXT)
