"""A JSON report from a CSV of orders: totals, and statistics per group, with the standard library.

Event:  {"csv": text with a header line, "groupBy": column, "value": numeric column}
Result: {"rows", "skipped": [line numbers], "total", "mean", "median", "groups": [{name, count,
        total, mean, median, stdev, smallest, largest}]}, the largest group first.
A row whose value is not a finite number is skipped and its line number is reported.
"""

import csv
import io
import math
import statistics

DIGITS = 4


def read_groups(text, group_by, value_column):
    reader = csv.DictReader(io.StringIO(text))
    missing = {group_by, value_column} - set(reader.fieldnames or [])
    if missing:
        raise ValueError(f"the CSV has no column {', '.join(sorted(missing))}")
    groups, skipped = {}, []
    for row in reader:
        try:
            value = float(row[value_column])
        except (TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            skipped.append(reader.line_num)
            continue
        groups.setdefault(row[group_by], []).append(value)
    return groups, skipped


def describe(name, values):
    return {
        "name": name,
        "count": len(values),
        "total": round(math.fsum(values), DIGITS),
        "mean": round(statistics.fmean(values), DIGITS),
        "median": round(statistics.median(values), DIGITS),
        "stdev": round(statistics.stdev(values), DIGITS) if len(values) > 1 else None,
        "smallest": min(values),
        "largest": max(values),
    }


def handler(event, context):
    groups, skipped = read_groups(event["csv"], event["groupBy"], event["value"])
    everything = [value for values in groups.values() for value in values]
    print(f"{len(everything)} rows in {len(groups)} groups, {len(skipped)} skipped")
    if not everything:
        raise ValueError("the CSV has no row with a number")
    described = [describe(name, values) for name, values in groups.items()]
    return {
        "rows": len(everything),
        "skipped": skipped,
        "total": round(math.fsum(everything), DIGITS),
        "mean": round(statistics.fmean(everything), DIGITS),
        "median": round(statistics.median(everything), DIGITS),
        "groups": sorted(described, key=lambda group: (-group["total"], group["name"])),
    }
