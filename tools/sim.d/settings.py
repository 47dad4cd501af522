"""What can be set, its default, and where the default is from: one place for options and files."""

import dataclasses

from workload import Spread


def _setting(default, help_text, kind=None, choices=None):
    metadata = {"help": help_text, "kind": kind or type(default), "choices": choices}
    return dataclasses.field(default=default, metadata=metadata)


def _spread(p50_ms, p90_ms, help_text):
    return _setting(Spread(p50_ms / 1000, p90_ms / 1000), f"{help_text}; P50,P90 in ms",
                    Spread.parse)


def _range(text):
    """Two seconds, between which all are as likely."""
    low, _, high = text.partition(",")
    found = (float(low), float(high or low))
    if not 0 <= found[0] <= found[1]:
        raise ValueError(f"{text}: write LOW,HIGH in seconds")
    return found


def _surge(text):
    """START:END:FACTOR, the rate's factor within these seconds."""
    start, end, factor = map(float, text.split(":"))
    if not 0 <= start < end or factor < 0:
        raise ValueError(f"{text}: write START:END:FACTOR in seconds")
    return (start, end, factor)


@dataclasses.dataclass
class Settings:
    """Names are those of the options with _ for -. Whoever changes fields calls check() after."""

    # What is asked of the fleet.
    seed: int = _setting(1, "the same seed and settings have the same outcome")
    duration_s: float = _setting(600.0, "seconds in which calls and jobs arrive")
    warmup_s: float = _setting(0.0, "delays of what arrives before this are left out")
    rate: float = _setting(10.0, "arrivals per second (a Poisson process)")
    load: float = _setting(0.0, "in place of --rate: so that executions keep this share of the job"
                           " slots of --workers busy")
    surge: tuple = _setting(None, "START:END:FACTOR: the rate's factor within these seconds",
                            _surge)
    async_share: float = _setting(0.5, "share of arrivals that are jobs (x-async), not calls")
    functions: int = _setting(50, "functions that are called")
    traces: str = _setting("", "folder of the ServerlessBench distributions: popularity, mean"
                           " execution time and memory of functions; without it popularity is"
                           " 1/rank and all functions are alike")
    execution_ms: float = _setting(100.0, "mean execution time without --traces")
    execution: str = _setting("exponential", "how single executions lie around their function's"
                              " mean", choices=("exponential", "constant"))
    execution_max_s: float = _setting(900.0, "longest execution (timeoutMs at its largest)")
    memory_mb: int = _setting(128, "memoryMb of functions without --traces")

    # The fleet.
    workers: int = _setting(1, "workers at the start")
    controllers: int = _setting(1, "controllers; each has the lanes of its share of the workers")
    budget_mb: int = _setting(6144, "MAX_MEMORY_MB of a worker: 3/4 of an 8 GB host")
    job_concurrency: int = _setting(8, "HEARTH_JOB_CONCURRENCY")
    lane_concurrency: int = _setting(0, "LANE_CONCURRENCY; 0: budget / 128 MB, 1,024 at most")
    function_concurrency: int = _setting(16, "HEARTH_CONCURRENCY: one function's sandboxes on a"
                                         " worker")
    parked: int = _setting(5, "WARM_POOL_PYTHON_SIZE")
    parked_refill_ms: float = _setting(170.0, "between two parked sandboxes: 8.4 ms of processor"
                                       " time each (docs/performance.md) at a twentieth of a"
                                       " processor")
    idle_ttl_s: float = _setting(600.0, "HEARTH_IDLE_TTL_SECONDS")
    grace_s: float = _setting(25.0, "HEARTH_GRACE_SECONDS: of a worker that is ended")
    visibility_s: float = _setting(30.0, "after which jobs of a vanished worker come back")
    credit_wait_s: float = _setting(1.0, "after which a call without credit goes through the queue")
    caller_deadline_s: float = _setting(60.0, "after which a caller has its 504")
    failures_per_hour: float = _setting(0.0, "of one worker: it vanishes and is replaced")

    # Service times.
    start_parked_ms: Spread = _spread(4.08, 12.65, "first call with a parked sandbox"
                                      " (docs/performance.md, `/run`, parked)")
    start_anew_ms: Spread = _spread(9.71, 17.73, "first call without"
                                    " (docs/performance.md, `/run`, nothing parked)")
    code_ms: Spread = _spread(40, 100, "fetching code that a worker has not; assumed")
    lane_ms: Spread = _spread(0.5, 1.0, "warm call from the controller to its handler over the"
                              " lane; within one zone, assumed")
    controller_ms: float = _setting(0.5, "of the controller's loop for each call or job"
                                    " (docs/scaling.md, Service times)")
    worker_ms: float = _setting(0.7, "of the worker's loop for each (docs/scaling.md, Service"
                                " times)")
    send_ms: Spread = _spread(12, 25, "accepting a job: record and message; assumed")
    receive_ms: Spread = _spread(8, 20, "from a visible message to the worker that waits for it;"
                                 " assumed")
    job_before_ms: Spread = _spread(10, 20, "looking the function up, recording RUNNING; assumed")
    job_after_ms: Spread = _spread(15, 30, "recording the outcome, deleting the message; assumed")

    # Auto Scaling.
    scaling: bool = _setting(False, "let the fleet grow and shrink by its backlog")
    workers_min: int = _setting(1, "the group's smallest size")
    workers_max: int = _setting(100, "the group's largest size")
    target: float = _setting(5.0, "backlog per worker that is aimed at")
    backlog: str = _setting("all", "what counts: all messages, those being run as well (what the"
                            " controller publishes); visible ones that nobody has; these as the"
                            " mean of 15 looks; or with those in flight beyond the live workers'"
                            " places", choices=("all", "visible", "smoothed", "beyond"))
    evaluation_s: float = _setting(60.0, "between two looks: CloudWatch's minute")
    out_after: int = _setting(3, "looks in a row above the target before hosts are added (what"
                              " target tracking's alarm has; a step policy may have 1)")
    in_after: int = _setting(15, "looks in a row below 0.9 of the target before hosts are taken"
                             " away (likewise)")
    in_share: float = _setting(0.25, "of the fleet that one look takes away at most; AWS does not"
                               " publish its own")
    cooldown_s: float = _setting(60.0, "after a change before the next")
    instance_start_s: tuple = _setting((30.0, 60.0), "LOW,HIGH: from launch to the first job",
                                       _range)
    warm_pool: int = _setting(0, "stopped instances that wait beside the group")
    warm_start_s: tuple = _setting((10.0, 25.0), "the same of an instance of the warm pool;"
                                   " assumed", _range)
    price: float = _setting(0.0832, "of an instance hour (a t3.large in us-east-1, 2025)")
    price_stopped: float = _setting(0.0022, "of an hour of a stopped one: its 20 GB of disk")

    def check(self):
        """Raises ValueError with what is wrong and what would be right."""
        bounds = {
            "duration_s": (0.001, 30 * 86400), "rate": (0, 1e6), "load": (0, 10),
            "async_share": (0, 1), "functions": (1, 100_000), "workers": (0, 1000),
            "controllers": (1, 100), "job_concurrency": (1, 1000), "lane_concurrency": (0, 1024),
            "function_concurrency": (1, 1000), "workers_min": (0, 1000),
            "workers_max": (1, 1000), "target": (0.001, 1e6), "evaluation_s": (1, 3600),
            "execution_ms": (0.001, 900_000), "execution_max_s": (0.001, 900),
            "in_share": (0.01, 1), "out_after": (1, 100), "in_after": (1, 100),
            "budget_mb": (128, 1 << 24), "warm_pool": (0, 1000),
            "failures_per_hour": (0, 60), "memory_mb": (128, 10_240),
        }
        for name, (low, high) in bounds.items():
            if not low <= getattr(self, name) <= high:
                option = "--" + name.replace("_", "-")
                raise ValueError(f"{option} must be within {low:g} and {high:g}")
        if not self.scaling and self.workers == 0:
            raise ValueError("no workers and no scaling: give --workers or --scaling")
        if self.workers_min > self.workers_max:
            raise ValueError("--workers-min exceeds --workers-max")
        if not self.traces and self.memory_mb > self.budget_mb:
            raise ValueError("--memory-mb exceeds --budget-mb: no worker could run anything")
        return self

    @property
    def lane_window(self):
        return self.lane_concurrency or min(1024, max(1, self.budget_mb // 128))

    def as_json(self):
        """Every setting as its option would be written."""
        return {field.name: _plain(getattr(self, field.name))
                for field in dataclasses.fields(self)}


def _plain(value):
    if isinstance(value, Spread):
        return str(value)
    return list(value) if isinstance(value, tuple) else value


def add_options(parser):
    for field in dataclasses.fields(Settings):
        kind, choices = field.metadata["kind"], field.metadata["choices"]
        option = "--" + field.name.replace("_", "-")
        default = _plain(field.default)
        if isinstance(default, list):
            default = ",".join(f"{each:g}" for each in default)
        shown = "" if default in (None, "", False) else f" ({default})"
        text = (field.metadata["help"] + shown).replace("%", "%%")
        if kind is bool:
            parser.add_argument(option, action="store_true", help=text)
        else:
            parser.add_argument(option, type=kind, default=field.default, choices=choices,
                                metavar=None if choices else "X", help=text)


def settings_of(arguments):
    names = [field.name for field in dataclasses.fields(Settings)]
    return Settings(**{name: getattr(arguments, name) for name in names}).check()
