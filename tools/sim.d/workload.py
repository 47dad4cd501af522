"""Where times and popularity come from: measured distributions, and spreads known by two points."""

import bisect
import dataclasses
import math
import pathlib

# The 90th percentile of the normal distribution, in standard deviations.
NORMAL_P90 = 1.2815515655446004
EXECUTION_FILE = "serverlessbench-execTimeCDF.csv"
CALLS_FILE = "serverlessbench-invokesCDF.csv"
MEMORY_FILE = "serverlessbench-memCDF.csv"
# docs/api.md: what a function may ask for.
MEMORY_MB_MIN = 128
MEMORY_MB_MAX = 10_240


class Distribution:
    """Lines of "value,cumulative share": the form in which ServerlessBench (Testcase11) publishes
    what was measured on Azure Functions: mean milliseconds of a function, its calls in a day, its
    megabytes."""

    def __init__(self, points):
        if not points:
            raise ValueError("a distribution has at least one line of value,share")
        for before, after in zip(points, points[1:]):
            if after[0] < before[0] or after[1] < before[1]:
                raise ValueError(f"values and shares must not fall: {before} before {after}")
        if points[0][1] < 0 or points[-1][1] > 1:
            raise ValueError("shares lie in 0 to 1")
        self._values = [value for value, _ in points]
        self._shares = [share for _, share in points]

    @classmethod
    def read(cls, path):
        try:
            lines = pathlib.Path(path).read_text(encoding="ascii").splitlines()
            points = [tuple(map(float, line.split(","))) for line in lines]
            return cls([(value, share) for value, share in points])
        except ValueError as reason:
            raise ValueError(f"{path}: {reason}") from None

    def at_share(self, share):
        """The smallest value whose share is at least this; the last where shares end below 1."""
        at = bisect.bisect_left(self._shares, share)
        return self._values[min(at, len(self._values) - 1)]


@dataclasses.dataclass(frozen=True)
class Spread:
    """A logarithmic normal distribution with this median and 90th percentile, in seconds: what
    start and request times look like, at least as far as two points can tell."""

    p50: float = 0.0
    p90: float = 0.0

    @classmethod
    def parse(cls, text):
        """Milliseconds: "4.1,12.7" for p50 and p90, "5" for always the same."""
        parts = [float(part) / 1000 for part in text.split(",")]
        if len(parts) > 2 or parts[0] < 0 or parts[-1] < parts[0]:
            raise ValueError(f"{text}: write P50,P90 in milliseconds, or one number")
        return cls(parts[0], parts[-1])

    def draw(self, random):
        if self.p90 <= self.p50 or self.p50 <= 0:
            return self.p50
        return self.p50 * math.exp(
            random.gauss(0, 1) * math.log(self.p90 / self.p50) / NORMAL_P90)

    def __str__(self):
        return f"{self.p50 * 1000:g},{self.p90 * 1000:g}"


@dataclasses.dataclass(frozen=True)
class Function:
    number: int
    weight: float  # of its calls among all
    mean_s: float
    memory_mb: int


def shares_in_random_order(count, random):
    """The middles of `count` equal parts: a sample that has the distribution's tails as often as it
    should, whatever the seed."""
    shares = [(index + 0.5) / count for index in range(count)]
    random.shuffle(shares)
    return shares


def functions_of(settings, random):
    """The functions that are called, the traces' where a folder of them is given."""
    count = settings.functions
    if not settings.traces:
        return [Function(index, 1 / (index + 1), settings.execution_ms / 1000, settings.memory_mb)
                for index in range(count)]
    folder = pathlib.Path(settings.traces)
    columns = []
    for name in (CALLS_FILE, EXECUTION_FILE, MEMORY_FILE):
        read = Distribution.read(folder / name)
        columns.append([read.at_share(share) for share in shares_in_random_order(count, random)])
    return [Function(index, calls, min(max(milliseconds / 1000, 0.001), settings.execution_max_s),
                     int(min(max(memory, MEMORY_MB_MIN), MEMORY_MB_MAX)))
            for index, (calls, milliseconds, memory) in enumerate(zip(*columns))]


def mean_execution_s(functions):
    total = sum(each.weight for each in functions)
    return sum(each.weight * each.mean_s for each in functions) / total


def length_of_call(function, settings, random):
    """Seconds that one call runs."""
    if settings.execution == "constant":
        return function.mean_s
    return min(random.expovariate(1 / function.mean_s), settings.execution_max_s)
