"""F: one sandbox against another, and against what comes before and after it."""

import ctypes
import fcntl
import os
import random
import secrets
import select
import signal
import socket
import tempfile
import uuid

from probe import attempt, call, dispatch, libc, name_process, wait_for_ever

handler = dispatch(globals())

SHARED_FILE = "/usr/bin/python3"  # the same inode in every sandbox
IN_ACCESS, IN_OPEN = 1, 32


def random_values(event):
    """What two siblings must not have in common."""
    import ssl

    client = ssl.create_default_context()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    try:
        client.wrap_bio(incoming, outgoing, server_hostname="example.com").do_handshake()
    except ssl.SSLWantReadError:
        pass
    values = {"urandom": os.urandom(8).hex(), "random": random.random(), "uuid4": str(uuid.uuid4()),
              "uuid1": str(uuid.uuid1()), "secrets": secrets.token_hex(8),
              "openssl": ssl.RAND_bytes(8).hex(), "client hello": outgoing.read()[11:43].hex(),
              "temporary name": tempfile.mktemp()}
    if event.get("numpy"):
        import numpy

        values["numpy"] = float(numpy.random.rand())
        values["numpy generator"] = float(numpy.random.default_rng().random())
    return values


def leave(event):
    os._exit(0)


def layout(event):
    """What a neighbour could use against this process."""
    return {"hash": hash("the same text"), "libc": ctypes.cast(libc.getpid, ctypes.c_void_p).value,
            "stack": int(open("/proc/self/stat").read().split()[27]), "heap": id(object())}


def hold(event):
    """Leaves its marks in every place that might be shared, and stays."""
    for folder in ("/tmp", "/dev/shm"):
        open(f"{folder}/mark-of-the-first", "w").close()
    libc.shm_open.restype = ctypes.c_int
    libc.shm_open(b"/mark-of-the-first", os.O_CREAT | os.O_RDWR, 0o666)
    libc.sem_open(b"/mark-of-the-first", os.O_CREAT, 0o666, 1)
    end = socket.socket(socket.AF_UNIX)
    end.bind("\0mark-of-the-first")
    end.listen()
    file = open(SHARED_FILE, "rb")
    fcntl.flock(file, fcntl.LOCK_EX)
    name_process("holding")
    wait_for_ever()


def look_around(event):
    """The other's marks, as seen from here."""
    libc.shm_open.restype = ctypes.c_int
    libc.sem_open.restype = ctypes.c_void_p
    others = [int(each) for each in os.listdir("/proc") if each.isdigit()]
    with socket.socket(socket.AF_UNIX) as end:
        abstract = attempt(lambda: end.connect("\0mark-of-the-first"))
    unknown = [pid for pid in range(1, 70_000) if pid not in (1, os.getpid())
               and attempt(lambda: os.kill(pid, 0)) != "ESRCH"]
    return {"files": os.listdir("/tmp") + os.listdir("/dev/shm"),
            "shared memory": libc.shm_open(b"/mark-of-the-first", os.O_RDWR, 0),
            "semaphore": libc.sem_open(b"/mark-of-the-first", 0) is None,
            "abstract": abstract, "processes": others == [os.getpid()], "signals": unknown,
            "keys": call(250, 16, -3, 0, 0, 0), "everybody": attempt(lambda: os.kill(-1, 9))}


def try_lock(event):
    with open(SHARED_FILE, "rb") as file:
        return attempt(lambda: fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB))


def watch(event):
    """Asks the kernel to tell who opens and reads what every sandbox shares."""
    watcher = libc.inotify_init1(os.O_NONBLOCK)
    if watcher < 0:
        return "refused"
    watched = [libc.inotify_add_watch(watcher, path.encode(), IN_OPEN | IN_ACCESS)
               for path in (SHARED_FILE, "/usr/lib/python3.11", "/usr/lib/python3.11/colorsys.py",
                            "/usr/lib/python3", "/etc/ssl", "/usr", "/usr/bin", "/usr/lib")]
    if max(watched) < 0:
        return "refused"
    ready, _, _ = select.select([watcher], [], [], event["seconds"])
    return "saw the neighbour" if ready else "watched"


def touch_shared_files(event):
    """An ordinary function at its ordinary work."""
    open(SHARED_FILE, "rb").read(1)
    open("/usr/lib/python3.11/colorsys.py", "rb").read(1)
    return os.listdir("/usr/lib/python3")[:0]


def lease(event):
    file = os.open(SHARED_FILE, os.O_RDONLY)
    return [call(72, file, number | high, 0) for number in (1024, 1026, 8, 10)
            for high in (0, 1 << 32)]


def own_identity(event):
    """Descriptors, parent and peers of a process that came from a common ancestor."""
    fds = [fd for fd in range(1024) if attempt(lambda: os.fstat(fd)) == "ok"]
    return {"descriptors": fds, "pid": os.getpid(), "parent": os.getppid(),
            "parent visible": os.path.exists("/proc/1"), "ptrace": call(101, 16, 1, 0, 0),
            "kill init": attempt(lambda: os.kill(1, signal.SIGKILL)),
            "session": os.getsid(0) in (0, 1),
            "threads": len(os.listdir("/proc/self/task")),
            "signals blocked": [line.split()[1] for line in open("/proc/self/status")
                                if line.startswith("SigBlk")]}


def write_everywhere(event):
    for folder in ("/tmp", "/dev/shm"):
        with open(f"{folder}/left", "w") as file:
            file.write("x")
    signal.alarm(3600)
    os.umask(0o777)
    return os.listdir("/tmp")


def list_everywhere(event):
    return os.listdir("/tmp") + os.listdir("/dev/shm") + [signal.alarm(0), os.umask(0o022) & 0o700]


def resist(event):
    """Stopped, forking, deaf: what is hard to end."""
    signal.pthread_sigmask(signal.SIG_BLOCK, range(1, 65))
    name_process("resisting")
    for _ in range(20):
        if os.fork() == 0:
            os.setsid()
            os.kill(os.getpid(), signal.SIGSTOP)
    while True:
        attempt(os.fork)
