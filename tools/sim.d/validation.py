"""The simulation beside a run of the real programs (bench/fleet/delays): the same arrivals, with
service times that were measured without waiting. What has to come out is the waiting."""

import json
import pathlib

from fleet import Fleet
from report import percentile, seconds
from settings import Settings
from workload import Spread

# A simulated percentile within this factor of the measured one agrees. A busy machine holds single
# calls up for tens of milliseconds, and some hundred arrivals leave a 99th percentile to three of
# them, so that it is shown and not judged.
FACTOR_MAX = 1.5
# Or within this: what one hand-over between processes varies by there. Delays without waiting are
# that short, and the model says nothing about them: it is given them.
SLACK_S = 0.002
JUDGED = ("mean", "p50", "p90")


def settings_for(measured, kind):
    """One worker with the places and the service times of the run.

    What a delay without waiting has beyond the acceptance holds the place already; so does what of
    a place's time neither that nor the handler explains."""
    found = measured[kind]
    delay, accept, run = found["delay"], found["accept"], found["run"]
    common = {
        "workers": 1, "functions": 1, "execution": "constant", "seed": measured["seed"],
        "job_concurrency": measured["places"], "lane_concurrency": measured["places"],
        "controller_ms": 0.0, "worker_ms": 0.0, "start_parked_ms": Spread(),
        "start_anew_ms": Spread(), "code_ms": Spread(), "receive_ms": Spread(),
    }
    if kind == "calls":
        rest = max(0.0, found["place"] - delay[0])
        return Settings(execution_ms=rest * 1000, lane_ms=Spread(*delay), send_ms=Spread(),
                        async_share=0.0, **common)
    before = Spread(max(0.0, delay[0] - accept[0]), max(0.0, delay[1] - accept[0]))
    after = max(0.0, found["place"] - before.p50 - run[0])
    return Settings(execution_ms=run[0] * 1000, send_ms=Spread(*accept), job_before_ms=before,
                    job_after_ms=Spread(after, after), async_share=1.0, **common)


def percentiles(delays):
    ordered = sorted(delays)
    return {"mean": sum(ordered) / len(ordered), "p50": percentile(ordered, 0.5),
            "p90": percentile(ordered, 0.9), "p99": percentile(ordered, 0.99)}


def agree(real, simulated):
    low, high = sorted((real, simulated))
    return high <= low * FACTOR_MAX or high - low <= SLACK_S


def compare(measured):
    """One dictionary for each run of the file."""
    rows = []
    for kind in ("calls", "jobs"):
        for run in measured[kind]["runs"]:
            settings = settings_for(measured, kind)
            settings.duration_s = max(run["arrivals"]) + 1.0
            arrivals = [(at, kind == "jobs") for at in run["arrivals"]]
            fleet = Fleet(settings.check(), arrivals).run()
            simulated = percentiles([each.began - each.arrived for each in fleet.ended])
            real = percentiles(run["delays"])
            factors = {name: simulated[name] / max(real[name], 1e-6) for name in real}
            agrees = all(agree(real[name], simulated[name]) for name in JUDGED)
            rows.append({"kind": kind, "load": run["load"], "count": len(run["delays"]),
                         "hostLoad": run["hostLoad"], "measured": real, "simulated": simulated,
                         "factors": factors, "agrees": agrees})
    return rows


def table(measured, rows):
    first, last = measured["hostLoad"]
    lines = [f"{measured['date']}, {measured['machine']}, load {first:.1f} to {last:.1f}; measured "
             f"/ simulated, to agree within {FACTOR_MAX}× or {seconds(SLACK_S)}", "",
             "| what | load | arrivals | mean | p50 | p90 | p99 | host's load | agrees |",
             "|---|---|---|---|---|---|---|---|---|"]
    for row in rows:
        pairs = [f"{seconds(row['measured'][name])} / {seconds(row['simulated'][name])}"
                 for name in ("mean", "p50", "p90", "p99")]
        cells = [row["kind"], f"{row['load']:g}", str(row["count"]), *pairs,
                 f"{row['hostLoad']:.1f}", "yes" if row["agrees"] else "no"]
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def main(path, as_json):
    try:
        measured = json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
        rows = compare(measured)
    except (KeyError, TypeError) as reason:
        raise ValueError(f"{path} is not what bench/fleet/delays writes: {reason!r}") from None
    print(json.dumps(rows, indent=1) if as_json else table(measured, rows))
    return 0 if all(row["agrees"] for row in rows) else 1
