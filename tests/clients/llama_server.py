"""LlamaServer: a real server of llama.cpp with the model of `llama_model`, on a free port."""

import json
import subprocess
import sys
import threading
import time
import urllib.request
from pathlib import Path

from environment import OUTSIDE
from llama_model import make
from marks import GUARD, Marks

SERVE = Path(__file__).with_name("llama_serve.py")


class LlamaServer:
    """Works on `slots` requests at a time, and reads prompts in pieces of `batch` tokens."""

    config = {"api": "openai", "sampling_extensions": True}

    def __init__(self, folder, slots=4, batch=512):
        model = folder / "table.gguf"
        if not model.exists():
            make(model)
        self._log = folder / f"llama-{time.monotonic_ns()}.log"
        self._marks = Marks()
        self.url = None
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [sys.executable, SERVE, model, str(slots), str(batch)],
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                env=OUTSIDE,
            )
        self._reading = threading.Thread(target=self._read, daemon=True)
        self._reading.start()
        self._marks.wait("started or ended")
        assert self.url, f"the server of llama.cpp did not start:\n{self._log.read_text()[-2000:]}"

    def kill(self):
        self._process.kill()
        self._process.wait(GUARD)
        self._reading.join(GUARD)

    def busy(self):
        """The slots that work, each with how many tokens it has written."""
        with urllib.request.urlopen(f"{self.url}/slots", timeout=GUARD) as answer:
            slots = json.load(answer)
        return {slot["id"]: written(slot) for slot in slots if slot["is_processing"]}

    def wait(self, holds, words):
        """Waits until something holds of the slots that work."""
        deadline = time.monotonic() + GUARD
        while not holds(busy := self.busy()):
            assert time.monotonic() < deadline, f"waited in vain until {words}; at work: {busy}"
            time.sleep(0.01)
        return busy

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.kill()

    def _read(self):
        with self._process.stdout as lines:
            for line in lines:
                if line.startswith("listening on "):
                    self.url = line.removeprefix("listening on ").strip()
                    self._marks.make("started or ended")
        self._marks.make("started or ended")


def written(slot):
    return sum(token.get("n_decoded", 0) for token in slot.get("next_token", []))
