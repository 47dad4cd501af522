"""C: reaching anything over any kind of socket."""

import array
import os
import socket

from probe import (attempt, call, dispatch, frame, name_process, nonce_of_this_call, send,
                   until_refused, wait_for_ever)

handler = dispatch(globals())

V4, V6 = socket.AF_INET, socket.AF_INET6


def dial(family, address, kind=socket.SOCK_STREAM):
    with socket.socket(family, kind) as end:
        end.settimeout(5)
        return attempt(lambda: end.connect(address))


def dial_everywhere(event):
    """The cloud's metadata service, this host's services, private networks, name servers."""
    four = ["169.254.169.254", "169.254.170.2", "127.0.0.1", "127.1.2.3", "0.0.0.0", "10.0.0.1",
            "172.17.0.1", "192.168.0.1", "8.8.8.8", "224.0.0.1", *event["host_addresses"]]
    six = ["::1", "fd00:ec2::254", "::ffff:169.254.169.254", "::ffff:127.0.0.1", "2001:4860::8888",
           "ff02::1"]
    ports = [80, 53, 6379, *event["ports"]]
    answers = {dial(V4, (address, port)) for address in four for port in ports}
    answers |= {dial(V6, (address, port)) for address in six for port in ports}
    with socket.socket(V4, socket.SOCK_DGRAM) as end:
        answers |= {attempt(lambda: end.sendto(b"x", (address, port)))
                    for address in four for port in ports if address != "0.0.0.0"}
        # Taken for loopback, which is down: accepted and dropped.
        for port in ports:
            end.sendto(b"x", ("0.0.0.0", port))
    try:
        socket.getaddrinfo("example.com", 80)
        answers.add("resolved")
    except socket.gaierror:
        pass
    return sorted(answers)


def dial_abstract(event):
    names = ["\0" + event["name"], "\0/tmp/.X11-unix/X0", "\0/org/freedesktop/systemd1/notify"]
    return sorted({dial(socket.AF_UNIX, name, kind) for name in names
                   for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM)})


def dial_paths(event):
    paths = ["/run/docker.sock", "/var/run/docker.sock", "/run/systemd/notify", "/run/dbus/system",
             "/run/systemd/private", "/dev/log", *event["paths"]]
    return sorted({dial(socket.AF_UNIX, path) for path in paths})


def serve_neighbours(event):
    """Listens wherever two sandboxes could meet, and says so by its name."""
    abstract = socket.socket(socket.AF_UNIX)
    abstract.bind("\0meeting-point")
    abstract.listen()
    path = socket.socket(socket.AF_UNIX)
    path.bind("/tmp/meeting-point")
    path.listen()
    shared = socket.socket(socket.AF_UNIX)
    shared.bind("/dev/shm/meeting-point")
    shared.listen()
    local = socket.socket(V4)
    local.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
    local.bind(("0.0.0.0", 7777))
    local.listen()
    name_process("listening")
    wait_for_ever()


def visit_neighbours(event):
    return [dial(socket.AF_UNIX, "\0meeting-point"), dial(socket.AF_UNIX, "/tmp/meeting-point"),
            dial(socket.AF_UNIX, "/dev/shm/meeting-point"), dial(V4, ("127.0.0.1", 7777)),
            attempt(lambda: socket.socket(V4).bind(("0.0.0.0", 7777)))]


def interfaces(event):
    """The one interface is down, and nothing here may bring it up or filter on it."""
    end = socket.socket(V4)
    options = {"ATTACH_FILTER": (1, 26), "ATTACH_BPF": (1, 50), "ATTACH_REUSEPORT_CBPF": (1, 51),
               "ATTACH_REUSEPORT_EBPF": (1, 52), "BINDTODEVICE": (1, 25), "MARK": (1, 36),
               "BUSY_POLL": (1, 46), "ZEROCOPY": (1, 60), "TXTIME": (1, 61), "TCP_ULP": (6, 31),
               "TCP_REPAIR": (6, 19), "TCP_CONGESTION": (6, 13), "IPT_SO_SET_REPLACE": (0, 64),
               "IP_OPTIONS": (0, 4), "IP_ADD_MEMBERSHIP": (0, 35), "IPV6_RTHDR": (41, 57),
               "IPSEC_POLICY": (0, 16)}
    denied = {call(54, end.fileno(), level, name | high, 0, 0)
              for level, name in options.values() for high in (0, 1 << 32)}
    denied |= {call(16, end.fileno(), request, 0) for request in (0x8914, 0x8916, 0x890B, 0x8933,
                                                                  0x8946, 0x89A0, 0x89F0)}
    return [sorted(denied), attempt(socket.if_nameindex)]


def descriptor_bomb(event):
    """Descriptors to the worker, which asked for none: with bytes of a frame, and alone."""
    pairs = [os.open("/dev/null", os.O_RDONLY) for _ in range(20)]
    control = socket.socket(fileno=os.dup(3))
    answer = frame(nonce_of_this_call(), b'"with luggage"')
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", pairs))]
    for byte in answer:
        control.sendmsg([bytes([byte])], rights)
    wait_for_ever()


def descriptor_cycle(event):
    """The stream's own end through itself, a cycle that only a collector can free."""
    control = socket.socket(fileno=os.dup(3))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [3, control.fileno()]))]
    control.settimeout(2)
    refused = until_refused(lambda: control.sendmsg([b"x"], rights), 100_000)
    return refused[1]


def flood_own_sockets(event):
    """Buffers of sockets that nobody reads are the sandbox's memory."""
    held = []

    def one_more():
        left, right = socket.socketpair()
        left.setblocking(False)
        held.extend((left, right))
        until_refused(lambda: left.send(b"x" * 65_536), 10_000)

    return until_refused(one_more, 10_000)[1]


def forged_with_rights(event):
    control = socket.socket(fileno=os.dup(3))
    rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [0, 1, 2]))]
    control.sendmsg([b"not a frame"], rights)
    send(b"\0" * 64)
    wait_for_ever()
