"""What the comparisons with gunicorn and uwsgi share: the same handler, called the same way."""

import json
import tempfile
import pathlib

import common
import measure

CLIENTS = 16
LARGE_BYTES = 1_000_000
ECHO = "def handler(event, context):\n    return event\n"
HELLO = common.EXAMPLES / "hello" / "hello.py"


def latency(share):
    return lambda found: found["latencyUs"][share]


def rate(found):
    return found["callsPerSecond"]


def medians(found, pick):
    return {name: common.median([pick(each) for each in results])
            for name, results in found.items()}


def measure_small(options, sides, clients):
    """Each side's rounds with so many clients, each with one call at a time."""
    return common.in_turns(options.rounds, {
        name: (lambda side=side: side.load(options.seconds, clients))
        for name, side in sides.items()})


def measure_large(options, sides):
    return common.in_turns(options.rounds, {
        name: (lambda side=side: side.load(options.seconds, 1))
        for name, side in sides.items()})


def with_large_input(side, folder, wrapped):
    """The same call with 1 MB in and out; `wrapped` as the bare application wants it."""
    text = json.dumps({"fill": "x" * LARGE_BYTES})
    path = pathlib.Path(folder, f"large-{wrapped}.json")
    path.write_text(json.dumps({"inputData": json.loads(text)}) if wrapped else text,
                    encoding="utf-8")
    return common.HttpSide(side.bench, side.server, [*side.arguments, "--input", f"@{path}"])


def uploaded(bench, server, folder):
    """Hearth's two functions: (small, large)."""
    echo = pathlib.Path(folder, "main.py")
    echo.write_text(ECHO, encoding="utf-8")
    small = common.hearth_side(bench, server, HELLO, "hello")
    small.arguments += ["--input", common.EVENT]
    return small, common.hearth_side(bench, server, echo, "main")


def rival_side(bench, server):
    small = ["--path", "/", "--post", "--input", json.dumps({"inputData": json.loads(
        common.EVENT)}), "--reconnect"]
    return common.HttpSide(bench, server, small)


def large_rival_side(bench, server):
    return common.HttpSide(bench, server, ["--path", "/", "--post", "--reconnect"])


def add_options(parser):
    parser.add_argument("--workers", type=int, default=4,
                        help="of the rival, and sandboxes of the function (4)")


def dev(options):
    return measure.hearth(common.hearth_binary(options.build),
                          ["--concurrency", str(options.workers)])


def compare(options, start_ours, start_rival, one_most=1.0, throughput_least=None,
            large_most=None):
    """Rows of one client, 16 clients and 1 MB; `start_ours(options)` and
    `start_rival(application)` are contexts of servers."""
    bench = common.bench_binary(options.build)
    with tempfile.TemporaryDirectory(prefix="hearth-compare-") as folder, \
            start_ours(options) as hearth, \
            start_rival("bare_wsgi") as small, start_rival("bare_echo") as large:
        ours, ours_large = uploaded(bench, hearth, folder)
        sides = {"hearth": ours, "rival": rival_side(bench, small)}
        one = measure_small(options, sides, 1)
        many = measure_small(options, sides, CLIENTS)
        larger = measure_large(options, {
            "hearth": with_large_input(ours_large, folder, False),
            "rival": with_large_input(large_rival_side(bench, large), folder, True)})
    return [
        row_of("warm, one client, p50", "µs", one, latency("p50"), most=one_most),
        row_of("warm, one client, p99", "µs", one, latency("p99")),
        row_of(f"{CLIENTS} clients, {options.workers} workers", "calls/s", many, rate,
               least=throughput_least),
        row_of(f"{CLIENTS} clients, p99", "µs", many, latency("p99"),
               most=1.0 if throughput_least else None),
        row_of("1 MB both ways, p50", "µs", larger, latency("p50"), most=large_most),
    ]


def row_of(what, unit, found, pick, **target):
    middle = medians(found, pick)
    return common.row(what, unit, middle["hearth"], middle["rival"], **target)
