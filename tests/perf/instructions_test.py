#!/usr/bin/python3
"""A warm call's paths through HTTP, JSON and frames take no more instructions than they did.

valgrind counts them, so that a busy machine does not matter; they depend on compiler and libraries,
so that with other ones there is nothing to compare with, and the test says so and is skipped. Each
figure is the difference of two runs, hence without the program's start.

After a change that is meant to cost, or to save: instructions_test.py --update writes the figures.
"""

import json
import os
import pathlib
import re
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
STORED = HERE / "instructions.json"
DEFAULT = HERE.parents[1] / "build" / "release" / "tests" / "perf" / "hearth-perf-paths"
PROGRAM = os.environ.get("HEARTH_PERF_PATHS", str(DEFAULT))
SLACK = 0.10
FEW, MANY = 200, 1200
SKIPPED = 77


def under_valgrind(*arguments):
    return subprocess.run(
        ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", PROGRAM, *arguments],
        capture_output=True, text=True, check=True)


def instructions(path, times):
    found = re.search(r"Collected : (\d+)", under_valgrind(path, str(times)).stderr)
    return int(found[1])


def measured():
    paths = subprocess.run([PROGRAM], capture_output=True, text=True, check=True).stdout.split()
    return {path: round((instructions(path, MANY) - instructions(path, FEW)) / (MANY - FEW))
            for path in paths}


def toolchain():
    # By valgrind too: it offers its own choice of processor features.
    return json.loads(under_valgrind("toolchain").stdout)


def compare(figures, stored):
    """The paths that take more than they may; one line each."""
    exceeded = []
    for path, now in figures.items():
        before = stored.get(path)
        if before is None:
            exceeded.append(f"{path}: {now} instructions, and none stored: run --update")
            continue
        allowed = before * (1 + SLACK)
        print(f"{path:<22}{now:>9} instructions, {before} stored, {allowed:.0f} allowed")
        if now > allowed:
            exceeded.append(f"{path}: {now} instructions, {allowed:.0f} allowed")
        elif now < before * (1 - SLACK):
            print(f"  {path} has become cheaper: --update keeps it so")
    return exceeded


def main():
    if shutil.which("valgrind") is None:
        print("NOT RUN: valgrind is absent; apt-get install valgrind")
        return SKIPPED
    tools = toolchain()
    if "--update" in sys.argv:
        found = {"toolchain": tools, "instructions": measured()}
        STORED.write_text(json.dumps(found, indent=2) + "\n", encoding="utf-8")
        return 0
    stored = json.loads(STORED.read_text(encoding="utf-8"))
    if stored["toolchain"] != tools:
        print(f"NOT RUN: the figures are of {stored['toolchain']}, this is {tools}: with "
              "--update they become this one's")
        return SKIPPED
    exceeded = compare(measured(), stored["instructions"])
    print("\n".join(exceeded))
    return 1 if exceeded else 0


if __name__ == "__main__":
    sys.exit(main())
