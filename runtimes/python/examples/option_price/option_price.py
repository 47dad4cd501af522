"""The price of a European call option by simulation: long enough to be run as a job.

Event:  {"spot", "strike", "rate", "volatility", "years", "paths": up to 20,000,000, "seed"}
Result: {"price", "standardError", "paths"}
Send it with "x-async: true" and ask GET /status/<jobId> for the result.
"""

import math

import numpy as np

PATHS_MAX = 20_000_000
BATCH = 250_000  # bounds the memory: four arrays of 2 MB each


def handler(event, context):
    paths = int(event["paths"])
    if not 2 <= paths <= PATHS_MAX:
        raise ValueError(f"paths must be between 2 and {PATHS_MAX}")
    source = np.random.default_rng(int(event["seed"]))
    drift = (event["rate"] - event["volatility"] ** 2 / 2) * event["years"]
    spread = event["volatility"] * math.sqrt(event["years"])

    total = squares = 0.0
    done = 0
    while done < paths:
        count = min(BATCH, paths - done)
        ends = event["spot"] * np.exp(drift + spread * source.standard_normal(count))
        gains = np.maximum(ends - event["strike"], 0.0)
        total += float(gains.sum())
        squares += float((gains * gains).sum())
        done += count
        print(f"{done} of {paths} paths, {context.get_remaining_time_in_millis()} ms left")

    mean = total / paths
    variance = max(squares / paths - mean * mean, 0.0)
    discount = math.exp(-event["rate"] * event["years"])
    return {
        "price": discount * mean,
        "standardError": discount * math.sqrt(variance / paths),
        "paths": paths,
    }
