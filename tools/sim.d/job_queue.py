"""SQS as a fleet sees it: messages that nobody has, workers that wait for them.

A receive is answered with what is there, at most ten, or with the first message that comes; which
of the waiting workers has it is random. Order is kept, which SQS does not promise."""

import collections

RECEIVE_MAX = 10


class JobQueue:
    def __init__(self, clock, settings, random):
        self.clock, self.settings, self.random = clock, settings, random
        self.visible = collections.deque()
        self.in_flight = 0
        self._waiting = []  # (worker, most that it takes)
        self._place = {}  # worker: where in _waiting

    def put(self, call):
        """Visible from now on."""
        if self._waiting:
            worker, _ = self._take_waiting(self.random.randrange(len(self._waiting)))
            self._deliver(worker, [call])
        else:
            self.visible.append(call)

    def receive(self, worker, most):
        """worker.received(calls) is called later, once. One request of a worker at a time."""
        most = min(most, RECEIVE_MAX)
        if self.visible:
            count = min(most, len(self.visible))
            self._deliver(worker, [self.visible.popleft() for _ in range(count)])
        else:
            self._place[worker] = len(self._waiting)
            self._waiting.append((worker, most))

    def withdraw(self, worker):
        """It waits no longer; what was sent to it still arrives."""
        if worker in self._place:
            self._take_waiting(self._place[worker])

    def settled(self):
        self.in_flight -= 1

    def give_back(self, call, after_s=0.0):
        self.in_flight -= 1
        if after_s > 0:
            self.clock.after(after_s, self.put, call)
        else:
            self.put(call)

    def _deliver(self, worker, calls):
        self.in_flight += len(calls)
        self.clock.after(self.settings.receive_ms.draw(self.random), worker.received, calls)

    def _take_waiting(self, at):
        taken = self._waiting[at]
        last = self._waiting.pop()
        if last is not taken:
            self._waiting[at] = last
            self._place[last[0]] = at
        del self._place[taken[0]]
        return taken
