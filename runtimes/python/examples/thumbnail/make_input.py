#!/usr/bin/python3
"""Writes input.json: a drawn landscape of 640x400 as PNG, the same pixels on every run."""

import base64
import io
import json
import pathlib

from PIL import Image, ImageDraw

WIDTH, HEIGHT = 640, 400
HORIZON = 250


def draw():
    picture = Image.new("RGB", (WIDTH, HEIGHT))
    canvas = ImageDraw.Draw(picture)
    for y in range(HORIZON):
        canvas.line([(0, y), (WIDTH, y)], fill=(70 + y // 2, 110 + y // 2, 220))
    for y in range(HORIZON, HEIGHT):
        canvas.line([(0, y), (WIDTH, y)], fill=(40, 120 - (y - HORIZON) // 3, 50))
    canvas.ellipse([480, 40, 560, 120], fill=(255, 230, 120))
    canvas.polygon([(0, HORIZON), (160, 90), (330, HORIZON)], fill=(110, 105, 120))
    canvas.polygon([(200, HORIZON), (380, 130), (560, HORIZON)], fill=(90, 90, 110))
    canvas.rectangle([420, 260, 520, 330], fill=(170, 80, 60))
    canvas.polygon([(405, 260), (470, 215), (535, 260)], fill=(90, 40, 40))
    return picture


def make():
    encoded = io.BytesIO()
    draw().save(encoded, "PNG", optimize=True)
    image = base64.b64encode(encoded.getvalue()).decode("ascii")
    return {"image": image, "maxSize": 128, "format": "PNG"}


if __name__ == "__main__":
    target = pathlib.Path(__file__).with_name("input.json")
    target.write_text(json.dumps(make()) + "\n", encoding="utf-8")
