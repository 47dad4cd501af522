"""What every hostile function uses: raw system calls, machine code, children that may be killed.

Runs inside a sandbox, beside the attack as main.py. Attacks return plain names of what happened, so
that a test reads as a table."""

import ctypes
import errno
import mmap
import os
import signal
import struct

libc = ctypes.CDLL(None, use_errno=True)
libc.syscall.restype = ctypes.c_long

HIGH_BITS = (1 << 32, 1 << 63, 0xFFFFFFFF << 32)  # the kernel reads an int argument without them

RESULT, ERROR = 5, 6
HEADER = struct.Struct("<IBBHQ")


def dispatch(namespace):
    """The handler of an attack module: the event names the function, which gets the event."""

    def handler(event, context):
        return namespace[event["attack"]](event)

    return handler


def call(number, *arguments):
    """One system call by number with whole 64-bit arguments: "ok", or the errno's name."""
    ctypes.set_errno(0)
    words = [ctypes.c_ulong(each & 0xFFFFFFFFFFFFFFFF) for each in arguments]
    if libc.syscall(ctypes.c_long(number), *words) >= 0:
        return "ok"
    return errno.errorcode[ctypes.get_errno()]


def attempt(action):
    """"ok", or the name of the errno that it raised."""
    try:
        action()
        return "ok"
    except OSError as problem:
        return errno.errorcode.get(problem.errno, type(problem).__name__)


def verdicts(table):
    """{name: arguments of call()} with the answers in place, equal ones together."""
    answers = {}
    for name, arguments in table.items():
        answers.setdefault(call(*arguments), []).append(name)
    return answers


def in_child(action):
    """How a forked child ends: "exit N" or the signal's name."""
    child = os.fork()
    if child == 0:
        try:
            action()
            os._exit(0)
        except BaseException:
            os._exit(99)
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        return signal.Signals(os.WTERMSIG(status)).name
    return "exit %d" % os.WEXITSTATUS(status)


def until_refused(action, limit):
    """How often the action worked before its first OSError, and that error's name."""
    for count in range(limit):
        outcome = attempt(action)
        if outcome != "ok":
            return count, outcome
    return limit, "ok"


def machine_code(code):
    """Runs bytes from a page that is writable and executable."""
    page = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
    page.write(code)
    ctypes.CFUNCTYPE(ctypes.c_int)(ctypes.addressof(ctypes.c_char.from_buffer(page)))()


def write_text(path, text):
    with open(path, "w", encoding="utf-8") as file:
        file.write(text)


def nonce_of_this_call():
    """The runtime shares this process, so that its secrets are the function's."""
    import sys

    frame = sys._getframe()
    while frame is not None:
        if frame.f_code.co_name == "serve" and "nonce" in frame.f_locals:
            return frame.f_locals["nonce"]
        frame = frame.f_back
    raise RuntimeError("the runtime has no nonce on its stack")


def frame(nonce, payload, kind=RESULT, flags=0, reserved=0, length=None):
    """A frame of docs/protocol.md, with any field wrong that is wanted."""
    size = len(payload) if length is None else length
    return HEADER.pack(size, kind, flags, reserved, nonce) + payload


def send(data):
    """Everything, on the stream to the worker."""
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(3, rest):]


def name_process(name):
    """A sign that the test outside sees: what this process is called."""
    libc.prctl(15, name.encode(), 0, 0, 0)


def wait_for_ever():
    while True:
        signal.pause()
