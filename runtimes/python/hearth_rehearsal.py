"""A small function and its calls, for hearth_zygote.rehearse()."""

import json

CALLS = 3


class Example:
    def __init__(self, event):
        self.names = sorted(event)


def handler(event, context):
    print("rehearsed", context.aws_request_id)
    return {"names": Example(event).names, "left": context.get_remaining_time_in_millis()}


def frames(channel):
    """What a worker sends, as (type, payload)."""
    yield channel.INIT, json.dumps({
        "handlers": ["%s.handler" % __name__], "functionName": "rehearsal",
        "functionVersion": "1", "functionArn": "arn", "memoryMb": 128, "logGroupName": "group",
        "logStreamName": "stream", "env": {"NAME": "value"}}).encode()
    request_id = b"rehearsal"
    for _ in range(CALLS):
        yield channel.INVOKE, channel.INVOKE_PREFIX.pack(1, len(request_id)) + request_id + (
            b'{"text": "value", "list": [1, 2.5, null, true], "object": {}}')
