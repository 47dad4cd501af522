"""Imported and called once in a parked sandbox, for what that touches (hearth_zygote.rehearse)."""

import os

EVENT = '{"handlers": ["main.handler"], "env": {"NAME": "value"}, "list": [1, 2.5, null]}'


class Example:
    def __init__(self, event):
        self.names = sorted(event)


def handler(event, context):
    return {"names": Example(event).names, "cwd": os.getcwd()}
