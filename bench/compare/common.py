"""Shared by the comparisons: their options, sides that speak HTTP, rows with ratios.

Each script compares Hearth with one rival in one run: both sides up, rounds in turns, medians of
the rounds. With --json it prints one object that `all` makes tables of:
  {"comparison", "rival", "rows": [{"what", "unit", "hearth", "rival", "ratio", "target", "held"}],
   "notes": […]}
`ratio` is Hearth's figure by the rival's; `target` bounds it from above or below.
"""

import argparse
import contextlib
import datetime
import json
import os
import pathlib
import platform
import re
import socket
import statistics
import subprocess
import sys

sys.dont_write_bytecode = True
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
import measure  # noqa: E402

BUILD = measure.ROOT / "build" / "release"
PEERS = measure.ROOT / "bench" / "peers"
EXAMPLES = measure.ROOT / "runtimes" / "python" / "examples"
EVENT = json.dumps({"name": "Ada"})
# A load that takes this much longer than it was to last hangs.
LOAD_GRACE_SECONDS = 120


def parser(text, rounds, seconds=2.0):
    made = argparse.ArgumentParser(
        description=text, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--build", type=pathlib.Path, default=BUILD, help="build/release")
    made.add_argument("--rounds", type=int, default=rounds, help=f"turns of each side ({rounds})")
    made.add_argument("--seconds", type=float, default=seconds,
                      help=f"of each turn ({seconds:g})")
    made.add_argument("--json", action="store_true", help="print the figures as JSON")
    return made


def hearth_binary(build):
    return measure.need_binary(build / "src" / "bin" / "hearth", "hearth")


def bench_binary(build):
    return measure.need_binary(build / "bench" / "load" / "hearth-bench", "hearth-bench")


def median(values):
    return statistics.median(values)


def in_turns(rounds, sides):
    """{name: [what side() answered, …]}: each side once a round, the first of them in turn too."""
    found = {name: [] for name in sides}
    names = list(sides)
    for number in range(rounds):
        shift = number % len(names)
        for name in names[shift:] + names[:shift]:
            found[name].append(sides[name]())
    return found


def row(what, unit, hearth, rival, most=None, least=None):
    ratio = hearth / rival if rival else float("inf")
    target, held = None, None
    if most is not None:
        target, held = f"at most {most:g}×", ratio <= most
    if least is not None:
        target, held = f"at least {least:g}×", ratio >= least
    return {"what": what, "unit": unit, "hearth": hearth, "rival": rival, "ratio": ratio,
            "target": target, "held": held}


def figure(value):
    return f"{value:,.0f}" if value >= 100 else f"{value:,.2f}"


def cells(each):
    held = {None: "", True: "yes", False: "no"}[each["held"]]
    return [each["what"], each["unit"], figure(each["hearth"]), figure(each["rival"]),
            f"{each['ratio']:.2f}×", each["target"] or "", held]


def finish(options, comparison, rival, rows, notes=()):
    """Prints what was found; exits 1 where a target is missed."""
    found = {"comparison": comparison, "rival": rival, "rows": rows, "notes": list(notes)}
    if options.json:
        print(json.dumps(found))
    else:
        heads = ["what", "unit", "Hearth", rival, "ratio", "target", "held"]
        table = [heads, *(cells(each) for each in rows)]
        widths = [max(len(line[i]) for line in table) for i in range(len(heads))]
        for line in table:
            print("  ".join(cell.ljust(width) for cell, width in zip(line, widths)).rstrip())
        for note in notes:
            print(note)
    sys.exit(1 if any(each["held"] is False for each in rows) else 0)


def version_of(command, pattern=r"(\d+\.\d[\w.+-]*)"):
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    found = re.search(pattern, done.stdout + done.stderr)
    return found[1] if found else "unknown"


def processor():
    found = re.search(r"model name\s*: (.*)",
                      pathlib.Path("/proc/cpuinfo").read_text(encoding="utf-8"))
    return found[1] if found else platform.machine()


def machine(loads):
    python = version_of(["/usr/bin/python3", "--version"])
    return (f"{datetime.date.today().isoformat()}, {processor()} × {os.cpu_count()}, Linux "
            f"{platform.release()}, Python {python}, load {loads[0]:.1f} to {max(loads):.1f}.")


def write_between(page, begin, end, text):
    """Puts `text` between two lines of a page, in the place of what stood there."""
    before, found_begin, rest = page.read_text(encoding="utf-8").partition(begin)
    _, found_end, after = rest.partition(end)
    if not found_begin or not found_end:
        measure.fail(f"{page} has lost its markers", f"put back {begin} and {end}")
    page.write_text(f"{before}{begin}\n\n{text}\n{end}{after}", encoding="utf-8")


class HttpSide:
    """What one server answers to hearth-bench, with the arguments that make the same call."""

    def __init__(self, bench, server, arguments, key=True):
        self.bench, self.server, self.arguments = bench, server, list(arguments)
        self.key = ["--api-key", measure.API_KEY] if key else []

    def command(self, seconds, connections, *more):
        return [str(self.bench), f"127.0.0.1:{self.server.port}", *self.key, "--json",
                "--duration", f"{seconds:g}", "--warm-up", "0.3",
                "--connections", str(connections), *self.arguments, *more]

    def load(self, seconds, connections, *more):
        command = self.command(seconds, connections, *more)
        done = subprocess.run(command, capture_output=True, text=True, check=False,
                              timeout=seconds + LOAD_GRACE_SECONDS)
        if done.returncode != 0:
            measure.fail(f"{' '.join(command)}:\n{done.stdout[-500:]}{done.stderr}",
                         "mend what it names")
        return json.loads(done.stdout)


def hearth_side(bench, server, source, name):
    return HttpSide(bench, server, ["--function-id", measure.upload(server, source, name)])


@contextlib.contextmanager
def free_port():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        yield taken.getsockname()[1]


@contextlib.contextmanager
def uwsgi(application, workers):
    """Debian's uwsgi with its plugin for Python 3, serving bench/peers/<application>.py."""
    program = measure.need_program("uwsgi")
    with free_port() as port:
        pass
    command = [program, "--plugin", "python3", "--http-socket", f"127.0.0.1:{port}", "--master",
               "--processes", str(workers), "--chdir", str(PEERS), "--module",
               f"{application}:application", "--need-app", "--disable-logging", "--die-on-term",
               "--buffer-size", "65535", "--listen", "100"]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        measure.wait_for("uwsgi", process, lambda: measure.accepts(port))
        yield measure.Server(process, port)
    finally:
        measure.stop(process)
