"""Program: a server that runs for a test, and says `listening on ADDRESS` once it is ready."""

import subprocess
import threading

from environment import OUTSIDE
from marks import GUARD, Marks

READY = "listening on"


class Program:
    def __init__(self, command, log):
        self.log = log
        self.lines = []
        self._marks = Marks()
        with log.open("wb") as file:
            self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=file, text=True, env=OUTSIDE)
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self._marks.wait("started or ended")
        self.url = self.address(READY)
        assert self.url, f"{command[0]} did not start:\n{self.log.read_text()[-2000:]}"

    def address(self, words):
        return next((line.removeprefix(words).strip() for line in self.lines if line.startswith(words)), None)

    def terminate(self):
        self.process.terminate()

    def wait(self):
        """Its status when it has ended; it is killed if it does not end by itself."""
        try:
            return self.process.wait(GUARD)
        finally:
            self.kill()

    def kill(self):
        self.process.kill()
        self.process.wait(GUARD)
        self._reading.join(GUARD)

    def _read(self):
        with self.process.stdout as lines:
            for line in lines:
                self.lines.append(line)
                if line.startswith(READY):
                    self._marks.make("started or ended")
        self._marks.make("started or ended")
