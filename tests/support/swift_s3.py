#!/usr/bin/python3
"""Swift with its S3 interface on a free port of the loopback, until stdin ends.

The one S3 server in Debian that verifies signatures, in headers and in URLs. Proxy, account,
container and object server run in this process; everything they keep lies in a temporary folder.
The first line on stdout is the port. Access key test:tester, secret testing.
"""

import os
import pathlib
import sys
import tempfile

import eventlet

eventlet.monkey_patch()

from eventlet import wsgi  # noqa: E402
from swift.common import utils  # noqa: E402
from swift.common.ring import RingBuilder  # noqa: E402
from swift.common.wsgi import loadapp  # noqa: E402

HOST = "127.0.0.1"

SWIFT_CONF = """
[swift-hash]
swift_hash_path_prefix = hearth
swift_hash_path_suffix = tests
[storage-policy:0]
name = only
default = yes
"""

STORAGE_CONF = """
[DEFAULT]
swift_dir = {folder}
devices = {folder}/devices
mount_check = false
user = {user}
[pipeline:main]
pipeline = {kind}-server
[app:{kind}-server]
use = egg:swift#{kind}
"""

PROXY_CONF = """
[DEFAULT]
swift_dir = {folder}
user = {user}
[pipeline:main]
pipeline = catch_errors gatekeeper listing_formats bulk s3api tempauth
    slo dlo versioned_writes proxy-server
[app:proxy-server]
use = egg:swift#proxy
account_autocreate = true
[filter:catch_errors]
use = egg:swift#catch_errors
[filter:gatekeeper]
use = egg:swift#gatekeeper
[filter:listing_formats]
use = egg:swift#listing_formats
[filter:bulk]
use = egg:swift#bulk
[filter:s3api]
use = egg:swift#s3api
location = us-east-1
s3_acl = false
dns_compliant_bucket_names = true
[filter:tempauth]
use = egg:swift#tempauth
user_test_tester = testing .admin
[filter:slo]
use = egg:swift#slo
[filter:dlo]
use = egg:swift#dlo
[filter:versioned_writes]
use = egg:swift#versioned_writes
allow_versioned_writes = true
"""


class Cache:
    """What Swift asks of memcached, for one process: times to live are not worth their code here,
    since a test's server lives for seconds."""

    def __init__(self):
        self.values = {}

    def get(self, key, **_):
        return self.values.get(key)

    def set(self, key, value, **_):
        self.values[key] = value

    def delete(self, key, **_):
        self.values.pop(key, None)

    def incr(self, key, delta=1, **_):
        self.values[key] = int(self.values.get(key, 0)) + delta
        return self.values[key]

    def decr(self, key, delta=1, **_):
        return self.incr(key, -delta)

    def get_multi(self, keys, server_key=None, **_):
        return [self.get(key) for key in keys]

    def set_multi(self, mapping, server_key=None, **_):
        self.values.update(mapping)


class Silent:
    """What servers log; the tests' output is no place for it."""

    def write(self, text):
        pass

    def flush(self):
        pass


def serve(conf_file, listening, cache=None):
    inner = loadapp(str(conf_file), global_conf={"log_requests": "false"})

    def app(environment, start_response):
        if cache:
            environment["swift.cache"] = cache
        return inner(environment, start_response)

    eventlet.spawn_n(wsgi.server, listening, app, log=Silent(), keepalive=True)


def start(folder):
    user = __import__("pwd").getpwuid(os.geteuid()).pw_name
    (folder / "swift.conf").write_text(SWIFT_CONF)
    (folder / "devices" / "d1").mkdir(parents=True)
    utils.set_swift_dir(str(folder))
    sockets = {}
    for kind in ("account", "container", "object"):
        sockets[kind] = eventlet.listen((HOST, 0))
        # 2^2 partitions, one replica, moved at once.
        builder = RingBuilder(2, 1, 1)
        builder.add_dev({"region": 1, "zone": 1, "weight": 1.0, "ip": HOST, "device": "d1",
                         "port": sockets[kind].getsockname()[1]})
        builder.rebalance()
        builder.get_ring().save(str(folder / f"{kind}.ring.gz"))
    for kind, listening in sockets.items():
        conf_file = folder / f"{kind}-server.conf"
        conf_file.write_text(STORAGE_CONF.format(folder=folder, kind=kind, user=user))
        serve(conf_file, listening)
    proxy = eventlet.listen((HOST, 0))
    conf_file = folder / "proxy-server.conf"
    conf_file.write_text(PROXY_CONF.format(folder=folder, user=user))
    serve(conf_file, proxy, Cache())
    return proxy.getsockname()[1]


def main():
    with tempfile.TemporaryDirectory(prefix="hearth-swift-") as name:
        print(start(pathlib.Path(name)), flush=True)
        # Reading would hold up the servers, which share this thread.
        eventlet.hubs.trampoline(0, read=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
