#!/usr/bin/python3
"""Runs in the guest as root: installs the package, runs each suite of plan.json in its order, and
ends with one line for the other side of the serial line."""

import json
import os
import pathlib
import platform
import subprocess
import sys
import time

SHARE = pathlib.Path(__file__).resolve().parent
CGROUPS = pathlib.Path("/sys/fs/cgroup")
INSTALL_LIMIT_S = 300
# A runtime for the programs that are no part of the package.
ENVIRONMENT = {
    "HEARTH_BINARY": "/usr/bin/hearth",
    "HEARTH_SANDBOXD": "/usr/libexec/hearth/hearth-sandboxd",
    "HEARTH_RUNTIME": "/usr/share/hearth/runtimes/python",
    "HEARTH_WEAKENED_SANDBOXD": str(SHARE / "hearth-sandboxd-weakened"),
}


def has_unified_cgroups_alone():
    """One hierarchy, version 2, with the controllers; and none of version 1 beside it."""
    kinds = {line.split()[2] for line in pathlib.Path("/proc/mounts").read_text().splitlines()}
    wanted = {"memory", "pids", "cpu"}
    controllers = CGROUPS / "cgroup.controllers"
    return (CGROUPS.is_mount() and "cgroup2" in kinds and "cgroup" not in kinds
            and wanted <= set(controllers.read_text().split()))


def run(name, command, limit_s, environment):
    """How a command ended, its output going where ours goes."""
    print(f"== {name}", flush=True)
    began = time.monotonic()
    try:
        code = subprocess.run(command, env={**os.environ, **ENVIRONMENT, **environment},
                              stdin=subprocess.DEVNULL, timeout=limit_s, check=False).returncode
        how = f"exit status {code}"
    except subprocess.TimeoutExpired:
        code, how = 1, f"not done within {limit_s} s"
    return {"passed": code == 0, "how": how, "seconds": round(time.monotonic() - began)}


def command_of(path):
    program = str(SHARE / path)
    return [sys.executable, "-B", program] if path.endswith(".py") else [program]


def main():
    os.environ["LANG"] = "C.UTF-8"
    sys.stdout.reconfigure(line_buffering=True)
    plan = json.loads((SHARE / "plan.json").read_text())
    verdict = {"kernel": platform.release(), "unified": has_unified_cgroups_alone(), "suites": {}}
    print(f"Linux {verdict['kernel']}, unified cgroups: {verdict['unified']}")
    suites = verdict["suites"]
    suites["package"] = run("package", ["dpkg", "-i", str(SHARE / "hearth.deb")], INSTALL_LIMIT_S,
                            {"DEBIAN_FRONTEND": "noninteractive"})
    for name, path, limit_s in plan["suites"] if suites["package"]["passed"] else ():
        suites[name] = run(name, command_of(path), limit_s, plan["environment"])
    journal = subprocess.run(["journalctl", "-b", "-u", "hearth.service", "--no-pager", "-n", "40"],
                             capture_output=True, text=True, check=False)
    if not all(each["passed"] for each in suites.values()):
        print(journal.stdout)
    print(plan["verdict"] + json.dumps(verdict))


if __name__ == "__main__":
    main()
