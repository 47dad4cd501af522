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
import select  # noqa: E402
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


# A worker that waits for this sandbox sends its first frame at once.
UNASKED_SECONDS = 0.005


def prepare():
    for name in PRELOADED:
        importlib.import_module(name)
    for name in frozenset(sys.modules) - NEEDED - {"bootstrap", __name__}:
        bootstrap.preloaded.setdefault(name.partition(".")[0], []).append(name)
    # The collector never looks at the objects of now again, so that their pages stay shared.
    gc.collect()
    gc.freeze()


def serve():
    bootstrap.STARTED_NS = time.monotonic_ns()
    make_fresh()
    open_streams()
    bootstrap.__name__ = "__main__"
    sys.modules["__main__"] = bootstrap
    del sys.modules["bootstrap"]
    if not select.select([bootstrap.channel.DESCRIPTOR], [], [], UNASKED_SECONDS)[0]:
        rehearse()
    bootstrap.run()


def rehearse():
    """A first import and a first frame write to pages that are still shared with the zygote, and
    each page is then copied. A parked sandbox has the time to do that before it is asked."""
    spec = importlib.util.spec_from_file_location("rehearsal", "/runtime/hearth_rehearsal.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    module.handler(json.loads(module.EVENT), None)
    importlib.machinery.PathFinder.find_spec("rehearsal", ["/code"])
    os.listdir("/code")
    bootstrap.channel.encode_ready(1.5, "rehearsal.handler")


def make_fresh():
    """What two forks of one process would share and must not: the state of every random generator.

    OpenSSL recognises a fork by its process id alone, which is the same in every sandbox."""
    ssl = sys.modules.get("ssl")
    if ssl is not None:
        ssl.RAND_add(os.urandom(32), 32.0)
    sys.modules["random"].seed()
    uuid = sys.modules["uuid"]
    uuid._node = uuid._last_timestamp = None
    tempfile = sys.modules["tempfile"]
    tempfile._name_sequence = tempfile.tempdir = None
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def open_streams():
    """Those of the zygote were of its own descriptors."""
    sys.stdin = sys.__stdin__ = open(
        0, "r", encoding="utf-8", errors="surrogateescape", closefd=False)
    for number, name, errors in ((1, "stdout", "surrogateescape"),
                                 (2, "stderr", "backslashreplace")):
        stream = open(number, "w", encoding="utf-8", errors=errors, closefd=False)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)
