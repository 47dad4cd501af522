"""Frames on descriptor 3: a 16-byte header and a payload; see docs/protocol.md."""

import json
import os
import select
import struct

DESCRIPTOR = 3
INIT, INVOKE, READY, INIT_ERROR, RESULT, ERROR = 1, 2, 3, 4, 5, 6

RESULT_BYTES_MAX = 6 << 20
HEADER = struct.Struct("<IBBHQ")
INVOKE_PREFIX = struct.Struct("<QH")
READ_BYTES = 64 << 10  # most events and their header arrive in one read
IDLE_MS = 1000  # less than the time after which a worker freezes idle sandboxes

# Called once between two calls that are more than IDLE_MS apart: a fork gives back what it can.
on_idle = None

_read = os.read
_writev = os.writev
_unpack_header = HEADER.unpack_from
_pack_header = HEADER.pack
_unpack_prefix = INVOKE_PREFIX.unpack_from


class ProtocolError(Exception):
    """The worker sent what no worker sends."""


def attach(descriptor):
    """Makes `descriptor` the one that frames come and go on."""
    global DESCRIPTOR, _poll
    DESCRIPTOR = descriptor
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    _poll = poller.poll


def _wait():
    _poll()


def _give_back_and_wait():
    if on_idle is None:
        _poll()
    elif not _poll(IDLE_MS):
        on_idle()
        _poll()


def _receive(wait):
    """One frame as (type, nonce, payload), or None at the end of the stream.

    The worker sends the next frame only after the answer to the last, so whatever arrives belongs
    to one frame and nothing is ever left over.

    Polled for and then read: a process that sleeps in a read of a stream socket is also woken when
    its peer takes what it wrote, here the last answer, to find nothing and sleep again. One in a
    poll is not."""
    wait()
    data = _read(DESCRIPTOR, READ_BYTES)
    if not data:
        return None
    while len(data) < HEADER.size:
        data += _read_some(READ_BYTES)
    length, kind, flags, reserved, nonce = _unpack_header(data)
    if flags or reserved:
        raise ProtocolError("reserved bits are set")
    total = HEADER.size + length
    if len(data) < total:
        parts = [data]
        have = len(data)
        while have < total:
            parts.append(_read_some(total - have))
            have += len(parts[-1])
        data = b"".join(parts)
    if len(data) != total:
        raise ProtocolError("a frame before the last was answered")
    return kind, nonce, data


def _read_some(size):
    data = _read(DESCRIPTOR, min(size, 1 << 20))
    if not data:
        raise ProtocolError("the stream ended inside a frame")
    return data


def receive_init():
    """(nonce, parameters)."""
    frame = _receive(_wait)
    if frame is None or frame[0] != INIT:
        raise ProtocolError("the first frame must be init")
    return frame[1], json.loads(frame[2][HEADER.size:])


def receive_invoke():
    """(nonce, deadline in epoch milliseconds, request id, event as UTF-8 bytes) or None."""
    frame = _receive(_give_back_and_wait)
    if frame is None:
        return None
    kind, nonce, data = frame
    if kind != INVOKE:
        raise ProtocolError("expected an invoke frame")
    deadline_ms, id_size = _unpack_prefix(data, 16)
    end = 26 + id_size
    return nonce, deadline_ms, data[26:end].decode("ascii"), data[end:]


def send(kind, nonce, payload):
    """Writes one frame; in one system call unless the socket's buffer is full."""
    header = _pack_header(len(payload), kind, 0, 0, nonce)
    written = _writev(DESCRIPTOR, (header, payload))
    total = len(header) + len(payload)
    if written == total:
        return
    rest = memoryview(header + payload)[written:]
    while rest:
        rest = rest[os.write(DESCRIPTOR, rest):]


def encode_ready(elapsed_ms, handler):
    return json.dumps({"initMs": round(elapsed_ms, 3), "handler": handler}).encode()


attach(DESCRIPTOR)
