"""The smallest function: a greeting, its language set by an environment variable at upload."""

import os


def handler(event, context):
    name = event.get("name", "world")
    return {
        "message": f"{os.environ.get('GREETING', 'Hello')}, {name}!",
        "function": context.function_name,
    }
