"""D: taking more than one's share. Every bomb here is bounded by the sandbox's limits alone."""

import ctypes
import mmap
import os
import resource
import select
import signal
import socket
import threading
import time

from probe import attempt, call, dispatch, libc, name_process, until_refused, wait_for_ever

handler = dispatch(globals())

FAR_ABOVE = 100_000


def ignore_everything():
    for number in range(1, 65):
        attempt(lambda: signal.signal(number, signal.SIG_IGN)) if number not in (9, 19, 32, 33) \
            else None
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))


def forks(event):
    def fork():
        if os.fork() == 0:
            wait_for_ever()

    return until_refused(fork, FAR_ABOVE)


def fork_bomb(event):
    """Without an end: each child does the same."""
    while True:
        attempt(os.fork)


def threads(event):
    def start():
        try:
            threading.Thread(target=wait_for_ever, daemon=True).start()
        except RuntimeError as problem:
            raise BlockingIOError(11, str(problem)) from None

    return until_refused(start, FAR_ABOVE)


def allocate(event):
    """Several times the limit, and not the host's memory should there be none."""
    held = []
    while len(held) < 64:
        held.append(bytearray(16 << 20))
    return "a gigabyte"


def allocate_in_a_child(event):
    child = os.fork()
    if child == 0:
        allocate(event)
    os.waitpid(child, 0)
    return "the child died alone"


def allocate_by_map(event):
    pages = mmap.mmap(-1, 1 << 30, mmap.MAP_PRIVATE | mmap.MAP_ANONYMOUS | 0x8000)
    return len(pages)


def allocate_by_memfd(event):
    file = os.memfd_create("memory")
    return sum(os.write(file, b"x" * (1 << 20)) for _ in range(400))


def allocate_by_pipes(event):
    """Buffers in the kernel. Not a way past the memory limit, whichever limit is met first."""
    held = []

    def one_more():
        held.append(os.pipe())
        os.set_blocking(held[-1][1], False)
        until_refused(lambda: os.write(held[-1][1], b"x" * 65_536), 100)

    return until_refused(one_more, FAR_ABOVE)


def allocate_by_stack(event):
    import sys

    sys.setrecursionlimit(10**9)
    nested = []
    for _ in range(10**7):
        nested = [nested]
    return len(repr(nested))


def open_files(event):
    held = [until_refused(lambda: os.dup(0), FAR_ABOVE)]
    resource_limit = resource.getrlimit(resource.RLIMIT_NOFILE)
    return [held[0][0] + 4, held[0][1], resource_limit[0] == resource_limit[1]]


def kernel_objects(event):
    """Objects that the kernel counts per user: each ends, at whichever limit."""
    answers = {}
    for name, make in {"epoll": select.epoll, "timerfd": lambda: one(283, 1, 0),
                       "eventfd": lambda: one(290, 0, 0)}.items():
        held = []
        answers[name] = until_refused(lambda: held.append(make()), FAR_ABOVE)[1]
        for each in held:
            os.close(each) if isinstance(each, int) else each.close()
    return sorted(set(answers.values()))


def one(number, *arguments):
    got = libc.syscall(ctypes.c_long(number), *[ctypes.c_long(each) for each in arguments])
    if got < 0:
        raise OSError(ctypes.get_errno(), "refused")
    return got


def timers(event):
    identity = ctypes.c_int()
    made = 0
    while made < FAR_ABOVE:
        outcome = call(222, 1, 0, ctypes.addressof(identity))
        if outcome != "ok":
            return [made <= 256, outcome]
        made += 1
    return [made, "ok"]


def spin(event):
    for _ in range(event["processes"] - 1):
        if os.fork() == 0:
            break
    while True:
        pass


def never_return(event):
    ignore_everything()
    while True:
        libc.pause()


def spin_in_c(event):
    ignore_everything()
    import re

    re.match("(a*)*b", "a" * 200)


def stop_oneself(event):
    for _ in range(5):
        if os.fork() == 0:
            os.kill(os.getpid(), signal.SIGSTOP)
    os.kill(os.getpid(), signal.SIGSTOP)


def wait_in_vfork(event):
    # The parent waits, uninterruptibly, for a child that shares its memory and never ends.
    libc.vfork.restype = ctypes.c_int
    if libc.vfork() == 0:
        while True:
            libc.pause()


def leave_a_daemon(event):
    """Twice forked, in a session of its own, deaf to all signals, holding every descriptor."""
    reader, writer = os.pipe()
    if os.fork() == 0:
        os.setsid()
        if os.fork() == 0:
            ignore_everything()
            name_process("left behind")
            os.write(writer, b"x")
            while True:
                libc.pause()
        os._exit(0)
    os.wait()
    os.read(reader, 1)
    return "done"


def processes(event):
    return sorted(open(f"/proc/{pid}/comm").read().strip()
                  for pid in os.listdir("/proc") if pid.isdigit())


def kill_init(event):
    answers = [attempt(lambda: os.kill(1, number)) for number in (9, 15, 19, 11, 34)]
    answers.append(attempt(lambda: os.kill(-1, 9)))
    return answers


def kill_everybody_from_a_child(event):
    if os.fork() == 0:
        os.kill(-1, 9)
    wait_for_ever()


def become_a_later_victim(score):
    # Closed within: the error of a buffered write comes with the close.
    with open("/proc/self/oom_score_adj", "w") as file:
        file.write(score)


def priorities(event):
    group = ctypes.create_string_buffer(64)
    ctypes.c_uint32.from_buffer(group).value = 48
    return [attempt(lambda: os.setpriority(os.PRIO_PROCESS, 0, -20)), call(144, 0, 1, 0),
            call(142, 0, 0), call(314, 0, ctypes.addressof(group), 0), call(251, 1, 0, 1 << 13),
            call(149, 0, 4096), call(151, 1),
            attempt(lambda: become_a_later_victim("0"))]


def raise_limits(event):
    kept = []
    for name in ("CORE", "NOFILE", "FSIZE", "MEMLOCK", "MSGQUEUE", "SIGPENDING", "RTPRIO", "NICE",
                 "NPROC", "STACK"):
        number = getattr(resource, "RLIMIT_" + name, {"SIGPENDING": 11, "MSGQUEUE": 12, "NICE": 13,
                                                      "RTPRIO": 14}.get(name))
        try:
            resource.setrlimit(number, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
        except (ValueError, OSError):
            kept.append(name)
    return [len(kept), call(302, 1, 7, 0, 0)]


def storm_of_syncs(event):
    until = time.monotonic() + event["seconds"]
    file = os.open("/usr/bin/python3", os.O_RDONLY)
    own = os.open("/tmp/own", os.O_RDWR | os.O_CREAT)
    while time.monotonic() < until:
        os.write(own, b"x" * 4096)
        os.fsync(own)
        os.fsync(file)
        os.posix_fadvise(file, 0, 0, os.POSIX_FADV_DONTNEED)
    return "stormed"


def storm_of_timers(event):
    signal.signal(signal.SIGALRM, lambda *ignored: None)
    signal.setitimer(signal.ITIMER_REAL, 1e-4, 1e-4)
    until = time.monotonic() + event["seconds"]
    while time.monotonic() < until:
        pass
    signal.setitimer(signal.ITIMER_REAL, 0)
    return "stormed"


def crash(event):
    os.abort()


def crowd_of_sockets(event):
    held = []
    return until_refused(lambda: held.append(socket.socketpair()), FAR_ABOVE)[1]
