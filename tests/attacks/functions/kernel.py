"""A: the kernel's interfaces, by raw system calls of x86-64."""

import os
import shutil
import socket
import subprocess
import threading

from probe import HIGH_BITS, attempt, call, dispatch, in_child, machine_code, verdicts

handler = dispatch(globals())

NAMESPACES = {"time": 0x80, "mount": 0x20000, "cgroup": 0x2000000, "uts": 0x4000000,
              "ipc": 0x8000000, "user": 0x10000000, "pid": 0x20000000, "net": 0x40000000}


def mounts(event):
    return verdicts({"mount": (165, 0, 0, 0, 0, 0), "umount2": (166, 0, 2),
                     "pivot_root": (155, 0, 0), "chroot": (161, 0)})


def mount_descriptors(event):
    return verdicts({"open_tree": (428, -100, 0, 1), "move_mount": (429, 3, 0, 3, 0, 0),
                     "fsopen": (430, 0, 0), "fsconfig": (431, 3, 0, 0, 0, 0),
                     "fsmount": (432, 3, 0, 0), "fspick": (433, -100, 0, 0),
                     "mount_setattr": (442, -100, 0, 0, 0, 0), "statmount": (457, 0, 0, 0, 0),
                     "listmount": (458, 0, 0, 0, 0), "open_tree_attr": (467, -100, 0, 0, 0, 0)})


def unshare(event):
    return verdicts({name: (272, flag) for name, flag in NAMESPACES.items()})


def clone_namespaces(event):
    return verdicts({f"{name} {high:x}": (56, flag | high | 17, 0, 0, 0, 0)
                     for name, flag in NAMESPACES.items() if name != "time"
                     for high in (0, *HIGH_BITS)} | {"time": (56, 0x80, 0, 0, 0, 0)})


def clone3(event):
    done = []
    thread = threading.Thread(target=lambda: done.append(os.getpid()))
    thread.start()
    thread.join()
    ran = subprocess.run(["/bin/echo", "ran"], capture_output=True, text=True)
    return [call(435, 0, 88), call(435, 0, 0), len(done), ran.stdout.strip()]


def setns(event):
    answers = set()
    for name in os.listdir("/proc/self/ns"):
        fd = os.open(f"/proc/self/ns/{name}", os.O_RDONLY)
        answers |= {call(308, fd | high, 0) for high in (0, *HIGH_BITS)}
        os.close(fd)
    pidfd = os.pidfd_open(os.getpid())
    return [sorted(answers), call(308, pidfd, 0x20000000),
            attempt(lambda: os.open("/proc/1/ns/mnt", os.O_RDONLY))]


def other_processes_memory(event):
    return verdicts({"ptrace": (101, 16, 1, 0, 0), "ptrace me": (101, 0, 0, 0, 0),
                     "process_vm_readv": (310, 1, 0, 0, 0, 0, 0),
                     "process_vm_writev": (311, 1, 0, 0, 0, 0, 0), "kcmp": (312, 1, 2, 0, 0, 0),
                     "pidfd_getfd": (438, 3, 0, 0), "process_madvise": (440, 3, 0, 0, 0, 0),
                     "process_mrelease": (448, 3, 0)})


def large_interfaces(event):
    return verdicts({"bpf": (321, 0, 0, 0), "perf_event_open": (298, 0, 0, -1, -1, 0),
                     "userfaultfd": (323, 0), "io_uring_setup": (425, 1, 0),
                     "io_uring_enter": (426, 3, 1, 0, 0, 0),
                     "io_uring_register": (427, 3, 0, 0, 0), "fanotify_init": (300, 0, 0),
                     "fanotify_mark": (301, 3, 0, 0, -1, 0)})


def keys(event):
    return verdicts({"add_key": (248, 0, 0, 0, 0, -4), "request_key": (249, 0, 0, 0, -4),
                     "keyctl": (250, 0, -3, 0, 0, 0)})


def administration(event):
    return verdicts({"init_module": (175, 0, 0, 0), "finit_module": (313, 3, 0, 0),
                     "delete_module": (176, 0, 0), "kexec_load": (246, 0, 0, 0, 0),
                     "kexec_file_load": (320, 3, 3, 0, 0, 0), "reboot": (169, 0, 0, 0, 0),
                     "swapon": (167, 0, 0), "swapoff": (168, 0), "acct": (163, 0),
                     "quotactl": (179, 0, 0, 0, 0), "quotactl_fd": (443, 3, 0, 0, 0),
                     "iopl": (172, 3), "ioperm": (173, 0, 1, 1), "syslog": (103, 3, 0, 0),
                     "sethostname": (170, 0, 0), "setdomainname": (171, 0, 0),
                     "vhangup": (153,), "sync": (162,), "syncfs": (306, 0)})


def clocks(event):
    return verdicts({"clock_settime": (227, 0, 0), "settimeofday": (164, 0, 0),
                     "adjtimex": (159, 0), "clock_adjtime": (305, 0, 0)})


def file_handles(event):
    return verdicts({"name_to_handle_at": (303, -100, 0, 0, 0, 0),
                     "open_by_handle_at": (304, 3, 0, 0)})


def x32(event):
    numbers = [0x40000000 | number for number in (0, 1, 39, 59, 165, 202, 272, 520, 547)]
    endings = {in_child(lambda: call(number, 0, 0, 0, 0)) for number in numbers}
    if endings == {"SIGSYS"}:
        call(0x40000000 | 39)
    return sorted(endings)


def int_80(event):
    # mov eax, 20 (getpid); int 0x80; ret
    code = b"\xb8\x14\x00\x00\x00\xcd\x80\xc3"
    ending = in_child(lambda: machine_code(code))
    if ending == "SIGSYS":
        machine_code(code)
    return ending


def unknown_numbers(event):
    return verdicts({str(number): (number, 0, 0, 0, 0, 0, 0)
                     for number in (-1, 337, 350, 423, 451, 463, 466, 999, 100_000, 0x3FFFFFFF)})


def ignored_bits(event):
    denied = set()
    for high in (0, *HIGH_BITS):
        for family in (16, 17, 38, 40, 44):
            denied.add(call(41, family | high, 2, 0))
        denied.add(call(41, 2, 3 | high, 0))
        denied.add(call(41, 2, 1, 132 | high))
        denied.add(call(16, 0, 0x5412 | high, 0))
        denied.add(call(72, 0, 1024 | high, 0))
        denied.add(call(157, 35 | high, 1, 0, 0, 0))
        denied.add(call(54, 0, 1 | high, 26, 0, 0))
        denied.add(call(135, 0x0040000 | high))
        denied.add(call(302, 1 | high, 7, 0, 0))
    allowed = {call(41, 1 | high, 1, 0) for high in HIGH_BITS}
    return [sorted(denied), sorted(allowed)]


def uprobes(event):
    """Newer kernels let uretprobe (335) past every filter and answer with SIGILL."""
    endings = {in_child(lambda: os._exit(10 if call(number, 0) in ("ENOSYS", "EPERM", "ENXIO")
                                         else 11)) for number in (335, 336)}
    return sorted(endings - {"SIGILL", "exit 10"})


def filters_and_prctl(event):
    table = {f"seccomp {operation}": (317, operation, flags, 0)
             for operation, flags in ((0, 0), (1, 0), (1, 8), (2, 0), (3, 0))}
    options = {"SET_SECCOMP": 22, "SET_MM": 35, "SET_PTRACER": 0x59616D61, "SET_DUMPABLE": 4,
               "SET_SECUREBITS": 28, "CAPBSET_DROP": 24, "CAP_AMBIENT": 47, "SET_KEEPCAPS": 8,
               "SET_SPECULATION_CTRL": 53, "SCHED_CORE": 62, "SET_CHILD_SUBREAPER": 36,
               "SET_SYSCALL_USER_DISPATCH": 59, "SET_MEMORY_MERGE": 67, "SET_TSC": 26}
    for name, option in options.items():
        for high in (0, *HIGH_BITS):
            table[f"{name} {high:x}"] = (157, option | high, 1, 0, 0, 0)
    return sorted(verdicts(table))


def personality(event):
    return [call(135, value) for value in (0x0040000, 0x0400000, 8, 0xFFFFFFFF)]


def memory_tricks(event):
    return verdicts({"modify_ldt": (154, 0, 0, 0), "remap_file_pages": (216, 0, 0, 0, 0, 0),
                     "tee": (276, 0, 1, 1, 0), "splice": (275, 0, 0, 1, 0, 1, 0),
                     "vmsplice": (278, 1, 0, 0, 0), "mbind": (237, 0, 0, 0, 0, 0, 0),
                     "set_mempolicy": (238, 0, 0, 0), "migrate_pages": (256, 0, 0, 0, 0),
                     "move_pages": (279, 0, 0, 0, 0, 0), "mlock": (149, 0, 0),
                     "mlockall": (151, 3), "memfd_secret": (447, 0)})


def socket_families(event):
    return sorted({call(41, family, kind, 0) for family in range(3, 47) if family != 10
                   for kind in (1, 2, 3, 4, 5, 6, 10)})


def socket_kinds(event):
    return verdicts({"raw v4": (41, 2, 3, 255), "raw icmp": (41, 2, 3, 1), "ping": (41, 2, 2, 1),
                     "ping v6": (41, 10, 2, 58), "raw v6": (41, 10, 3, 58),
                     "seqpacket": (41, 1, 5, 0), "mptcp": (41, 2, 1, 262),
                     "sctp": (41, 2, 1, 132), "udplite": (41, 2, 2, 136), "dccp": (41, 2, 6, 33),
                     "inet pair": (53, 2, 1, 0, 0), "seqpacket pair": (53, 1, 5, 0, 0)})


def system_v(event):
    return verdicts({"shmget": (29, 0, 4096, 0o1600), "shmat": (30, 0, 0, 0),
                     "shmctl": (31, 0, 0, 0), "semget": (64, 0, 1, 0o1600), "semop": (65, 0, 0, 0),
                     "semctl": (66, 0, 0, 0), "shmdt": (67, 0), "msgget": (68, 0, 0o1600),
                     "msgsnd": (69, 0, 0, 0, 0), "msgrcv": (70, 0, 0, 0, 0, 0),
                     "msgctl": (71, 0, 0, 0), "semtimedop": (220, 0, 0, 0, 0),
                     "mq_open": (240, 0, 0o102, 0o600, 0), "mq_unlink": (241, 0)})


def device_nodes(event):
    kinds = {"character": 0o020666, "block": 0o060666, "fifo": 0o010666, "socket": 0o140666}
    path = libc_string("/tmp/node")
    table = {f"mknod {name}": (133, path, mode, 0x103) for name, mode in kinds.items()}
    table |= {f"mknodat {name}": (259, -100, path, mode | high, 0x103)
              for name, mode in kinds.items() for high in (0, *HIGH_BITS)}
    return [sorted(verdicts(table)), os.path.exists("/tmp/node")]


kept = []


def libc_string(text):
    import ctypes

    kept.append(ctypes.create_string_buffer(text.encode()))
    return ctypes.addressof(kept[-1])


def set_user_id_files(event):
    shutil.copy("/usr/bin/id", "/tmp/id")
    os.chmod("/tmp/id", 0o6755)
    shown = subprocess.run(["/tmp/id", "-u"], capture_output=True, text=True).stdout.strip()
    capability = bytes.fromhex("0100000200000000002000000000000000000000")
    options = [line.split(" ")[5].split(",") for line in open("/proc/self/mountinfo")]
    return [shown, attempt(lambda: os.setxattr("/tmp/id", "security.capability", capability)),
            all("nosuid" in each for each in options if "rw" in each), "rw" in options[0]]


def capabilities(event):
    status = dict(line.rstrip("\n").split(":\t", 1) for line in open("/proc/self/status"))
    sets = {status[name] for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")}
    changes = verdicts({"capset": (126, 0, 0), "setuid": (105, 0), "setgid": (106, 0),
                        "setreuid": (113, 0, 0), "setregid": (114, 0, 0), "setgroups": (116, 0, 0),
                        "setresuid": (117, 0, 0, 0), "setresgid": (119, 0, 0, 0),
                        "setfsuid": (122, 0), "setfsgid": (123, 0)})
    return [sorted(sets), status["NoNewPrivs"], status["Seccomp"], sorted(changes)]


def terminals(event):
    requests = (0x5412, 0x541C, 0x540E, 0x5423, 0x5401 + 1, 0x8913, 0x541B - 0x100)
    return sorted({call(16, fd, request | high, 0) for fd in range(4) for request in requests
                   for high in (0, *HIGH_BITS)})


def out_of_band(event):
    """Urgent bytes on unix sockets: rarely used kernel code that sandboxes have been left by."""
    left, right = socket.socketpair()
    text = libc_string("x")
    import ctypes

    vector = (ctypes.c_ulong * 2)(text, 1)
    kept.append(vector)
    message = (ctypes.c_ulong * 7)(0, 0, ctypes.addressof(vector), 1, 0, 0, 0)
    kept.append(message)
    several = (ctypes.c_ulong * 8)(*message, 0)
    kept.append(several)
    fd = left.fileno()
    table = {"sendto": (44, fd, text, 1, 1, 0, 0),
             "sendto high": (44, fd, text, 1, 1 | 1 << 32, 0, 0),
             "sendmsg": (46, fd, ctypes.addressof(message), 1),
             "sendmmsg": (307, fd, ctypes.addressof(several), 1, 1)}
    return [verdicts(table), call(44, fd, text, 1, 0, 0, 0), right.recv(8).decode()]


def merged_memory(event):
    """Pages that the host may share between sandboxes tell what others have in theirs."""
    import mmap

    page = mmap.mmap(-1, 4096)
    import ctypes

    at = ctypes.addressof(ctypes.c_char.from_buffer(page))
    return [call(28, at, 4096, 12), call(28, at, 4096, 12 | 1 << 32), call(28, at, 4096, 4)]
