"""What runs in a sandbox before and between a function's invocations.

Started by the sandbox's init as /runtime/bootstrap.py with descriptor 3 connected to the worker.
The frames on it are described in docs/protocol.md. Nothing here is trusted by the worker: the
function shares this process, and may replace any part of it.
"""

import os
import sys
import time

STARTED_NS = time.monotonic_ns()

# What site.py would do, without its search through the file system (python runs with -S).
SITE_PACKAGES = (
    "/usr/local/lib/python%d.%d/dist-packages" % sys.version_info[:2],
    "/usr/lib/python3/dist-packages",
)
sys.path[:] = ["/code", *(entry for entry in sys.path if entry != "/runtime"), *SITE_PACKAGES]
sys.path.insert(0, "/runtime")

import _sitebuiltins  # noqa: E402
import builtins  # noqa: E402

builtins.exit = _sitebuiltins.Quitter("exit", "Ctrl-D (i.e. EOF)")
builtins.quit = _sitebuiltins.Quitter("quit", "Ctrl-D (i.e. EOF)")

import hearth_channel as channel  # noqa: E402
import hearth_errors as errors  # noqa: E402
import hearth_function as function  # noqa: E402
import hearth_logging as logging_setup  # noqa: E402

sys.path.remove("/runtime")

# Modules that the zygote imported ahead: known as any other, unless the function brings its own.
# Of each name at the top the modules below it.
preloaded = {}

log_request = None  # tells the logging handler which request is running


def flush_output():
    """Output of an invocation must be in the pipe before its result is on the way."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except Exception:  # the function may have closed or replaced it
            pass


def set_up_environment(parameters):
    """The names that Lambda defines, then the owner's, which may not replace the first."""
    environment = os.environ
    environment.update(parameters["env"])
    environment.update({
        "AWS_LAMBDA_FUNCTION_NAME": parameters["functionName"],
        "AWS_LAMBDA_FUNCTION_VERSION": parameters["functionVersion"],
        "AWS_LAMBDA_FUNCTION_MEMORY_SIZE": str(parameters["memoryMb"]),
        "AWS_LAMBDA_LOG_GROUP_NAME": parameters["logGroupName"],
        "AWS_LAMBDA_LOG_STREAM_NAME": parameters["logStreamName"],
        "AWS_EXECUTION_ENV": "Hearth_python%d.%d" % sys.version_info[:2],
        "LAMBDA_TASK_ROOT": "/code",
        "LAMBDA_RUNTIME_DIR": "/runtime",
    })
    if "TZ" in parameters["env"]:
        time.tzset()


def prefer_own_modules():
    """/code is first in the path, so its modules win over those that were imported ahead."""
    if preloaded:
        for entry in os.listdir("/code"):
            for name in preloaded.get(entry.partition(".")[0], ()):
                sys.modules.pop(name, None)


def initialise(parameters):
    """Imports the handler; returns it and its name. Raises errors.Reported."""
    set_up_environment(parameters)
    # The code was mounted after the zygote's look into the directory.
    finder = sys.path_importer_cache.get("/code")
    if finder is not None:
        finder.invalidate_caches()
    os.chdir("/code")
    prefer_own_modules()
    return function.load(parameters["handlers"])


def serve(handler, identity):
    """One invocation after another until the worker closes the stream."""
    while True:
        invocation = channel.receive_invoke()
        if invocation is None:
            return
        nonce, deadline_ms, request_id, event_text = invocation
        log_request(request_id)
        kind, answer = function.invoke(handler, identity, request_id, deadline_ms, event_text)
        flush_output()
        channel.send(kind, nonce, answer)
        if kind == channel.ERROR and function.exiting:
            return


def adjust_streams():
    for stream in (sys.stdout, sys.stderr):
        stream.reconfigure(line_buffering=True, errors="backslashreplace")


def main():
    asked_ns = time.monotonic_ns()
    nonce, parameters = channel.receive_init()
    waited_ns = time.monotonic_ns() - asked_ns
    try:
        handler, name = initialise(parameters)
    except errors.Reported as problem:
        flush_output()
        channel.send(channel.INIT_ERROR, nonce, problem.payload)
        return 1
    os.environ["_HANDLER"] = name
    identity = function.Identity(parameters)
    elapsed_ms = (time.monotonic_ns() - STARTED_NS - waited_ns) / 1e6
    flush_output()
    channel.send(channel.READY, nonce, channel.encode_ready(elapsed_ms, name))
    serve(handler, identity)
    return function.exit_code


def run():
    code = main()
    flush_output()
    # Threads that the function left running must not keep a finished sandbox alive.
    os._exit(code)


if __name__ == "__main__":
    adjust_streams()
    log_request = logging_setup.install()
    run()
