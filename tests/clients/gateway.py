"""Gateway: the built binary, started with a configuration of its own on free ports."""

import json
import os
import subprocess
import threading
import time
import urllib.request
from pathlib import Path

from environment import OUTSIDE
from marks import GUARD, Marks

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("STREAMGATE_BIN", ROOT / "target/debug/streamgate"))


class Gateway:
    """`backend` is a scripted one, or None for the built-in demo; `server` has lines of `[server]`, `stream` keys of `[stream]`."""

    def __init__(self, folder, backend=None, model="*", server=('drain = "1s"',), **stream):
        self.config = folder / "streamgate.toml"
        self.config.write_text(configuration(backend, model, server, stream))
        self.log = folder / "streamgate.log"
        self.marks = Marks()
        self.lines = []
        self._drains = False
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                [BINARY, "serve", "--config", self.config],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=OUTSIDE,
            )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self.marks.wait("started or ended")
        assert self.address("listening on"), f"the gateway did not start:\n{self.log.read_text()}"
        self.url = self.address("listening on")

    def address(self, words):
        return next((line.removeprefix(words).strip() for line in self.lines if line.startswith(words)), None)

    def drain(self):
        """Asks it to end, and waits until it takes no new streams."""
        self._drains = True
        self._process.terminate()
        while self._is_ready():
            time.sleep(0.01)

    def _is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/readyz", timeout=GUARD).status == 200
        except OSError:
            return False

    def close(self):
        if not self._drains:
            self._process.terminate()
        try:
            status = self._process.wait(GUARD)
        finally:
            self._process.kill()
            self._reading.join(GUARD)
        assert status == 0, f"the gateway ended with {status}:\n{self.log.read_text()}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                self.lines.append(line)
                if line.startswith("listening on"):
                    self.marks.make("started or ended")
        self.marks.make("started or ended")


def configuration(backend, model, server, stream):
    name = "scripted" if backend else "demo"
    lines = ["[server]", 'listen = "127.0.0.1:0"', *server, "[admin]", 'listen = "127.0.0.1:0"']
    lines += ["[stream]", *(f"{key} = {json.dumps(value)}" for key, value in stream.items())]
    told = backend.config | {"url": backend.url} if backend else {"api": "demo"}
    lines += ["[[backend]]", f'name = "{name}"', *(f"{key} = {toml(value)}" for key, value in told.items())]
    lines += ["[[route]]", f"model = {json.dumps(model)}", f'backends = ["{name}"]']
    return "\n".join(lines) + "\n"


def toml(value):
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{key} = {toml(inner)}" for key, inner in value.items()) + " }"
    return json.dumps(value)
