"""An EC2 Auto Scaling group that follows the backlog per worker, and its warm pool.

Target tracking as its alarms do it: so many looks in a row above the target add what the backlog
asks for, hosts that are starting included; so many below nine tenths of it take a share away. A
host is paid for from its launch until it is gone."""

import collections
import math

from worker import DRAINING, ENDED, LIVE, STARTING, Worker

LOW_SHARE = 0.9
SMOOTHED_LOOKS = 15  # as many as target tracking waits for before it takes hosts away


class Group:
    def __init__(self, fleet):
        self.fleet, self.clock, self.settings = fleet, fleet.clock, fleet.settings
        self.workers = []  # all that ever were
        self.active = {}  # those not ended, in order of launch
        self.stopped_instances = self.settings.warm_pool
        self.stopped_s = 0.0  # instance seconds of the warm pool
        self._stopped_since = 0.0
        self.launches = self.warm_launches = self.removals = 0
        self.timeline = []  # (time, live, starting, backlog)
        self._recent = collections.deque(maxlen=SMOOTHED_LOOKS)  # of visible messages
        self._high = self._low = 0
        self._changed = -math.inf

    def begin(self):
        for _ in range(self.settings.workers):
            worker = self._new_worker()
            self._live(worker)
        if self.settings.scaling:
            self.clock.after(self.settings.evaluation_s, self._look)

    def live(self):
        return [each for each in self.active if each.state == LIVE]

    def count(self, state):
        return sum(each.state == state for each in self.active)

    def gone(self, worker):
        del self.active[worker]
        if worker.vanished:
            self.launch(1)  # the group replaces it

    def launch(self, count):
        for _ in range(count):
            low, high = self.settings.instance_start_s
            if self.stopped_instances > 0:
                low, high = self.settings.warm_start_s
                self._change_warm_pool(-1)
                self.warm_launches += 1
                # The pool is made whole again: a new instance is started once and stopped.
                self.clock.after(self.settings.instance_start_s[1], self._change_warm_pool, 1)
            self.launches += 1
            worker = self._new_worker()
            self.clock.after(self.fleet.random_hosts.uniform(low, high), self._live, worker)

    def settle(self, until):
        self._count_stopped(until)

    def _new_worker(self):
        worker = Worker(self.fleet, len(self.workers))
        self.workers.append(worker)
        self.active[worker] = None
        return worker

    def _live(self, worker):
        worker.start()
        self.fleet.lanes_for(worker).add(worker)
        rate = self.settings.failures_per_hour
        if rate > 0:
            self.clock.after(self.fleet.random_hosts.expovariate(rate / 3600), self._fail, worker)

    def _fail(self, worker):
        if worker.state in (LIVE, DRAINING) and not self.fleet.is_over():
            worker.vanish()

    def _change_warm_pool(self, change):
        self._count_stopped(self.clock.now)
        self.stopped_instances += change

    def _count_stopped(self, now):
        now = min(now, self.settings.duration_s)
        self.stopped_s += self.stopped_instances * max(0.0, now - self._stopped_since)
        self._stopped_since = max(self._stopped_since, now)

    def _look(self):
        settings = self.settings
        live, starting = self.count(LIVE), self.count(STARTING)
        backlog = self._backlog(live)
        self.timeline.append((self.clock.now, live, starting, len(self.fleet.queue.visible)))
        per_worker = backlog / max(live, 1)
        self._high = self._high + 1 if per_worker > settings.target else 0
        self._low = self._low + 1 if per_worker < settings.target * LOW_SHARE else 0
        if self.clock.now - self._changed >= settings.cooldown_s:
            wanted = math.ceil(max(live, 1) * per_worker / settings.target)
            if self._high >= settings.out_after:
                self._grow(wanted - live - starting, live + starting)
            elif self._low >= settings.in_after:
                self._shrink(wanted, live, starting)
        if not self.fleet.is_over():
            self.clock.after(settings.evaluation_s, self._look)

    def _backlog(self, live):
        settings, queue = self.settings, self.fleet.queue
        visible = len(queue.visible)
        if settings.backlog == "all":
            return visible + queue.in_flight
        if settings.backlog == "beyond":
            return visible + max(0, queue.in_flight - live * settings.job_concurrency)
        if settings.backlog == "smoothed":
            self._recent.append(visible)
            return sum(self._recent) / len(self._recent)
        return visible

    def _grow(self, more, size):
        more = min(more, self.settings.workers_max - size)
        if more > 0:
            self._changed = self.clock.now
            self.launch(more)

    def _shrink(self, wanted, live, starting):
        least = max(wanted, self.settings.workers_min,
                    math.floor((live + starting) * (1 - self.settings.in_share)))
        victims = self.fleet.random_hosts.sample(self.live(), max(0, min(live, live + starting -
                                                                         least)))
        for worker in victims:
            self._changed = self.clock.now
            self.removals += 1
            worker.drain()

    def instance_seconds(self):
        """Within the time in which calls arrive."""
        until = self.settings.duration_s
        return sum(max(0.0, min(until, until if each.state != ENDED else each.ended) -
                       min(until, each.launched)) for each in self.workers)
