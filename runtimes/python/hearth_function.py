"""Finding the handler, calling it, and turning what it returns or raises into an answer."""

import importlib
import json
import os
import sys
import time

import hearth_channel as channel
import hearth_errors as errors

# Bound now: the function may replace them in their modules.
_time = time.time
_scan = json.JSONDecoder().scan_once
_encoder = json.JSONEncoder(allow_nan=False, ensure_ascii=False, separators=(",", ":"))


def _loads(text):
    """json.loads, in a fifth of its time for a small event: that looks for an encoding, and twice
    for white space by a regular expression. The worker has checked that this is UTF-8 and JSON."""
    return _scan(text.decode().strip(), 0)[0]


def _make_dumps():
    """_encoder.encode, which makes all but the text anew for each; the same where json has no
    encoder in C."""
    make = json.encoder.c_make_encoder
    if make is None:
        return _encoder.encode
    containers = {}  # those that are being written, by which a circle is recognised
    encode = make(containers, _encoder.default, json.encoder.encode_basestring, None,
                  _encoder.key_separator, _encoder.item_separator, False, False, False)

    def dumps(value):
        containers.clear()  # what an earlier answer that could not be written left
        return "".join(encode(value, 0))
    return dumps


_dumps = _make_dumps()

exiting = False  # the handler asked to exit: the process ends once that is reported
exit_code = 0

HANDLER_FORM = "Bad handler '%s': write it as module.function"


class Identity:
    """What the contexts of all invocations share."""

    def __init__(self, parameters):
        self.function_name = parameters["functionName"]
        self.function_version = parameters["functionVersion"]
        self.function_arn = parameters["functionArn"]
        self.memory_mb = str(parameters["memoryMb"])
        self.log_group_name = parameters["logGroupName"]
        self.log_stream_name = parameters["logStreamName"]


class LambdaContext:
    """The second argument of a handler, as on AWS Lambda."""

    client_context = None
    identity = None

    def __init__(self, identity, request_id, deadline_ms):
        self.aws_request_id = request_id
        self.function_name = identity.function_name
        self.function_version = identity.function_version
        self.invoked_function_arn = identity.function_arn
        self.memory_limit_in_mb = identity.memory_mb
        self.log_group_name = identity.log_group_name
        self.log_stream_name = identity.log_stream_name
        self._epoch_deadline_time_in_ms = deadline_ms

    def get_remaining_time_in_millis(self):
        return max(0, self._epoch_deadline_time_in_ms - int(_time() * 1000))

    def log(self, message):
        sys.stdout.write(str(message))

    def __repr__(self):
        return "LambdaContext(%s)" % ", ".join(
            "%s=%r" % item for item in vars(self).items() if not item[0].startswith("_"))


def _report(kind, message, stack=()):
    payload = errors.encode(kind, message, "", stack)
    errors.write_to_stderr(payload)
    raise errors.Reported(payload)


def _find_module(name):
    """Whether /code has it, without importing it."""
    path = os.path.join("/code", *name.split("."))
    return os.path.isfile(path + ".py") or os.path.isdir(path)


def _split(handler):
    module, separator, attribute = handler.rpartition(".")
    module = module.replace("/", ".")
    if not separator or not module or not attribute or ".." in module or module[0] == ".":
        _report("Runtime.MalformedHandlerName", HANDLER_FORM % handler)
    return module, attribute


def _import(module):
    try:
        return importlib.import_module(module)
    except SyntaxError as problem:
        where = ['  File "%s" Line %s\n    %s\n' % (problem.filename, problem.lineno,
                                                     (problem.text or "").strip())]
        _report("Runtime.UserCodeSyntaxError",
                "Syntax error in module '%s': %s" % (module, errors._message_of(problem)), where)
    except ImportError as problem:
        _report("Runtime.ImportModuleError",
                "Unable to import module '%s': %s" % (module, errors._message_of(problem)),
                errors._stack_of(problem.__traceback__))
    except SystemExit as problem:
        _report("Runtime.ExitError",
                "Module '%s' exited while it was imported: %s" % (module, _exit_text(problem)))
    except BaseException as problem:
        payload = errors.from_exception(problem)
        errors.write_to_stderr(payload)
        raise errors.Reported(payload) from None


def load(handlers):
    """The first of the candidates whose module and function exist, and its name.

    With one candidate the error is about that one; with several, a module that fails to import is
    an error at once, and only a missing one leads to the next."""
    missing = None
    for handler in handlers:
        module_name, attribute = _split(handler)
        if len(handlers) > 1 and not _find_module(module_name):
            continue
        module = _import(module_name)
        found = getattr(module, attribute, None)
        if callable(found):
            return found, handler
        if missing is None:
            missing = "Handler '%s' %s on module '%s'" % (
                attribute, "missing" if found is None else "is not callable", module_name)
    if missing is None:
        _report("Runtime.ImportModuleError", "Unable to import module '%s': none of %s is in the "
                "uploaded code" % (_split(handlers[0])[0], ", ".join(handlers)))
    if len(handlers) > 1:
        missing += " (looked for %s)" % ", ".join(handlers)
    _report("Runtime.HandlerNotFound", missing)


def _exit_text(problem):
    code = problem.code
    return "exit code %s" % (0 if code is None else code if type(code) is int else 1)


def _failure(payload):
    errors.write_to_stderr(payload)
    return channel.ERROR, payload


def invoke(handler, identity, request_id, deadline_ms, event_text):
    """(frame type, payload) for one invocation."""
    try:
        answer = handler(_loads(event_text), LambdaContext(identity, request_id, deadline_ms))
    except SystemExit as problem:
        global exiting, exit_code
        exiting = True
        exit_code = problem.code if type(problem.code) is int else int(problem.code is not None)
        return _failure(errors.encode("Runtime.ExitError", "The handler called sys.exit: "
                                      + _exit_text(problem), request_id))
    except BaseException as problem:  # KeyboardInterrupt and the function's own kinds too
        return _failure(errors.from_exception(problem, request_id))
    try:
        # Strict UTF-8: a lone surrogate has no encoding.
        payload = _dumps(answer).encode()
    except BaseException as problem:
        return _failure(errors.encode(
            "Runtime.MarshalError",
            "Unable to marshal response: " + errors._message_of(problem), request_id))
    if len(payload) > channel.RESULT_BYTES_MAX:
        return _failure(errors.encode(
            "Function.ResponseSizeTooLarge",
            "Response payload size (%d bytes) exceeded maximum allowed payload size (%d bytes)."
            % (len(payload), channel.RESULT_BYTES_MAX), request_id))
    return channel.RESULT, payload
