"""E: speaking to the worker in the runtime's place, and results that are none."""

import ctypes
import os
import socket
import struct
import sys
import threading

from probe import (ERROR, HEADER, RESULT, attempt, dispatch, frame, name_process,
                   nonce_of_this_call, send, until_refused, wait_for_ever)

handler = dispatch(globals())

INIT, INVOKE, READY, INIT_ERROR = 1, 2, 3, 4
SIX_MB = 6 << 20


def write_bytes(event):
    """Bytes that are no frame, and then silence."""
    send(bytes.fromhex(event["bytes"]))
    wait_for_ever()


def write_part_and_exit(event):
    send(frame(nonce_of_this_call(), b'"half"')[:event["size"]])
    os._exit(0)


def write_slowly(event):
    """A whole right frame, a byte at a time."""
    for byte in frame(nonce_of_this_call(), b'"slow but right"'):
        send(bytes([byte]))
    wait_for_ever()


def wrong_frame(event):
    """Right but for one field."""
    fields = {"kind": RESULT, "flags": 0, "reserved": 0, **event.get("fields", {})}
    nonce = event.get("nonce", nonce_of_this_call() + event.get("nonce_step", 0))
    send(frame(nonce % (1 << 64), event.get("payload", '"forged"').encode(), **fields))
    wait_for_ever()


def raw_result(event):
    """A result that no encoder made; the payload in hexadecimal, repeated."""
    payload = b"".join(bytes.fromhex(part) * count for part, count in event["parts"])
    send(frame(nonce_of_this_call(), payload))
    wait_for_ever()


def raw_error(event):
    send(frame(nonce_of_this_call(), event["payload"].encode(), kind=event.get("kind", ERROR)))
    wait_for_ever()


def announce_too_much(event):
    nonce = nonce_of_this_call()
    send(HEADER.pack(event["length"], RESULT, 0, 0, nonce))
    until_refused(lambda: os.write(3, b"x" * 65_536), 1000)
    wait_for_ever()


def two_results(event):
    nonce = nonce_of_this_call()
    send(frame(nonce, b'"first"') + frame(nonce, b'"second"'))
    wait_for_ever()


def right_then_late(event):
    """Answers twice: once as it should, once more when that is on its way."""
    nonce = nonce_of_this_call()
    if event["late"]:
        read_end, write_end = os.pipe()
        if os.fork() == 0:
            os.close(write_end)
            os.read(read_end, 1)
            # The other process has ended its call or its life.
            send(frame(nonce, b'"late"'))
            os._exit(0)
        os.close(read_end)
        global held
        held = write_end
    return "in time"


def release_late(event):
    """Lets the child of the call before answer now."""
    os.close(held)
    os.wait()
    return "mine"


def predict(event):
    """The answer to the next call, before it is made."""
    send(frame(nonce_of_this_call(), b'"mine"'))
    send(frame(nonce_of_this_call() + 1, b'"foreseen"'))
    wait_for_ever()


def close_stream(event):
    if event["how"] == "close":
        os.close(3)
    else:
        socket.socket(fileno=os.dup(3)).shutdown(getattr(socket, event["how"]))
    if event["return"]:
        return "returned"
    wait_for_ever()


def orphan_holds_stream(event):
    """The runtime dies; a child has the stream, and answers in its place."""
    nonce = nonce_of_this_call()
    read_end, write_end = os.pipe()
    if os.fork() == 0:
        os.close(write_end)
        os.read(read_end, 1)
        send(frame(nonce, b'"from beyond"'))
        wait_for_ever()
    os._exit(3)


def replace_runtime(event):
    """Another program in the process's place that knows the protocol."""
    program = ("import os, struct\n"
               f"nonce = {nonce_of_this_call()}\n"
               "payload = b'\"another program\"'\n"
               f"header = struct.pack('<IBBHQ', len(payload), {RESULT}, 0, 0, nonce)\n"
               "os.write(3, header + payload)\n"
               "import signal; signal.pause()\n")
    os.execv("/usr/bin/python3", ["python3", "-c", program])


def poison(event):
    """Everything that the runtime might still use, broken."""
    import builtins
    import json

    def broken(*ignored, **also_ignored):
        raise SystemExit("broken")

    for name in ("dumps", "loads", "JSONEncoder"):
        setattr(json, name, broken)
    sys.modules["json"] = sys.modules["os"] = sys.modules["struct"] = None
    os.write = os.read = os.writev = broken
    builtins.len = builtins.open = broken
    sys.stdout = sys.stderr = None
    sys.settrace(broken)
    sys.setprofile(broken)
    return "poisoned"


class Loud:
    def __del__(self):
        os.write(1, b"x" * 1000)
        raise SystemExit(9)


def leave_traps(event):
    import atexit
    import gc
    import signal

    atexit.register(os.abort)
    gc.callbacks.append(lambda *ignored: None)
    sys.meta_path.insert(0, Loud())
    sys.excepthook = lambda *ignored: os.abort()
    threading.excepthook = sys.excepthook
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    Loud()
    return "set"


def stand_between(event):
    """A thread between the worker and the runtime: it passes on answers and swallows calls."""
    worker = os.dup(3)
    outer, inner = socket.socketpair()
    os.dup2(inner.fileno(), 3)

    def pass_on():
        while True:
            os.write(worker, outer.recv(1 << 20))

    threading.Thread(target=pass_on, daemon=True).start()
    return "between"


def echo(event):
    return event.get("value", "echo")


def output_flood(event):
    line = b"x" * 65_536
    for _ in range(event["megabytes"] * 16):
        os.write(1 + (_ & 1), line)
    return "written"


def forged_log(event):
    for text in event["lines"]:
        os.write(1, bytes.fromhex(text))
        os.write(2, bytes.fromhex(text))
    return "printed"


def scan_descriptors(event):
    """Writes to every number above the stream's; nothing else may be open."""
    return [fd for fd in range(1024) if attempt(lambda: os.fstat(fd)) == "ok"]


def urgent_bytes(event):
    control = socket.socket(fileno=os.dup(3))
    try:
        control.send(b"!", socket.MSG_OOB)
    except OSError:
        return "refused"
    send(frame(nonce_of_this_call(), b'"urgent"'))
    wait_for_ever()


def tell_lies(event):
    """An error that names itself what only the worker may say."""
    import json

    body = {"errorMessage": event["message"], "errorType": event["type"], "requestId": "x",
            "stackTrace": event.get("stack", [])}
    send(frame(nonce_of_this_call(), json.dumps(body).encode(), kind=ERROR))
    wait_for_ever()


def nested(event):
    value = []
    for _ in range(event["depth"]):
        value = [value]
    return value


def named(event):
    values = {"cycle": lambda: cycle, "generator": lambda: (each for each in ()),
              "bytes": lambda: b"\xff", "surrogate": lambda: "\ud800", "nan": lambda: float("nan"),
              "infinity": lambda: [float("-inf")], "key": lambda: {(1, 2): 3},
              "object": lambda: object(), "too large": lambda: "x" * (SIX_MB - 1),
              "module": lambda: sys}
    cycle = []
    cycle.append(cycle)
    return values[event["value"]]()


def exit_by(event):
    ways = {"exit": lambda: sys.exit(3), "_exit": lambda: os._exit(4), "abort": os.abort,
            "segfault": lambda: ctypes.string_at(0),
            "true": lambda: os.execv("/bin/true", ["true"]),
            "interrupt": lambda: (_ for _ in ()).throw(KeyboardInterrupt("x"))}
    ways[event["how"]]()
    return list(ways["interrupt"]())


def request_forgery(event):
    """Frames that only the worker sends."""
    send(frame(nonce_of_this_call(), struct.pack("<QH", 0, 0) + b"{}", kind=event["kind"]))
    name_process("forged")
    wait_for_ever()
