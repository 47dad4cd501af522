#!/usr/bin/python3
"""B: the file system and /proc. Archives are attacked in tests/e2e/archives_test.py (group 39)."""

import hashlib
import os
import pathlib

from attack import (AttackTest, CANARY, LANDLOCK_TRUNCATES, fails_with, group, landlock_abi, main,
                    succeeds_if, succeeds_with)
from server import API_KEY


def denied(*errnos):
    """Nothing worked, and each refusal is one of these."""
    def judge(test, result):
        test.assertLessEqual(set(result), set(errnos), result)

    return succeeds_if(judge)


def all_read_only(test, result):
    """What exists is protected by its owner too; that nothing can be added, by the mounts alone."""
    test.assertLessEqual(set(result), {"EROFS", "EPERM", "EACCES", "EOPNOTSUPP"}, result)
    added = {name for names in result.values() for name in names
             if name.startswith(("create", "mkdir"))}
    test.assertLessEqual(added, set(result["EROFS"]), result)


def nothing_found(test, result):
    test.assertEqual(result, [])


class FilesystemTest(AttackTest):
    functions = "filesystem"
    groups = (
        group("28", "root and code are read only", "read_only", succeeds_if(all_read_only)),
        group("28b", "no link joins the code and a writable folder", "links_out_of_the_code",
              denied("EXDEV", "EROFS", "EACCES")),
        group("28c", "device nodes carry no marks", "marked_devices", succeeds_if(
            lambda test, result: test.assertLessEqual(set(result), {"EROFS", "EPERM"}))),
        group("31", "kernel tables and devices are absent", "kernel_tables",
              succeeds_if(nothing_found)),
        group("32", "the process cannot change its own standing", "own_proc_files",
              succeeds_if(lambda test, result: test.assertEqual(
                  [sorted(set(result[0]) - {"projid_map"}), result[1]], [[], []]))),
        group("32b", "the function sees names of its own", "own_place",
              succeeds_with([["0::/"], ["1000", "1000", "1"], "sandbox"])),
        group("32c", "Landlock stands behind the mounts", "cut_short",
              succeeds_with(["EACCES" if landlock_abi() >= LANDLOCK_TRUNCATES else "ok", "ok"])),
        group("35", "inodes end before the host's memory", "fill_with_inodes",
              succeeds_with([True, "ENOSPC", True, "ENOSPC"]), memoryMb=256),
        group("35b", "odd files are the sandbox's own affair", "odd_files",
              succeeds_if(lambda test, result: test.assertEqual(
                  result[:4], ["EFBIG", "EFBIG", "ENAMETOOLONG", "ok"])), memoryMb=256),
        group("35c", "a full tmp ends the sandbox and nothing else", "fill_tmp",
              fails_with("Runtime.OutOfMemory")),
        group("36", "shared memory ends at its limit", "fill_shared_memory",
              succeeds_with(["ENOSPC", True]), memoryMb=256),
        group("37", "programs run from tmp and not from shared memory", "run_own_programs",
              succeeds_with(["ok", "EACCES"])),
        group("38", "pages of a file cut short hurt their reader alone", "vanishing_pages",
              succeeds_with("SIGBUS")),
    )

    def host_paths(self):
        """Files that the host has and no sandbox may see."""
        secret = pathlib.Path(self.server.folder) / "secret"
        secret.write_text(CANARY)
        return [str(secret), self.server.data_dir, "/etc/shadow", "/root"]

    def test_29_no_walk_leaves_the_root(self):
        self.check_group(group("29", "", "walk_out", succeeds_if(nothing_found),
                               {"paths": self.host_paths()}))

    def test_30_the_servers_environment_is_nowhere(self):
        self.check_group(group("30", "", "environment_secrets", succeeds_with([[], 0, []]),
                               {"letters": list(CANARY), "key_letters": list(API_KEY)}))

    def test_33_pages_of_host_files_stay_as_they_are(self):
        libraries = [path for path in pathlib.Path("/usr/lib").rglob("libc.so.6")
                     if not path.is_symlink()]
        hashes = [hashlib.sha256(path.read_bytes()).digest() for path in libraries]
        body = self.check_group(group("33", "", "shared_pages", succeeds_if(
            lambda test, result: test.assertEqual(result[1:], [True, "EACCES", "EACCES"]))))
        self.assertIn(os.path.realpath(body["result"][0]),
                      [os.path.realpath(path) for path in libraries])
        self.assertEqual(hashes, [hashlib.sha256(path.read_bytes()).digest()
                                  for path in libraries])

    def test_34_planted_links_lead_nowhere(self):
        self.check_group(group("34", "", "planted_links", denied_list("ENOENT", "ENXIO", "ELOOP"),
                               {"paths": self.host_paths()}))


def denied_list(*errnos):
    return succeeds_if(lambda test, result: test.assertLessEqual(set(result), set(errnos)))


if __name__ == "__main__":
    main()
