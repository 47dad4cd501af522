"""Everything together: what arrives, the controllers, the queue, the group of workers."""

import itertools
import random

from clock import Clock, Loop
from job_queue import JobQueue
from lane import Lanes
from scaling import Group
from worker import LIVE, Call
from workload import functions_of, length_of_call, mean_execution_s


class Fleet:
    """One run. What arrives depends on the seed and the workload alone, so that two fleets with
    other policies meet the same calls."""

    def __init__(self, settings, arrivals=None):
        """`arrivals`: (seconds, is_job) of each in place of random ones."""
        self.settings = settings
        self.clock = Clock()
        seeds = random.Random(settings.seed)
        self._random_arrivals, random_functions, self.random_times, self.random_hosts, \
            random_queue = (random.Random(seeds.getrandbits(64)) for _ in range(5))
        self.functions = functions_of(settings, random_functions)
        self._sum_of_weights = list(itertools.accumulate(each.weight for each in self.functions))
        self.rate = settings.rate
        if settings.load > 0:
            slots = max(settings.workers, 1) * settings.job_concurrency
            self.rate = settings.load * slots / mean_execution_s(self.functions)
        self.queue = JobQueue(self.clock, settings, random_queue)
        self.controllers = [(Loop(self.clock), Lanes(self.clock, settings, self._send))
                            for _ in range(settings.controllers)]
        self.group = Group(self)
        self._recorded_arrivals = arrivals
        self.arrived = 0
        self.open = 0  # that have arrived and have no outcome
        self.ended = []  # every call, in order of its end
        self.execution_s = self.memory_mb_s = 0.0
        self.repeated = self.through_queue = 0

    def run(self):
        self.group.begin()
        if self._recorded_arrivals is None:
            self._next_arrival()
        else:
            for time, is_job in self._recorded_arrivals:
                self.clock.at(time, self._arrive, is_job)
        self.clock.at(self.settings.duration_s, self._perhaps_over)
        self.clock.run()
        self.group.settle(self.settings.duration_s)
        return self

    def is_over(self):
        return self.clock.now >= self.settings.duration_s and self.open == 0

    def lanes_for(self, worker):
        return self.controllers[worker.number % len(self.controllers)][1]

    # What arrives

    def _rate_now(self):
        surge = self.settings.surge
        if surge is not None and surge[0] <= self.clock.now < surge[1]:
            return self.rate * surge[2]
        return self.rate

    def _next_arrival(self):
        """Thinning: drawn at the highest rate, and taken as often as the present one is of it."""
        surge = self.settings.surge
        highest = self.rate * max(1.0, surge[2] if surge else 1.0)
        if highest > 0:
            at = self.clock.now + self._random_arrivals.expovariate(highest)
            if at < self.settings.duration_s:
                self.clock.at(at, self._perhaps_arrive, highest)

    def _perhaps_arrive(self, highest):
        draws = self._random_arrivals
        rate = self._rate_now()
        if rate >= highest or draws.random() < rate / highest:
            self._arrive(draws.random() < self.settings.async_share)
        self._next_arrival()

    def _arrive(self, is_job):
        draws = self._random_arrivals
        function = draws.choices(self.functions, cum_weights=self._sum_of_weights)[0]
        length = length_of_call(function, self.settings, draws)
        call = Call(function, self.clock.now, length, is_job)
        loop, lanes = self.controllers[self.arrived % len(self.controllers)]
        self.arrived += 1
        self.open += 1
        wait = loop.turn(self.settings.controller_ms / 1000)
        if is_job:
            self.clock.after(wait, self._to_queue, call)
        else:
            call.deadline = self.clock.now + self.settings.caller_deadline_s
            self.clock.after(wait, self._to_lane, call, lanes)

    def _to_queue(self, call):
        call.by_queue = True
        self.clock.after(self.settings.send_ms.draw(self.random_times), self.queue.put, call)

    def _to_lane(self, call, lanes):
        if not lanes.enqueue(call):
            self.through_queue += 1
            self._to_queue(call)
        elif call.waits:
            self.clock.after(self.settings.credit_wait_s, self._no_credit, call, lanes)

    def _no_credit(self, call, lanes):
        if lanes.withdraw(call):
            self.through_queue += 1
            self._to_queue(call)

    def _send(self, call, worker):
        self.clock.after(self.settings.lane_ms.draw(self.random_times), self._receive, call, worker)

    def _receive(self, call, worker):
        if worker.state == LIVE:
            worker.invoke(call)
        else:  # it drains, or is gone: another one
            worker.lane.ended(worker, call)
            self._to_lane(call, worker.lane)

    # What workers tell

    def lane_lost(self, call):
        if call.runs:
            call.outcome = "lost"
            self._settle(call)
        else:
            self._to_lane(call, self.controllers[0][1])

    def ran(self, call):
        """Its handler has returned."""
        until = self.settings.duration_s
        within = max(0.0, min(self.clock.now, until) - min(call.began_last, until))
        self.execution_s += within
        self.memory_mb_s += within * call.function.memory_mb
        self.repeated += call.runs > 1

    def finished(self, call):
        late = call.deadline is not None and self.clock.now > call.deadline
        call.outcome = "late" if late or not call.runs else "done"
        self._settle(call)

    def worker_gone(self, worker):
        self.group.gone(worker)

    def _settle(self, call):
        self.ended.append(call)
        self.open -= 1
        self._perhaps_over()

    def _perhaps_over(self):
        if self.is_over():
            self.clock.stop()
