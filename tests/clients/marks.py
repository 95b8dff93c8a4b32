"""Marks: what has happened so far in a test, known to all its threads, so that nobody has to sleep."""

import threading

GUARD = 20  # seconds; the time limit of every wait, reached only when a promise is broken


class Marks:
    def __init__(self):
        self._made = set()
        self._changed = threading.Condition()
        self._closed = False

    def make(self, mark):
        with self._changed:
            self._made.add(mark)
            self._changed.notify_all()

    def wait(self, mark):
        with self._changed:
            self._changed.wait_for(lambda: mark in self._made or self._closed, GUARD)
            assert mark in self._made, f"waited in vain for {mark!r}; made so far: {sorted(self._made)}"

    def close(self):
        """Ends every wait that is still on."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()
