"""Processes that outlive whoever started them, and are ended by nobody else's mistake.

A process is remembered as pid, start time and boot. Numbers are given out again, so that the pid
alone may name a stranger; the three together cannot. Signals go through a pidfd, which is opened
before the start time is compared: what was compared is what receives the signal.
"""

import errno
import os
import pathlib
import select
import signal
import subprocess
import time

STOP_SECONDS_MAX = 10  # until SIGTERM becomes SIGKILL


def boot_id():
    return pathlib.Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()


def start_time(pid):
    """In clock ticks since the boot; None when there is no such process or it is a zombie."""
    try:
        text = pathlib.Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name in parentheses may hold anything, so fields are counted from its end.
    fields = text.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else int(fields[19])


def resident_mb(pid):
    """Resident memory in MB; 0 when the process is gone."""
    try:
        pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text(encoding="ascii").split()[1])
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return pages * os.sysconf("SC_PAGE_SIZE") // 2**20


def start(command, log, inherited=(), bound_to_parent=False):
    """Starts a process in a session of its own, its output in `log`, and says how to remember it.

    `bound_to_parent`: it is ended with SIGTERM when the caller ends, however that happens.
    """
    if bound_to_parent:
        command = ["setpriv", "--pdeathsig", "TERM", *command]
    with open(log, "ab") as output:
        child = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            pass_fds=inherited,
            start_new_session=True,
        )
    return child, {"pid": child.pid, "start_time": start_time(child.pid), "boot_id": boot_id()}


def open_process(known):
    """A pidfd of that very process, or None when it is gone."""
    if known["boot_id"] != boot_id():
        return None
    try:
        handle = os.pidfd_open(known["pid"])
    except OSError as error:
        if error.errno == errno.ESRCH:
            return None
        raise
    if start_time(known["pid"]) == known["start_time"] is not None:
        return handle
    os.close(handle)
    return None


def is_running(known):
    handle = open_process(known)
    if handle is None:
        return False
    os.close(handle)
    return True


def wait_for_end(handle, seconds):
    """Whether it ended in time; a pidfd becomes readable when its process ends."""
    poll = select.poll()
    poll.register(handle, select.POLLIN)
    return bool(poll.poll(int(seconds * 1000)))


def stop(known):
    """Ends that process; returns "ended", "killed" when it ignored SIGTERM, or "gone"."""
    handle = open_process(known)
    if handle is None:
        return "gone"
    try:
        signal.pidfd_send_signal(handle, signal.SIGTERM)
        if wait_for_end(handle, STOP_SECONDS_MAX):
            return "ended"
        signal.pidfd_send_signal(handle, signal.SIGKILL)
        wait_for_end(handle, STOP_SECONDS_MAX)
        return "killed"
    except ProcessLookupError:
        return "ended"
    finally:
        os.close(handle)
        reap(known["pid"])


def reap(pid):
    """Collects it where it is a child of this process, so that no zombie keeps its number."""
    until = time.monotonic() + STOP_SECONDS_MAX
    while time.monotonic() < until:
        try:
            if os.waitpid(pid, os.WNOHANG)[0] == pid:
                return
        except ChildProcessError:
            return
        time.sleep(0.01)
