"""Gateway: the built binary, started with a configuration of its own on free ports."""

import json
import os
import time
import urllib.request
from pathlib import Path

from marks import GUARD
from program import Program

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("STREAMGATE_BIN", ROOT / "target/debug/streamgate"))


class Gateway:
    """`backend` is a scripted one, or None for the built-in demo; `server` has lines of `[server]`, `stream` keys of `[stream]`."""

    def __init__(self, folder, backend=None, model="*", server=('drain = "1s"',), **stream):
        self.config = folder / "streamgate.toml"
        self.config.write_text(configuration(backend, model, server, stream))
        self._drains = False
        self._program = Program([BINARY, "serve", "--config", self.config], folder / "streamgate.log")
        self.url = self._program.url

    @property
    def log(self):
        return self._program.log

    def address(self, words):
        return self._program.address(words)

    def drain(self):
        """Asks it to end, and waits until it takes no new streams."""
        self._drains = True
        self._program.terminate()
        while self._is_ready():
            time.sleep(0.01)

    def _is_ready(self):
        try:
            return urllib.request.urlopen(f"{self.url}/readyz", timeout=GUARD).status == 200
        except OSError:
            return False

    def close(self):
        if not self._drains:
            self._program.terminate()
        status = self._program.wait()
        assert status == 0, f"the gateway ended with {status}:\n{self.log.read_text()}"

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()


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
