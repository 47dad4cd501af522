#!/usr/bin/python3
"""A table of a running fleet: what each worker did, and how long jobs wait. For the quickstart."""

import argparse
import json
import sys
import urllib.request

SECONDS_MAX = 10


def get(url, api_key):
    request = urllib.request.Request(url, headers={"x-api-key": api_key})
    with urllib.request.urlopen(request, timeout=SECONDS_MAX) as answer:
        return answer.read().decode()


def metrics(url, api_key):
    """{name with labels: value}"""
    found = {}
    for line in get(f"{url}/metrics", api_key).splitlines():
        if not line.startswith("#"):
            name, _, value = line.rpartition(" ")
            found[name] = float(value)
    return found


def worker_row(name, url, api_key):
    values = metrics(url, api_key)

    def number(metric):
        return f"{values.get(metric, 0):.0f}"

    return (
        name,
        url,
        number('hearth_job_events{event="received"}'),
        number('hearth_job_events{event="succeeded"}'),
        number("hearth_sandboxes_started"),
        number('hearth_sandboxes{state="idle"}'),
        number('hearth_aws_calls{service="s3"}'),
    )


def print_table(rows):
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for row in rows:
        print("  ".join(map(str.ljust, row, widths)).rstrip())


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--url", required=True, help="of the controller")
    parser.add_argument("--api-key", required=True)
    parser.add_argument("workers", nargs="*", metavar="NAME=URL")
    arguments = parser.parse_args()
    rows = [("worker", "status page", "jobs", "succeeded", "sandboxes started", "idle", "S3 calls")]
    for each in arguments.workers:
        name, _, url = each.partition("=")
        rows.append(worker_row(name, url, arguments.api_key))
    print_table(rows)
    listed = json.loads(get(f"{arguments.url}/api/workers", arguments.api_key))["workers"]
    live = sum(worker["status"] == "LIVE" for worker in listed)
    backlog = metrics(arguments.url, arguments.api_key).get("hearth_backlog_per_instance", 0)
    print(f"\n{live} workers live, {backlog:.1f} jobs in the queue for each of them")
    return 0


if __name__ == "__main__":
    sys.exit(main())
