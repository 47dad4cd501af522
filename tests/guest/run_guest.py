#!/usr/bin/python3
"""Boots Debian 12 with systemd and unified cgroups in an emulator, installs the package there, and
runs tests in it; their results are this program's.

The build machine's own kernel is not asked for anything: no KVM, no network, no mounts. The disk
comes from tools/guest-image; a second one, made here, holds the package and the tests. The guest's
second serial line carries what the tests print, and its first one the console, which is kept."""

import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parents[1]
MEMORY_MB = 2048
PROCESSORS = 2
SHARE_SPARE = 64 << 20  # of the second disk, for the file system itself
VERDICT = "GUEST-VERDICT "  # inside/run.py ends with a line that begins so

# What runs in the guest, in this order. Each is a command in the shared folder.
ATTACKS = ("resources", "kernel", "filesystem", "network", "protocol", "sandboxes", "layers")
SUITES = {
    "service": "tests/guest/inside/service_test.py",
    "sandbox": "sandbox_test",
    **{name: f"tests/attacks/{name}_test.py" for name in ATTACKS},
    "removal": "tests/guest/inside/removal_test.py",
}
# All but what runs every attack's server once more.
DEFAULT_SUITES = tuple(name for name in SUITES if name != "layers")
# Bounds for what hangs; a machine that does nothing else needs a tenth of the second.
SUITE_LIMIT_S = 1800
GUEST_LIMIT_S = 5400
# What rests on the kernel, without what counts in thousands or gigabytes.
SANDBOX_FILTER = "containment.*:life_cycle.*:outcome.*:parked.*:zygote.*:-*thousand*:*gigabyte*"


def fail(what, remedy):
    print(f"\nFAILED: {what}\n  do:    {remedy}", file=sys.stderr)
    sys.exit(1)


def image_for(package):
    made = subprocess.run([ROOT / "tools/guest-image", package], stdout=subprocess.PIPE, text=True,
                          check=False)
    if made.returncode != 0:
        fail("there is no disk to boot", "see above")
    return pathlib.Path(made.stdout.split()[-1])


def package_of(build):
    found = sorted((build / "package").glob("*.deb"))
    if len(found) != 1:
        fail(f"{build}/package has {len(found)} packages", f"tools/package --build {build}")
    return found[0]


def make_share(folder, package, build, suites):
    """The second disk: the package, the tests, what they run, and in which order."""
    content = folder / "content"
    content.mkdir()
    shutil.copy(package, content / "hearth.deb")
    for name in ("e2e", "attacks", "guest"):
        shutil.copytree(ROOT / "tests" / name, content / "tests" / name,
                        ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "inside/run.py", content / "run.py")
    for program in ("tests/sandbox/sandbox_test", "tests/attacks/hearth-sandboxd-weakened"):
        source = build / program
        if not source.exists():
            fail(f"{source} is not built", f"ninja -C {build} {source.name}")
        # Symbols are of no use in there, and most of the size.
        subprocess.run(["strip", "-o", content / source.name, source], check=True)
    plan = {"suites": [[name, SUITES[name], SUITE_LIMIT_S] for name in suites],
            "environment": {"GTEST_FILTER": SANDBOX_FILTER, "HEARTH_TEST_SLOWNESS": "4"}, "verdict": VERDICT}
    (content / "plan.json").write_text(json.dumps(plan), encoding="utf-8")
    size = sum(each.stat().st_size for each in content.rglob("*") if each.is_file())
    disk = folder / "share.img"
    subprocess.run(["mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", "-L", "hearth-share", "-d",
                    content, disk, f"{(size * 5 // 4 + SHARE_SPARE) >> 10}k"], check=True)
    return disk


def emulator(image, share, console):
    return [
        "nice", "-n", "10", "qemu-system-x86_64", "-M", "pc", "-accel", "tcg,thread=multi",
        "-cpu", "qemu64", "-smp", str(PROCESSORS), "-m", str(MEMORY_MB), "-no-reboot",
        "-nodefaults", "-display", "none", "-nic", "none",
        "-kernel", image / "vmlinuz", "-initrd", image / "initrd.img",
        "-append", "root=LABEL=hearth-root rw console=ttyS0 panic=-1 mitigations=off "
                   "systemd.unified_cgroup_hierarchy=1 systemd.show_status=auto",
        # What the guest writes goes to a temporary file; the kept disk stays as it was made.
        "-drive", f"file={image}/root.img,format=raw,if=virtio,snapshot=on",
        "-drive", f"file={share},format=raw,if=virtio,readonly=on",
        "-serial", f"file:{console}", "-serial", "stdio",
    ]


class Guest:
    """A running emulator: prints what its tests print, and keeps their verdict."""

    def __init__(self, command):
        self.began = time.monotonic()
        self.verdict = None
        self.timed_out = False
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                                        text=True, errors="replace")
        self.clock = threading.Timer(GUEST_LIMIT_S, self.end)
        self.clock.start()

    def end(self):
        self.timed_out = True
        self.process.kill()

    def follow(self):
        for line in self.process.stdout:
            line = line.rstrip("\r\n")
            if line.startswith(VERDICT):
                self.verdict = json.loads(line.removeprefix(VERDICT))
            else:
                print(f"[{time.monotonic() - self.began:5.0f} s] {line}", flush=True)
        self.process.wait()
        self.clock.cancel()


def judge(guest, suites, console):
    """What is wrong with the run; nothing when all is well."""
    if guest.timed_out:
        return ["the guest did not end in time"]
    if guest.verdict is None:
        return ["the guest ended without a verdict"]
    problems = []
    if not guest.verdict["unified"]:
        problems.append("the guest does not have unified cgroups alone")
    ran = guest.verdict["suites"]
    problems += [f"{name} did not run" for name in suites if name not in ran]
    problems += [f"{name} failed ({how['how']})" for name, how in ran.items() if not how["passed"]]
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--build", type=pathlib.Path, default=ROOT / "build/release",
                        help="a configured build folder with the package and the tests in it")
    parser.add_argument("--suites", default=",".join(DEFAULT_SUITES),
                        help=f"which of {','.join(SUITES)}; or all")
    arguments = parser.parse_args()
    suites = list(SUITES) if arguments.suites == "all" else arguments.suites.split(",")
    if unknown := set(suites) - set(SUITES):
        fail(f"no suite is called {unknown.pop()}", f"choose from {', '.join(SUITES)}")
    build = arguments.build.resolve()
    package = package_of(build)
    image = image_for(package)
    logs = build / "guest"
    logs.mkdir(exist_ok=True)
    console = logs / "console.log"
    with tempfile.TemporaryDirectory(prefix="hearth-guest-", dir="/var/tmp") as folder:
        share = make_share(pathlib.Path(folder), package, build, suites)
        os.environ["TMPDIR"] = folder  # for what the guest writes to its first disk
        guest = Guest(emulator(image, share, console))
        try:
            guest.follow()
        finally:
            guest.clock.cancel()
            if guest.process.poll() is None:
                guest.process.kill()
                guest.process.wait()
    problems = judge(guest, suites, console)
    if guest.verdict is not None:
        print(json.dumps(guest.verdict, indent=2))
    if problems:
        fail("; ".join(problems), f"read above, and the guest's console in {console}")
    print(f"passed in {time.monotonic() - guest.began:.0f} s: {', '.join(suites)}")


if __name__ == "__main__":
    main()
