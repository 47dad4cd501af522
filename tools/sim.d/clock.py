"""The clock of the simulation: events in order of time; of the same time, in order of asking."""

import heapq


class Clock:
    """Seconds from the start. Callbacks may ask for more; nothing runs between two events."""

    def __init__(self):
        self.now = 0.0
        self._events = []
        self._asked = 0
        self._stopped = False

    def at(self, time, what, *arguments):
        self._asked += 1
        heapq.heappush(self._events, (max(time, self.now), self._asked, what, arguments))

    def after(self, delay, what, *arguments):
        self.at(self.now + delay, what, *arguments)

    def stop(self):
        self._stopped = True

    def run(self):
        """Until stop(), or until nothing is left to happen."""
        events = self._events
        while events and not self._stopped:
            self.now, _, what, arguments = heapq.heappop(events)
            what(*arguments)


class Loop:
    """One event loop thread: what it is given is done in turn, each taking its time of it."""

    def __init__(self, clock):
        self.clock = clock
        self.free_at = 0.0
        self.busy_s = 0.0

    def turn(self, seconds):
        """How long from now until work of so many seconds is done."""
        start = max(self.clock.now, self.free_at)
        self.free_at = start + seconds
        self.busy_s += seconds
        return self.free_at - self.clock.now
