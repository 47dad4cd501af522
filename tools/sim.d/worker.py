"""One worker: calls over its lane, jobs off the queue, both on the same sandboxes."""

from clock import Loop
from dispatcher import Dispatcher

STARTING, LIVE, DRAINING, ENDED = "starting", "live", "draining", "ended"


class Call:
    """A call or a job from its arrival to its one outcome."""

    __slots__ = ("function", "arrived", "length_s", "is_job", "by_queue", "outcome", "began",
                 "began_last", "cold", "worker", "deadline", "waits", "runs", "retries")

    def __init__(self, function, arrived, length_s, is_job):
        self.function = function
        self.arrived = arrived
        self.length_s = length_s
        self.is_job = is_job
        self.by_queue = is_job
        self.outcome = None
        self.began = None  # the first time that its handler ran
        self.began_last = None
        self.cold = False
        self.worker = None
        self.deadline = None  # of a caller
        self.waits = False  # in line at the controller
        self.runs = 0  # times that its handler began
        self.retries = 0


class Worker:
    def __init__(self, fleet, number):
        settings, clock = fleet.settings, fleet.clock
        self.fleet, self.number, self.clock, self.settings = fleet, number, clock, settings
        self.state = STARTING
        self.launched = clock.now
        self.ended = None
        self.loop = Loop(clock)
        self.random = fleet.random_times
        self.lane = None  # the controller's lane scheduler that it is with
        self.outstanding = 0  # calls over the lane
        self.jobs = 0  # in hand, of job_concurrency
        self.calls = set()
        self.asking = False
        self.vanished = False
        self.dispatcher = Dispatcher(clock, settings, fleet.random_times, self._granted,
                                     self._idle_changed)

    def start(self):
        self.state = LIVE
        self.ask()

    # Jobs

    def ask(self):
        room = self.settings.job_concurrency - self.jobs
        if self.state == LIVE and room > 0 and not self.asking:
            self.asking = True
            self.fleet.queue.receive(self, room)

    def received(self, calls):
        self.asking = False
        if self.state in (DRAINING, ENDED):
            for call in calls:
                # What a vanished host was sent is invisible until its timeout.
                self.fleet.queue.give_back(
                    call, self.settings.visibility_s if self.vanished else 0.0)
            return
        for call in calls:
            self.jobs += 1
            self._take(call)
            before = self.settings.job_before_ms.draw(self.random)
            self.clock.after(before, self._dispatch, call)
        self.ask()

    # Calls

    def invoke(self, call):
        """Over the lane; its credit is taken already."""
        self._take(call)
        self._dispatch(call)

    def _take(self, call):
        call.worker = self
        self.calls.add(call)

    def _dispatch(self, call):
        if call.worker is not self:
            return
        if call.by_queue and call.deadline is not None and self.clock.now > call.deadline:
            self._end(call)  # nobody waits any more: not begun
            return
        wait = self.loop.turn(self.settings.worker_ms / 1000)
        self.clock.after(wait, self._acquire, call)

    def _acquire(self, call):
        if call.worker is self:
            self.dispatcher.acquire(call)

    def _granted(self, call, sandbox):
        if call.worker is not self:  # it went elsewhere meanwhile
            self.clock.after(0, self.dispatcher.release, sandbox, 0.0)
            return
        now = self.clock.now
        if call.began is None:
            call.began = now
            call.cold = sandbox.calls == 1
        call.began_last = now
        call.runs += 1
        self.clock.after(call.length_s, self._ran, call, sandbox)

    def _ran(self, call, sandbox):
        if self.state == ENDED:
            return
        self.dispatcher.release(sandbox, call.length_s)
        if call.worker is not self:
            return
        self.fleet.ran(call)
        if call.by_queue:
            # The slot is the job's until its outcome stands.
            self.clock.after(self.settings.job_after_ms.draw(self.random), self._end, call)
        else:
            self._end(call)

    def _end(self, call):
        if call.worker is not self:
            return
        self._let_go(call)
        if call.by_queue:
            self.fleet.queue.settled()
        self.fleet.finished(call)
        self.ask()
        self._perhaps_drained()

    def _let_go(self, call):
        self.calls.discard(call)
        call.worker = None
        if call.by_queue:
            self.jobs -= 1
        else:
            self.lane.ended(self, call)

    def _idle_changed(self, function, count):
        if self.lane is not None:
            self.lane.set_warm(self, function.number, count if self.state == LIVE else 0)

    # Its end

    def drain(self):
        """What runs may end within the grace, the rest goes back at once."""
        self.state = DRAINING
        self.fleet.queue.withdraw(self)
        self.lane.remove(self)
        self.clock.after(self.settings.grace_s, self._grace_over)
        self._perhaps_drained()

    def _perhaps_drained(self):
        if self.state == DRAINING and not self.calls:
            self._gone()

    def _grace_over(self):
        if self.state == DRAINING:
            self._give_up_calls(0.0)
            self._gone()

    def vanish(self):
        """Power cut: jobs come back after their visibility timeout, calls are lost."""
        self.vanished = True
        self.fleet.queue.withdraw(self)
        self.lane.remove(self)
        self.dispatcher.stop()
        self._give_up_calls(self.settings.visibility_s)
        self._gone()

    def _give_up_calls(self, after_s):
        # Sets have no order that a seed would repeat.
        for call in sorted(self.calls, key=lambda each: each.arrived):
            self._let_go(call)
            if call.by_queue:
                call.retries += 1
                self.fleet.queue.give_back(call, after_s)
            else:
                self.fleet.lane_lost(call)

    def _gone(self):
        self.state = ENDED
        self.ended = self.clock.now
        self.dispatcher.stop()
        self.fleet.worker_gone(self)
