"""The controller's side of lanes: ctrl/lane_scheduler.h as events.

Functions with waiting calls take turns; while others are in use none takes a credit when it has
seven times as many as are free, and the last one only when it has none; a call goes to a worker
that has told of an idle sandbox, otherwise to the least loaded. A call that has waited for a
second, or finds its line full, goes through the queue."""

import collections

FUNCTION_LINE_MAX = 100
LINE_MAX = 1000
USE_REMEMBERED_S = 60.0
TAKEN_PER_FREE = 7


class Line:
    def __init__(self):
        self.waiting = collections.deque()
        self.running = 0
        self.warm = {}  # worker: idle sandboxes, as far as is known
        self.last_called = None


class Lanes:
    """All of one controller. `send(call, worker)` hands a call over."""

    def __init__(self, clock, settings, send):
        self.clock, self.settings, self._send = clock, settings, send
        self._window = settings.lane_window
        self._levels = [{} for _ in range(self._window + 1)]  # workers by calls that they have
        self._lanes = 0
        self._taken = 0
        self._lines = {}
        self._recent = collections.OrderedDict()  # function: None; the last called at the end
        self._ready = collections.deque()  # functions with waiting calls, in turn
        self.waiting = 0

    def add(self, worker):
        worker.lane = self
        self._lanes += 1
        self._levels[0][worker] = None
        self.pump()

    def remove(self, worker):
        if self._levels[worker.outstanding].pop(worker, self) is not self:
            self._lanes -= 1
            self._taken -= worker.outstanding
            for line in self._lines.values():
                line.warm.pop(worker, None)

    def set_warm(self, worker, function, count):
        line = self._line_of(function)
        if count and worker in self._levels[worker.outstanding]:
            line.warm[worker] = count
        else:
            line.warm.pop(worker, None)

    def enqueue(self, call):
        """False: it has to go another way, at once."""
        number = call.function.number
        line = self._line_of(number)
        line.last_called = self.clock.now
        self._recent[number] = None
        self._recent.move_to_end(number)
        if not self._lanes or len(line.waiting) >= FUNCTION_LINE_MAX or self.waiting >= LINE_MAX:
            return False
        if not line.waiting:
            self._ready.append(number)
        line.waiting.append(call)
        call.waits = True
        self.waiting += 1
        self.pump()
        return True

    def withdraw(self, call):
        """True when it still waited."""
        if not call.waits:
            return False
        line = self._lines[call.function.number]
        line.waiting.remove(call)
        call.waits = False
        self.waiting -= 1
        if not line.waiting:
            self._ready.remove(call.function.number)
        return True

    def ended(self, worker, call):
        self._lines[call.function.number].running -= 1
        self._move(worker, -1)
        self.pump()

    def pump(self):
        passed = 0
        while self._ready and passed < len(self._ready) and self._taken < self._total():
            number = self._ready.popleft()
            line = self._lines[number]
            worker = self._choose(line) if self._may_take(number, line) else None
            if worker is None:
                self._ready.append(number)
                passed += 1
                continue
            passed = 0
            call = line.waiting.popleft()
            call.waits = False
            self.waiting -= 1
            if line.waiting:
                self._ready.append(number)
            line.running += 1
            self._move(worker, 1)
            self._send(call, worker)

    def _total(self):
        return self._lanes * self._window

    def _line_of(self, function):
        found = self._lines.get(function)
        if found is None:
            found = self._lines[function] = Line()
        return found

    def _move(self, worker, change):
        listed = self._levels[worker.outstanding].pop(worker, self) is not self
        worker.outstanding += change
        if listed:
            self._levels[worker.outstanding][worker] = None
            self._taken += change

    def _may_take(self, number, line):
        other = next((each for each in reversed(self._recent) if each != number), None)
        if not line.running or other is None or \
                self.clock.now - self._lines[other].last_called >= USE_REMEMBERED_S:
            return True
        free = self._total() - self._taken
        return free > 1 and line.running < TAKEN_PER_FREE * free

    def _choose(self, line):
        best = None
        for worker in line.warm:
            if worker.outstanding < self._window and \
                    (best is None or worker.outstanding < best.outstanding):
                best = worker
                if best.outstanding == 0:
                    break
        if best is not None:
            line.warm[best] -= 1
            if not line.warm[best]:
                del line.warm[best]
            return best
        for level in self._levels[:-1]:
            if level:
                return next(iter(level))
        return None
