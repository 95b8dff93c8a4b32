"""Curl: a real `curl -N` whose pipe is read as its bytes come, with the moment of every read."""

import json
import os
import select
import subprocess
import time

from marks import GUARD


class Curl:
    def __init__(self, url, body):
        command = ["curl", "--no-buffer", "--silent", "--include", "--noproxy", "*", "--json", json.dumps(body), url]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, bufsize=0)
        self.output = b""
        self.arrivals = []  # (moment, bytes) of every read

    def read_until(self, needle):
        while needle not in self.output:
            assert self._read(), f"curl ended without {needle!r}: {self.output!r}"

    def read_all(self):
        """Reads to the end; returns curl's exit code."""
        while self._read():
            pass
        return self._process.wait(GUARD)

    @property
    def head(self):
        """The header fields, names in lower case."""
        lines = self.output.partition(b"\r\n\r\n")[0].decode().split("\r\n")[1:]
        return {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}

    @property
    def body(self):
        return self.output.partition(b"\r\n\r\n")[2]

    def kill(self):
        self._process.kill()
        self._process.wait(GUARD)

    def close(self):
        self.kill()
        self._process.stdout.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        readable, _, _ = select.select([self._process.stdout], [], [], GUARD)
        assert readable, f"curl is silent; so far: {self.output!r}"
        data = os.read(self._process.stdout.fileno(), 65536)
        self.arrivals.append((time.monotonic(), data))
        self.output += data
        return data
