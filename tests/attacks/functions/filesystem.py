"""B: files, links, /proc, and what the host keeps where."""

import ctypes
import glob
import mmap
import os
import re
import signal
import stat
import subprocess

from probe import attempt, call, dispatch, in_child, until_refused

handler = dispatch(globals())


def create(path):
    os.close(os.open(path, os.O_WRONLY | os.O_CREAT, 0o600))


def read_only(event):
    places = ("/", "/bin/", "/usr/", "/usr/lib/", "/etc/", "/code/", "/runtime/", "/dev/")
    actions = {f"create in {place}": lambda place=place: create(place + "planted")
               for place in places}
    actions |= {f"mkdir in {place}": lambda place=place: os.mkdir(place + "planted")
                for place in places}
    actions |= {f"unnamed in {place}": lambda place=place: os.open(place, os.O_TMPFILE | os.O_RDWR)
                for place in places}
    for path in ("/code/main.py", "/usr/bin/python3", "/etc/passwd", "/runtime/bootstrap.py"):
        actions |= {
            f"chmod {path}": lambda path=path: os.chmod(path, 0o777),
            f"chown {path}": lambda path=path: os.chown(path, 1000, 1000),
            f"unlink {path}": lambda path=path: os.unlink(path),
            f"rename {path}": lambda path=path: os.rename(path, path + ".old"),
            f"utime {path}": lambda path=path: os.utime(path),
            f"append {path}": lambda path=path: open(path, "a"),
            f"truncate {path}": lambda path=path: os.truncate(path, 0),
            f"setxattr {path}": lambda path=path: os.setxattr(path, "user.x", b"y"),
            f"symlink {path}": lambda path=path: os.symlink("x", path + ".link"),
        }
    answers = {}
    for name, action in actions.items():
        answers.setdefault(attempt(action), []).append(name)
    return answers


def links_out_of_the_code(event):
    create("/tmp/mine")
    return [attempt(lambda: os.link("/code/main.py", "/tmp/main.py")),
            attempt(lambda: os.rename("/code/main.py", "/tmp/main.py")),
            attempt(lambda: os.link("/tmp/mine", "/code/mine")),
            attempt(lambda: os.link("/tmp/mine", "/dev/shm/mine")),
            attempt(lambda: os.rename("/tmp/mine", "/usr/mine"))]


def walk_out(event):
    """Every descriptor and magic link as the start of a walk to a file that only the host has."""
    starts = [f"/proc/self/fd/{fd}" for fd in range(256)]
    starts += ["/proc/self/root", "/proc/self/cwd", "/proc/thread-self/root", "/proc/1/root",
               "/proc/1/cwd", "/code", "/tmp", "/runtime", "/dev/shm", "/proc", "", "/usr/bin/.."]
    starts += glob.glob("/proc/[0-9]*/root") + glob.glob("/proc/[0-9]*/task/*/cwd")
    found = []
    for start in starts:
        for up in ("", "/..", "/../../../../../../../../../.."):
            for goal in event["paths"]:
                if os.path.exists(start + up + goal):
                    found.append(start + up + goal)
    for fd in range(256):
        for goal in event["paths"]:
            if attempt(lambda: os.stat("../" * 20 + goal[1:], dir_fd=fd)) == "ok":
                found.append([fd, goal])
    return found


def environment_secrets(event):
    """The worker's environment, anywhere: variables, command lines, every readable page."""
    # Put together here, so that this process does not find its own question.
    word = "".join(event["letters"]).encode()
    key = "".join(event["key_letters"]).encode()
    places = []
    for path in glob.glob("/proc/[0-9]*/environ") + glob.glob("/proc/[0-9]*/cmdline"):
        try:
            content = open(path, "rb").read()
        except OSError:
            continue
        if word in content or key in content:
            places.append(path)
    hits = 0
    with open("/proc/self/mem", "rb", buffering=0) as memory:
        for line in open("/proc/self/maps"):
            begin, end, rights = re.match(r"(\w+)-(\w+) (\S+)", line).groups()
            if rights[0] == "r" and "[v" not in line:
                memory.seek(int(begin, 16))
                try:
                    content = memory.read(int(end, 16) - int(begin, 16))
                except OSError:
                    continue
                hits += content.count(b"HEARTH_TEST_" + word[:6].upper())
    return [places, hits, sorted(name for name in os.environ if "SECRET" in name)]


def kernel_tables(event):
    paths = ["/sys", "/sys/kernel/debug", "/sys/fs/cgroup", "/proc/sys", "/proc/sysrq-trigger",
             "/proc/kcore", "/proc/keys", "/proc/key-users", "/proc/kallsyms", "/proc/config.gz",
             "/proc/kmsg", "/proc/modules", "/proc/timer_list", "/proc/sched_debug", "/proc/bus",
             "/proc/irq", "/proc/fs", "/proc/acpi", "/proc/meminfo", "/proc/cpuinfo",
             "/proc/loadavg", "/proc/stat", "/proc/version", "/proc/cmdline", "/proc/partitions",
             "/proc/1", "/dev/kmsg", "/dev/mem", "/dev/port", "/dev/tty", "/dev/console",
             "/dev/ptmx", "/dev/pts", "/dev/fuse", "/dev/kvm", "/dev/net/tun", "/dev/vhost-net",
             "/dev/userfaultfd", "/dev/mqueue", "/dev/hugepages", "/dev/loop-control", "/dev/sda",
             "/dev/vda", "/run", "/var", "/root", "/home", "/mnt", "/boot", "/etc/shadow",
             "/etc/ssh", "/etc/hostname", "/etc/resolv.conf", "/etc/machine-id"]
    return [path for path in paths if os.path.lexists(path)]


def own_proc_files(event):
    def write(name, text):
        file = os.open(f"/proc/self/{name}", os.O_WRONLY)
        try:
            os.write(file, text.encode())
        finally:
            os.close(file)

    writes = {"uid_map": "0 0 1", "gid_map": "0 0 1", "setgroups": "allow", "projid_map": "0 0 1",
              "oom_score_adj": "-1000", "oom_adj": "-17", "autogroup": "-5", "loginuid": "0",
              "timens_offsets": "monotonic 1 0", "attr/exec": "x", "attr/current": "x",
              "latency": "0"}
    succeeded = [name for name, text in writes.items()
                 if attempt(lambda: write(name, text)) == "ok"]
    hidden = [name for name in ("stack", "syscall", "pagemap", "mem")
              if attempt(lambda: os.open(f"/proc/1/{name}", os.O_RDONLY)) != "ENOENT"]
    return [succeeded, hidden]


def own_place(event):
    """What tells a function where on the host it is."""
    groups = [line.rstrip("\n") for line in open("/proc/self/cgroup") if line.startswith("0::")]
    return [groups, open("/proc/self/uid_map").read().split(), os.uname().nodename]


def marked_devices(event):
    """A time stamp on a device node of the host is a message to everybody."""
    paths = [f"/dev/{name}" for name in ("null", "zero", "full", "random", "urandom")]
    return sorted({attempt(lambda: action(path)) for path in paths
                   for action in (os.utime, lambda path: os.chmod(path, 0o666))})


def cut_short(event):
    """What Landlock alone holds back: the kernel lets the owner do it, and it does nothing."""
    return [attempt(lambda: os.open("/proc/self/comm", os.O_WRONLY | os.O_TRUNC)),
            attempt(lambda: os.open("/proc/self/comm", os.O_WRONLY))]


def shared_pages(event):
    """Own read-only pages can be written through /proc/self/mem; the file behind them must not."""
    path = next(line.split()[-1] for line in open("/proc/self/maps") if "libc.so" in line)
    begin = next(int(line.split("-")[0], 16) for line in open("/proc/self/maps")
                 if path in line and " r--p 00000000" in line)
    with open("/proc/self/mem", "r+b", buffering=0) as memory:
        memory.seek(begin + 0x40)
        before = memory.read(4)
        memory.seek(begin + 0x40)
        outcome = attempt(lambda: memory.write(b"\xde\xad\xbe\xef"))
        memory.seek(begin + 0x40)
        memory.write(before)
    return [os.path.realpath(path), outcome in ("ok", "EIO"),
            attempt(lambda: os.open("/proc/self/exe", os.O_RDWR)),
            attempt(lambda: mmap.mmap(os.open(path, os.O_RDONLY), 4096, mmap.MAP_SHARED,
                                      mmap.PROT_READ | mmap.PROT_WRITE))]


def planted_links(event):
    """Links where a careless host would follow them; from inside they lead nowhere."""
    answers = []
    for index, goal in enumerate(["/etc/shadow", "/proc/1/environ", "/proc/self/fd/3",
                                  *event["paths"]]):
        for folder in ("/tmp", "/dev/shm"):
            link = f"{folder}/link-{index}"
            os.symlink(goal, link)
            answers.append(attempt(lambda: open(link)))
    os.symlink("/tmp/loop", "/tmp/loop")
    answers.append(attempt(lambda: open("/tmp/loop")))
    return sorted(set(answers))


def fill_with_inodes(event):
    numbers = iter(range(10**9))
    in_tmp = until_refused(lambda: create(f"/tmp/{next(numbers)}"), 200_000)
    in_shm = until_refused(lambda: create(f"/dev/shm/{next(numbers)}"), 200_000)
    return [in_tmp[0] <= 65_536, in_tmp[1], in_shm[0] <= 4_096, in_shm[1]]


def odd_files(event):
    signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    os.chdir("/tmp")
    for name in (b"new\nline", b"\xff\xfe invalid", b"x" * 255, b"-rf", b"a\x1b[2Jb", b" "):
        create(name)
    file = os.open("sparse", os.O_RDWR | os.O_CREAT)
    answers = [attempt(lambda: os.ftruncate(file, 1 << 40)),
               attempt(lambda: os.posix_fallocate(file, 0, 1 << 40)),
               attempt(lambda: create(b"x" * 256))]
    os.symlink("y", "first")
    create("second")
    answers.append(call(316, -100, string("first"), -100, string("second"), 2))
    depth = 0
    while depth < 5000 and attempt(lambda: os.mkdir("d")) == "ok":
        os.chdir("d")
        depth += 1
    answers.append(depth)
    return answers


def string(text):
    string.kept.append(ctypes.create_string_buffer(text.encode()))
    return ctypes.addressof(string.kept[-1])


string.kept = []


def fill_shared_memory(event):
    with open("/dev/shm/fill", "wb", buffering=0) as file:
        refused = until_refused(lambda: file.write(b"x" * 65_536), 10_000)
    return [refused[1], os.path.getsize("/dev/shm/fill") <= 64 << 20]


def fill_tmp(event):
    """More bytes than the function has memory: /tmp counts as memory."""
    with open("/tmp/fill", "wb", buffering=0) as file:
        while True:
            file.write(b"x" * (1 << 20))


def run_own_programs(event):
    """As on Lambda, programs may run from /tmp; from /dev/shm not."""
    outcomes = []
    for folder in ("/tmp", "/dev/shm"):
        path = folder + "/program"
        with open("/bin/true", "rb") as source, open(path, "wb") as copy:
            copy.write(source.read())
        os.chmod(path, stat.S_IRWXU)
        outcomes.append(attempt(lambda: subprocess.run([path], check=True)))
    return outcomes


def vanishing_pages(event):
    def touch():
        file = os.open("/tmp/pages", os.O_RDWR | os.O_CREAT)
        os.ftruncate(file, 8192)
        pages = mmap.mmap(file, 8192)
        os.ftruncate(file, 0)
        pages[4096]

    ending = in_child(touch)
    kept = os.open("/tmp/unlinked", os.O_RDWR | os.O_CREAT)
    os.unlink("/tmp/unlinked")
    os.write(kept, b"x" * (8 << 20))
    return ending
