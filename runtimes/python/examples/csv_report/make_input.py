#!/usr/bin/python3
"""Writes input.json: 240 orders of four regions, the same on every run."""

import json
import pathlib
import random

REGIONS = ["north", "east", "south", "west"]
PRODUCTS = ["lamp", "desk", 'chair, "oak"', "shelf"]
ORDERS = 240
UNREADABLE = {57: "n/a", 130: "", 201: "nan"}


def make():
    source = random.Random(20240229)
    lines = ["order,region,product,amount"]
    for order in range(1, ORDERS + 1):
        product = source.choice(PRODUCTS)
        if "," in product:
            product = '"' + product.replace('"', '""') + '"'
        cents = source.randrange(500, 90_000)
        amount = UNREADABLE.get(order, f"{cents // 100}.{cents % 100:02}")
        lines.append(f"{order},{source.choice(REGIONS)},{product},{amount}")
    return {"csv": "\n".join(lines) + "\n", "groupBy": "region", "value": "amount"}


if __name__ == "__main__":
    target = pathlib.Path(__file__).with_name("input.json")
    target.write_text(json.dumps(make()) + "\n", encoding="utf-8")
