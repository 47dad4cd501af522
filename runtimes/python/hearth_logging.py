"""The root logger's handler, in Lambda's format: "[LEVEL]\\ttime\\trequest id\\tmessage".

Importing logging costs more than everything else here together, so it is prepared but not imported:
the handler is installed when the function imports it."""

import sys

_request_id = ""
_configured = None  # the module that has the handler


def _set_request(request_id):
    global _request_id
    _request_id = request_id


def _configure(logging):
    global _configured
    _configured = logging

    class LambdaHandler(logging.Handler):
        def emit(self, record):
            try:
                sys.stderr.write(self.format(record))
            except Exception:
                self.handleError(record)

    class RequestFilter(logging.Filter):
        def filter(self, record):
            record.aws_request_id = _request_id
            return True

    handler = LambdaHandler()
    formatter = logging.Formatter(
        "[%(levelname)s]\t%(asctime)s.%(msecs)03dZ\t%(aws_request_id)s\t%(message)s\n",
        "%Y-%m-%dT%H:%M:%S")
    formatter.converter = __import__("time").gmtime
    handler.setFormatter(formatter)
    handler.addFilter(RequestFilter())
    logging.root.addHandler(handler)


class _LoggingFinder:
    """Watches for the first import of logging, lets it happen, and configures the result."""

    @staticmethod
    def find_spec(name, path=None, target=None):
        if name != "logging":
            return None
        sys.meta_path.remove(_LoggingFinder)
        from importlib.machinery import PathFinder

        spec = PathFinder.find_spec(name, path)
        execute = spec.loader.exec_module

        def exec_module(module):
            execute(module)
            _configure(module)

        spec.loader.exec_module = exec_module
        return spec


def install():
    """Returns the function that tells which request is running."""
    present = sys.modules.get("logging")
    if present is not None and present is not _configured:
        _configure(present)
    elif present is None and _LoggingFinder not in sys.meta_path:
        sys.meta_path.insert(0, _LoggingFinder)
    return _set_request
