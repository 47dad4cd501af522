"""The interpreter that sandboxes are forked from.

prepare() runs once in hearth-zygote, which never sees a function or its data; serve() runs in
each fork, sealed in its sandbox."""

import sys

import hearth_rehearsal as example
import bootstrap  # takes /runtime out of the path again

# What a function finds imported when Python was executed for it. Everything beyond gives way to
# modules of the function that have the same name.
del sys.modules[example.__name__]
NEEDED = frozenset(sys.modules)

import gc  # noqa: E402
import importlib  # noqa: E402
import json  # noqa: E402
import os  # noqa: E402
import socket  # noqa: E402
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


# Calls after which code is specialised and caches are filled: CPython 3.11 begins at the eighth.
REHEARSALS = 32

# What modules gave to os.register_at_fork. The zygote forks with one thread and no lock held, which
# leaves nothing to repair; running them would write to pages all over. Sandboxes get them back.
fork_hooks = []


zygote_id = os.getpid()


def prepare(release_memory, family, modules):
    """`modules` are more to import, with commas. A zygote beside the standard one is there for
    them, and is not without the first; any other that is missing is left out."""
    register = os.register_at_fork
    os.register_at_fork = lambda **hooks: fork_hooks.append(hooks)
    for name in PRELOADED:
        importlib.import_module(name)
    import_wanted([name for name in modules.split(",") if name], family != "standard")
    os.register_at_fork = register
    for name in frozenset(sys.modules) - NEEDED - {"bootstrap", __name__}:
        bootstrap.preloaded.setdefault(name.partition(".")[0], []).append(name)
    bootstrap.log_request = bootstrap.logging_setup.install()
    find_code_directory()
    with_streams_of_a_sandbox()
    bootstrap.log_request("")
    bootstrap.channel.on_idle = release_memory
    bootstrap.__name__ = "__main__"
    sys.modules["__main__"] = bootstrap
    del sys.modules["bootstrap"]
    # The collector never looks at the objects of now again, so that their pages stay shared.
    gc.collect()
    gc.freeze()


def find_code_directory():
    """As an import would: which kind of finder it takes is the same for all functions."""
    for make_finder in sys.path_hooks:
        try:
            sys.path_importer_cache["/code"] = make_finder("/code")
            return
        except ImportError:
            continue


def import_wanted(names, needs_first):
    for number, name in enumerate(names):
        try:
            importlib.import_module(name)
        except ImportError as problem:
            if needs_first and number == 0:
                raise
            print("the zygote does without %s: %s" % (name, problem), file=sys.stderr)


def serve(is_parked):
    bootstrap.STARTED_NS = time.monotonic_ns()
    make_fresh()
    for hooks in fork_hooks:
        os.register_at_fork(**hooks)
    if is_parked:
        touch()
    bootstrap.run()


def touch():
    """An import and a frame write to pages that are still shared with the zygote, and each is then
    copied. A parked sandbox has the time to do that before it is asked."""
    sys.path[0] = "/runtime"
    bootstrap.function.load(["%s.handler" % example.__name__])
    sys.path[0] = "/code"
    del sys.modules[example.__name__]
    bootstrap.prefer_own_modules()
    json.loads(bootstrap.channel.encode_ready(1.5, "rehearsal"))


def with_streams_of_a_sandbox():
    """A stream asks its descriptor what it is when it is made. So they are made, and used for the
    rehearsals, while the zygote's first three descriptors are what a sandbox has there."""
    kept = [os.dup(number) for number in range(3)]
    nothing = os.open("/dev/null", os.O_RDONLY)
    read_end, write_end = os.pipe()
    for number, descriptor in enumerate((nothing, write_end, write_end)):
        os.dup2(descriptor, number)
    try:
        open_streams()
        rehearse()
    finally:
        for number, descriptor in enumerate(kept):
            os.dup2(descriptor, number)
        for descriptor in (*kept, nothing, read_end, write_end):
            os.close(descriptor)


def open_streams():
    sys.stdin = sys.__stdin__ = open(
        0, "r", encoding="utf-8", errors="surrogateescape", closefd=False)
    for number, name in ((1, "stdout"), (2, "stderr")):
        stream = open(number, "w", encoding="utf-8", errors="backslashreplace", closefd=False)
        setattr(sys, name, stream)
        setattr(sys, "__%s__" % name, stream)
    bootstrap.adjust_streams()


def rehearse():
    """All that a sandbox does for a small function, until each cache that its code has is filled:
    a fork would fill it for itself alone, in its own copy of a page."""
    environment = dict(os.environ)
    directory = os.getcwd()
    first = sys.path[0]
    sys.path[0] = "/runtime"
    for _ in range(REHEARSALS):
        make_fresh()
        rehearse_once()
    sys.path[0] = first
    os.chdir(directory)
    os.environ.clear()
    os.environ.update(environment)


def rehearse_once():
    channel = bootstrap.channel
    real = channel.DESCRIPTOR
    # Each packet is read as one frame, and after the last comes the end.
    worker, sandbox = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    with worker, sandbox:
        for kind, payload in example.frames(channel):
            worker.send(channel.HEADER.pack(len(payload), kind, 0, 0, 1) + payload)
        worker.shutdown(socket.SHUT_WR)
        channel.attach(sandbox.fileno())
        bootstrap.main()
        channel.attach(real)
        answers = [worker.recv(channel.READ_BYTES)[4] for _ in range(example.CALLS + 1)]
    if answers != [channel.READY] + [channel.RESULT] * example.CALLS:
        raise RuntimeError("the rehearsal failed")
    del sys.modules[example.__name__]


def make_example_call():
    """In a fork that nobody uses, for the pages that a first call touches."""
    os.dup2(os.open("/dev/null", os.O_WRONLY), 1)
    sys.path[0] = "/runtime"
    make_fresh()
    for hooks in fork_hooks:
        os.register_at_fork(**hooks)
    rehearse_once()


def make_fresh():
    """What two forks of one process would share and must not: the state of every random generator.

    OpenSSL recognises a fork by its process id alone: it draws a new seed where that is not the
    zygote's. It is the same in every sandbox, and may be the zygote's in a container."""
    modules = sys.modules
    if os.getpid() == zygote_id:
        modules["ssl"].RAND_add(os.urandom(32), 32.0)
    modules["random"].seed()
    uuid = modules["uuid"]
    uuid._node = uuid._last_timestamp = None
    tempfile = modules["tempfile"]
    tempfile._name_sequence = tempfile.tempdir = None
    numpy = modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()
