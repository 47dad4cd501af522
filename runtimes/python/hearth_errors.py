"""Errors as Lambda reports them: {"errorMessage", "errorType", "requestId", "stackTrace"}.

Exceptions are the function's own objects: their str() may raise, return megabytes or not return
text at all. Everything taken from them is bounded, so that an error always fits its frame."""

import json
import sys

MESSAGE_CHARACTERS_MAX = 4096
TYPE_CHARACTERS_MAX = 256
FRAMES_MAX = 50
FRAME_CHARACTERS_MAX = 512
ERROR_BYTES_MAX = 64 << 10
RUNTIME_DIRECTORY = "/runtime/"


class Reported(Exception):
    """Carries an error frame's payload."""

    def __init__(self, payload):
        super().__init__()
        self.payload = payload


def _bounded(text, limit):
    return text if len(text) <= limit else text[: limit - 1] + "\u2026"


def _message_of(problem):
    try:
        text = str(problem)
        if type(text) is not str:
            text = str.__str__(text)
        return _bounded(text, MESSAGE_CHARACTERS_MAX)
    except BaseException:  # even SystemExit: this is the function's __str__
        return "<the exception has no readable message>"


def _type_of(problem):
    try:
        return _bounded(str.__str__(type.__getattribute__(type(problem), "__name__")),
                        TYPE_CHARACTERS_MAX)
    except BaseException:
        return "Exception"


def _stack_of(traceback):
    """Lines as traceback.format_list makes them, without the runtime's own frames."""
    import linecache  # only errors need it

    lines = []
    while traceback is not None:
        code = traceback.tb_frame.f_code
        if not code.co_filename.startswith((RUNTIME_DIRECTORY, "<frozen importlib")):
            source = linecache.getline(code.co_filename, traceback.tb_lineno).strip()
            line = '  File "%s", line %d, in %s\n    %s\n' % (
                code.co_filename, traceback.tb_lineno, code.co_name, source)
            lines.append(_bounded(line, FRAME_CHARACTERS_MAX))
        traceback = traceback.tb_next
    if len(lines) > FRAMES_MAX:
        half = FRAMES_MAX // 2
        lines[half:-half] = ["  ... %d frames left out ...\n" % (len(lines) - 2 * half)]
    return lines


def encode(kind, message, request_id="", stack=()):
    """A payload within ERROR_BYTES_MAX, whatever the texts hold (ASCII, so lone surrogates are fine
    here: they are escaped)."""
    body = {"errorMessage": message, "errorType": kind, "requestId": request_id,
            "stackTrace": list(stack)}
    payload = json.dumps(_without_surrogates(body)).encode()
    if len(payload) > ERROR_BYTES_MAX:
        body["stackTrace"] = []
        payload = json.dumps(_without_surrogates(body)).encode()
    return payload


def _without_surrogates(value):
    """A lone surrogate is no valid JSON text for the worker; it is replaced."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode()
    if isinstance(value, list):
        return [_without_surrogates(each) for each in value]
    return {name: _without_surrogates(each) for name, each in value.items()}


def from_exception(problem, request_id=""):
    try:
        stack = _stack_of(problem.__traceback__)
    except BaseException:
        stack = []
    return encode(_type_of(problem), _message_of(problem), request_id, stack)


def write_to_stderr(payload):
    """Shows an error in the function's log, as Lambda does."""
    try:
        body = json.loads(payload)
        lines = ["[ERROR] %s: %s\n" % (body["errorType"], body["errorMessage"])]
        if body["stackTrace"]:
            lines.append("Traceback (most recent call last):\n")
            lines.extend(body["stackTrace"])
        sys.stderr.write("".join(lines))
    except Exception:  # the function may have closed or replaced stderr
        pass
