"""Imported and called in the zygote and in parked sandboxes, for what that touches."""

import os


class Example:
    def __init__(self, event):
        self.names = sorted(event)


def handler(event, context):
    return {"names": Example(event).names, "cwd": os.getcwd()}
