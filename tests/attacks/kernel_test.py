#!/usr/bin/python3
"""A: escape through the kernel's interfaces."""

from attack import AttackTest, fails_with, group, main, succeeds_if, succeeds_with


def all_answer(verdict):
    return succeeds_if(lambda test, result: test.assertEqual(list(result), [verdict], result))


def split(test, result, denied, absent):
    """Every call is either denied or claimed absent, as named."""
    test.assertEqual({key: sorted(names) for key, names in result.items()},
                     {"EPERM": sorted(denied), "ENOSYS": sorted(absent)})


SIGSYS = fails_with("Sandbox.PolicyViolation", "SIGSYS")


class KernelTest(AttackTest):
    functions = "kernel"
    groups = (
        group("01", "mounts are denied", "mounts", all_answer("EPERM")),
        group("02", "the newer mount calls are absent", "mount_descriptors", all_answer("ENOSYS")),
        group("03", "no namespace can be left", "unshare", all_answer("EPERM")),
        group("04", "no child gets a namespace", "clone_namespaces", all_answer("EPERM")),
        group("05", "clone3 is absent and threads and programs start without it", "clone3",
              succeeds_with(["ENOSYS", "ENOSYS", 1, "ran"])),
        group("06", "no namespace can be entered", "setns",
              succeeds_with([["EPERM"], "EPERM", "ENOENT"])),
        group("07", "no process reads another", "other_processes_memory", succeeds_if(
            lambda test, result: split(test, result, ["ptrace", "ptrace me", "kcmp"],
                                       ["process_vm_readv", "process_vm_writev", "pidfd_getfd",
                                        "process_madvise", "process_mrelease"]))),
        group("08", "the large interfaces are absent", "large_interfaces", succeeds_if(
            lambda test, result: split(test, result, ["fanotify_init", "fanotify_mark"],
                                       ["bpf", "perf_event_open", "userfaultfd", "io_uring_setup",
                                        "io_uring_enter", "io_uring_register"]))),
        group("09", "there are no keyrings", "keys", all_answer("ENOSYS")),
        group("10", "the machine cannot be administered", "administration", all_answer("EPERM")),
        group("11", "clocks cannot be set", "clocks", all_answer("EPERM")),
        group("12", "files cannot be opened by handle", "file_handles", all_answer("EPERM")),
        group("13", "the x32 interface kills", "x32", SIGSYS),
        group("14", "the 32-bit interface kills", "int_80", SIGSYS),
        group("15", "unknown numbers are absent", "unknown_numbers", all_answer("ENOSYS")),
        group("16", "bits that the kernel ignores change no verdict", "ignored_bits",
              succeeds_with([["EPERM"], ["ok"]])),
        group("17", "probe calls hurt nobody else", "uprobes", succeeds_with([])),
        group("18", "filters and process attributes stay as they are", "filters_and_prctl",
              succeeds_with(["EPERM"])),
        group("19", "address randomisation stays on", "personality",
              succeeds_with(["EPERM", "EPERM", "EPERM", "ok"])),
        group("20", "odd memory calls are denied", "memory_tricks", succeeds_if(
            lambda test, result: test.assertEqual(
                (sorted(result), result["ENOSYS"]), (["ENOSYS", "EPERM"], ["memfd_secret"])))),
        group("21", "only unix and internet sockets exist", "socket_families",
              succeeds_with(["EPERM"])),
        group("22", "no raw sockets and no odd protocols", "socket_kinds", all_answer("EPERM")),
        group("23", "no System V objects and no message queues", "system_v",
              all_answer("EPERM")),
        group("24", "no device nodes", "device_nodes", succeeds_with([["EPERM"], False])),
        group("25", "no file gives privileges", "set_user_id_files",
              succeeds_with(["1000", "EPERM", True, False])),
        group("26", "no capabilities and no way to any", "capabilities",
              succeeds_with([["0000000000000000"], "1", "2", ["EPERM"]])),
        group("27", "nothing can be typed into a terminal", "terminals",
              succeeds_with(["EPERM"])),
        group("27b", "no urgent bytes on unix sockets", "out_of_band", succeeds_with(
            [{"EPERM": ["sendto", "sendto high", "sendmsg", "sendmmsg"]}, "ok", "x"])),
        group("27c", "no memory is offered for merging", "merged_memory",
              succeeds_with(["EPERM", "EPERM", "ok"])),
    )


if __name__ == "__main__":
    main()
