"""What a run came to: figures as a dictionary, and the tables that people read."""


def percentile(ordered, share):
    """Of values in order; None of none."""
    if not ordered:
        return None
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def delays(calls):
    """Seconds from arrival until the handler begins."""
    ordered = sorted(each.began - each.arrived for each in calls if each.began is not None)
    if not ordered:
        return None
    return {"count": len(ordered), "mean": sum(ordered) / len(ordered),
            "p50": percentile(ordered, 0.5), "p90": percentile(ordered, 0.9),
            "p99": percentile(ordered, 0.99), "max": ordered[-1]}


def figures_of(fleet):
    settings, group = fleet.settings, fleet.group
    counted = [each for each in fleet.ended if each.arrived >= settings.warmup_s]
    began = [each for each in counted if each.began is not None]
    instance_s = group.instance_seconds()
    outcomes = {name: sum(each.outcome == name for each in fleet.ended)
                for name in ("done", "late", "lost")}
    live = [live for _, live, _, _ in group.timeline] or [settings.workers]
    hours, stopped_hours = instance_s / 3600, group.stopped_s / 3600
    return {
        "arrived": fleet.arrived,
        "ratePerSecond": fleet.rate,
        "outcomes": outcomes,
        "repeated": fleet.repeated,
        "callsThroughQueue": fleet.through_queue,
        "delaySeconds": {
            "jobs": delays([each for each in counted if each.is_job]),
            "calls": delays([each for each in counted if not each.is_job]),
        },
        "coldShare": sum(each.cold for each in began) / len(began) if began else 0.0,
        "evicted": sum(each.dispatcher.evicted for each in group.workers),
        "utilisation": {
            "memory": _share(fleet.memory_mb_s, instance_s * settings.budget_mb),
            "jobSlots": _share(fleet.execution_s, instance_s * settings.job_concurrency),
            "controllerLoop": max(loop.busy_s for loop, _ in fleet.controllers)
            / settings.duration_s,
        },
        "workers": {"least": min(live), "most": max(live),
                    "mean": instance_s / settings.duration_s},
        "launches": group.launches, "fromWarmPool": group.warm_launches,
        "removals": group.removals,
        "instanceHours": hours,
        "warmPoolHours": stopped_hours,
        "cost": hours * settings.price + stopped_hours * settings.price_stopped,
        "costPerHour": (hours * settings.price + stopped_hours * settings.price_stopped)
        / (settings.duration_s / 3600),
    }


def _share(part, whole):
    return part / whole if whole > 0 else 0.0


def seconds(value):
    """A time as people say it: three figures and a unit."""
    if value is None:
        return "-"
    if value < 1:
        return f"{value * 1000:.3g} ms"
    return f"{value:.3g} s" if value < 100 else f"{value:,.0f} s"


COLUMNS = (
    ("workers", lambda f: f"{f['workers']['mean']:.1f}"),
    ("rate/s", lambda f: f"{f['ratePerSecond']:.4g}"),
    ("jobs p50", lambda f: _delay(f, "jobs", "p50")),
    ("jobs p90", lambda f: _delay(f, "jobs", "p90")),
    ("jobs p99", lambda f: _delay(f, "jobs", "p99")),
    ("calls p50", lambda f: _delay(f, "calls", "p50")),
    ("calls p99", lambda f: _delay(f, "calls", "p99")),
    ("cold", lambda f: f"{f['coldShare'] * 100:.2g} %"),
    ("by queue", lambda f: f"{f['callsThroughQueue']}"),
    ("late+lost", lambda f: f"{f['outcomes']['late'] + f['outcomes']['lost']}"),
    ("memory", lambda f: f"{f['utilisation']['memory'] * 100:.0f} %"),
    ("slots", lambda f: f"{f['utilisation']['jobSlots'] * 100:.0f} %"),
    ("loop", lambda f: f"{f['utilisation']['controllerLoop'] * 100:.0f} %"),
    ("host hours", lambda f: f"{f['instanceHours']:.2f}"),
    ("cost/h", lambda f: f"{f['costPerHour']:.3f}"),
)


def _delay(figures, kind, which):
    found = figures["delaySeconds"][kind]
    return seconds(found[which]) if found else "-"


def table(rows, label):
    """Markdown; `rows` are (label, figures). What did not happen in any row has no column."""
    columns = [(label, [str(shown) for shown, _ in rows])]
    for name, text in COLUMNS:
        cells = [text(figures) for _, figures in rows]
        if set(cells) - {"-", "0"}:
            columns.append((name, cells))
    lines = [[name for name, _ in columns], ["---"] * len(columns)]
    lines += zip(*(cells for _, cells in columns))
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def timeline(group):
    lines = ["| minute | live | starting | waiting |", "|---|---|---|---|"]
    lines += [f"| {time / 60:.0f} | {live} | {starting} | {waiting} |"
              for time, live, starting, waiting in group.timeline]
    return "\n".join(lines)
