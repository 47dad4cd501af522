"""A worker's sandboxes: which runs which call, when another is started, which one ends.

The rules of src/worker: growth.h (when another sandbox pays), eviction.h (Greedy-Dual over the
memory budget), dispatcher.h (the last used first, and who has waited longest gets the room). What
is left out: freezing, recycling, slots, crash loops, and that executions share processors."""

import collections

# src/worker/dispatcher_pool.h
START_S_GUESS = 0.025
NEWEST_WEIGHT = 0.2
REGROW_S_MIN = 0.005


def smoothed(mean, sample):
    return sample if mean == 0 else mean + NEWEST_WEIGHT * (sample - mean)


def sandboxes_to_start(waiting, live, starting, service_s, start_s):
    """src/worker/growth.cc"""
    if waiting == 0:
        return 0
    if live == 0:
        return 1
    work = service_s * waiting
    if work <= start_s * live:
        return 0
    enough = -(-work // max(start_s, 0.001))
    return int(max(0, min(enough - live, max(waiting - starting, 0))))


class Sandbox:
    __slots__ = ("pool", "calls", "priority", "idle_since", "expiring")

    def __init__(self, pool):
        self.pool = pool
        self.calls = 0
        self.priority = 0.0
        self.idle_since = None
        self.expiring = False


class Pool:
    """One function's waiting calls and sandboxes on one worker."""

    def __init__(self, function):
        self.function = function
        self.waiting = collections.deque()  # (since, call)
        self.idle = []  # the last used at the end
        self.running = {}  # sandbox: since when
        self.starting = 0
        self.calls = 0
        self.service_s = 0.0
        self.start_s = START_S_GUESS
        self.starved = False
        self.look_at = None  # when to think again about growing

    def live(self):
        return len(self.idle) + len(self.running) + self.starting

    def is_stuck(self):
        return bool(self.starved and self.waiting and not self.running and not self.starting)


class Dispatcher:
    """`granted(call, sandbox)` is called once for each call that is acquired; the sandbox is given
    back by release(). `idle_changed(function, count)` is told what is idle."""

    def __init__(self, clock, settings, random, granted, idle_changed):
        self.clock, self.settings, self.random = clock, settings, random
        self.granted, self.idle_changed = granted, idle_changed
        self.pools = {}
        self.used_mb = 0
        self.parked = settings.parked
        self.age = 0.0  # Greedy-Dual's clock
        self.known_code = set()
        self.started = self.evicted = self.expired = 0
        self.stopped = False
        self._starved = {}  # pools; in order, which a set of objects has not twice

    def stop(self):
        """The host is gone: nothing starts or is granted any more."""
        self.stopped = True

    def acquire(self, call):
        pool = self.pools.get(call.function.number) or self._new_pool(call.function)
        pool.calls += 1
        if pool.idle:
            sandbox = pool.idle.pop()
            self.idle_changed(pool.function, len(pool.idle))
            self._grant(pool, sandbox, call)
            return
        pool.waiting.append((self.clock.now, call))
        self._grow(pool)

    def release(self, sandbox, service_s):
        pool = sandbox.pool
        del pool.running[sandbox]
        pool.service_s = smoothed(pool.service_s, service_s)
        self._give(pool, sandbox)

    def _new_pool(self, function):
        self.pools[function.number] = Pool(function)
        return self.pools[function.number]

    def _grant(self, pool, sandbox, call):
        sandbox.calls += 1
        sandbox.idle_since = None
        cost_ms = pool.start_s * 1000
        sandbox.priority = self.age + pool.calls * cost_ms / pool.function.memory_mb
        pool.running[sandbox] = self.clock.now
        self.granted(call, sandbox)

    def _give(self, pool, sandbox):
        if self.stopped:
            return
        if pool.waiting and not self._must_yield(pool):
            _, call = pool.waiting.popleft()
            self._grant(pool, sandbox, call)
            return
        sandbox.idle_since = self.clock.now
        pool.idle.append(sandbox)
        if self._starved:
            self._serve_starved()
        if pool.idle and pool.waiting:  # it yielded, and nobody took it
            _, call = pool.waiting.popleft()
            self._grant(pool, pool.idle.pop(), call)
            return
        if sandbox.idle_since is not None and sandbox in pool.idle:
            self.idle_changed(pool.function, len(pool.idle))
            self._expire_later(sandbox)

    def _grow(self, pool):
        if self.stopped or not pool.waiting:
            return
        self._starved.pop(pool, None)
        pool.starved = False
        now = self.clock.now
        longest = max((now - since for since in pool.running.values()), default=0.0)
        live = len(pool.running) + pool.starting
        wanted = sandboxes_to_start(len(pool.waiting), live, pool.starting,
                                    max(pool.service_s, longest), pool.start_s)
        room = self.settings.function_concurrency - pool.live()
        for _ in range(min(wanted, room)):
            if self._must_yield(pool) or not self._make_room(pool.function.memory_mb):
                pool.starved = True
                self._starved[pool] = None
                return
            self._start(pool)
        if room > 0:
            self._look_later(pool)

    def _look_later(self, pool):
        """When the longest call will have run for so long that another sandbox pays: the moment in
        which looking after each start's time would find it."""
        live = len(pool.running) + pool.starting
        if not pool.running:
            return
        pays_after = pool.start_s * live / len(pool.waiting)
        at = max(min(pool.running.values()) + pays_after,
                 self.clock.now + max(pool.start_s, REGROW_S_MIN))
        if pool.look_at is None or at < pool.look_at:
            pool.look_at = at
            self.clock.at(at, self._look, pool, at)

    def _look(self, pool, at):
        if pool.look_at == at:
            pool.look_at = None
            self._grow(pool)

    def _must_yield(self, pool):
        if not self._starved or not pool.waiting:
            return False
        since = pool.waiting[0][0]
        return any(other is not pool and other.is_stuck() and other.waiting[0][0] < since
                   and self.used_mb + other.function.memory_mb > self.settings.budget_mb
                   for other in self._starved)

    def _make_room(self, memory_mb):
        while self.used_mb + memory_mb > self.settings.budget_mb:
            least = min((pool.idle[0] for pool in self.pools.values() if pool.idle),
                        key=lambda sandbox: sandbox.priority, default=None)
            if least is None:
                return False
            self.age = max(self.age, least.priority)
            self.evicted += 1
            self._end(least)
        return True

    def _end(self, sandbox):
        pool = sandbox.pool
        pool.idle.remove(sandbox)
        sandbox.idle_since = None
        self.used_mb -= pool.function.memory_mb
        self.idle_changed(pool.function, len(pool.idle))
        if not pool.live():
            pool.calls = 0  # as often called as since it last had none

    def _serve_starved(self):
        for pool in sorted((each for each in self._starved if each.waiting),
                           key=lambda each: each.waiting[0][0]):
            self._grow(pool)

    def _start(self, pool):
        settings = self.settings
        self.used_mb += pool.function.memory_mb
        pool.starting += 1
        self.started += 1
        took = 0.0
        if pool.function.number not in self.known_code:
            took = settings.code_ms.draw(self.random)
        if self.parked > 0:
            if self.parked == settings.parked:
                self.clock.after(settings.parked_refill_ms / 1000, self._refill)
            self.parked -= 1
            took += settings.start_parked_ms.draw(self.random)
        else:
            took += settings.start_anew_ms.draw(self.random)
        self.clock.after(took, self._ready, pool, took)

    def _refill(self):
        self.parked += 1
        if self.parked < self.settings.parked and not self.stopped:
            self.clock.after(self.settings.parked_refill_ms / 1000, self._refill)

    def _ready(self, pool, took):
        if self.stopped:
            return
        self.known_code.add(pool.function.number)
        pool.starting -= 1
        pool.start_s = smoothed(pool.start_s, took)
        self._give(pool, Sandbox(pool))

    def _expire_later(self, sandbox):
        if not sandbox.expiring:
            sandbox.expiring = True
            self.clock.at(sandbox.idle_since + self.settings.idle_ttl_s, self._expire, sandbox)

    def _expire(self, sandbox):
        sandbox.expiring = False
        if self.stopped or sandbox.idle_since is None:
            return
        if self.clock.now - sandbox.idle_since < self.settings.idle_ttl_s - 1e-9:
            self._expire_later(sandbox)
            return
        self.expired += 1
        self._end(sandbox)
        if self._starved:
            self._serve_starved()
