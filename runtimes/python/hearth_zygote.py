"""The interpreter that sandboxes are forked from.

prepare() runs once in hearth-zygote, which never sees a function or its data; serve() runs in
each fork, sealed in its sandbox."""

import sys

import bootstrap  # takes /runtime out of the path again

# What a function finds imported when Python was executed for it. Everything beyond gives way to
# modules of the function that have the same name.
NEEDED = frozenset(sys.modules)

import gc  # noqa: E402
import importlib.util  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import time  # noqa: E402

# Common in functions and dear to import. They must not start threads, open files or keep secrets.
PRELOADED = (
    "argparse", "array", "ast", "asyncio", "base64", "bisect", "calendar", "collections",
    "contextlib", "copy", "csv", "ctypes", "dataclasses", "datetime", "decimal",
    "email.message", "enum", "functools", "glob", "gzip", "hashlib", "heapq", "hmac", "html",
    "http.client", "inspect", "io", "itertools", "json", "logging", "math", "mimetypes",
    "operator", "pathlib", "pickle", "pprint", "queue", "random", "re", "secrets", "shutil",
    "signal", "socket", "ssl", "statistics", "string", "struct", "subprocess", "tempfile",
    "textwrap", "threading", "traceback", "typing", "unicodedata", "urllib.parse",
    "urllib.request", "uuid", "warnings", "weakref", "xml.etree.ElementTree", "zipfile",
    "zlib",
)


# The interpreter adapts a function's code to its operands after a few calls, by writing to it. What
# is adapted here is neither slow nor copied in the forks.
WARM_UP_ROUNDS = 16

# OpenSSL recognises a fork by its process id.
ZYGOTE_ID = os.getpid()

EVENT = '{"list": [1, 2.5, null], "name": "value"}'
PARAMETERS = (
    '{"handlers": ["main.handler"], "functionName": "name", "functionVersion": "1", '
    '"functionArn": "arn", "memoryMb": 128, "logGroupName": "group", "logStreamName": "stream", '
    '"env": {"NAME": "value"}}')

streams = ()


def prepare():
    global streams
    for name in PRELOADED:
        importlib.import_module(name)
    streams = make_streams()
    bootstrap.logging_setup.install()
    for _ in range(WARM_UP_ROUNDS):
        rehearse()
    for name in frozenset(sys.modules) - NEEDED - {"bootstrap", __name__}:
        bootstrap.preloaded.setdefault(name.partition(".")[0], []).append(name)
    # The collector never looks at the objects of now again, so that their pages stay shared.
    gc.collect()
    gc.freeze()


def serve(is_parked):
    bootstrap.STARTED_NS = time.monotonic_ns()
    make_fresh()
    for name, stream in zip(("stdin", "stdout", "stderr"), streams):
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)
    bootstrap.__name__ = "__main__"
    sys.modules["__main__"] = bootstrap
    del sys.modules["bootstrap"]
    if is_parked:
        rehearse()
    bootstrap.run()


def rehearse():
    """A first import and a first call, from the runtime's own folder.

    They write to pages that are still shared with the zygote, and each page is then copied. A
    parked sandbox has the time to do that before it is asked."""
    finder = importlib.machinery.PathFinder.find_spec
    finder("rehearsal", ["/code"])
    os.listdir("/code")
    path, sys.path = sys.path, ["/runtime"]
    try:
        handler, name = bootstrap.function.load(["hearth_rehearsal.handler"])
    finally:
        sys.path = path
        sys.modules.pop("hearth_rehearsal", None)
    parameters = json.loads(PARAMETERS)
    identity = bootstrap.function.Identity(parameters)
    bootstrap.function.invoke(handler, identity, "rehearsal", 0, EVENT)
    bootstrap.channel.encode_ready(1.5, name)


def make_fresh():
    """What two forks of one process would share and must not: the state of every random generator.
    Those of `random` are seeded by its own hook."""
    ssl = sys.modules.get("ssl")
    if ssl is not None and os.getpid() == ZYGOTE_ID:
        ssl.RAND_add(os.urandom(32), 32.0)
    uuid = sys.modules["uuid"]
    uuid._node = uuid._last_timestamp = None
    tempfile = sys.modules["tempfile"]
    tempfile._name_sequence = tempfile.tempdir = None
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def make_streams():
    """Streams on descriptors 0 to 2 as every fork will have them, /dev/null and a pipe: what a
    stream remembers of its descriptor must be true of theirs."""
    saved = [os.dup(number) for number in range(3)]
    null = os.open("/dev/null", os.O_RDONLY)
    pipe = os.pipe()
    for number, source in enumerate((null, pipe[1], pipe[1])):
        os.dup2(source, number)
    made = [open(0, "r", encoding="utf-8", errors="surrogateescape", closefd=False)]
    for number in (1, 2):
        made.append(open(number, "w", encoding="utf-8", closefd=False))
        bootstrap.adapt_stream(made[-1])
    for number, source in enumerate(saved):
        os.dup2(source, number)
    for each in (null, *pipe, *saved):
        os.close(each)
    return tuple(made)
