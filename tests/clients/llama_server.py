"""LlamaServer: a real server of llama.cpp with the model of `llama_model`, on a free port."""

import json
import sys
import time
import urllib.request
from pathlib import Path

from llama_model import make
from marks import GUARD
from program import Program

SERVE = Path(__file__).with_name("llama_serve.py")


class LlamaServer:
    """Works on `slots` requests at a time, and reads prompts in pieces of `batch` tokens."""

    config = {"api": "openai", "sampling_extensions": True}

    def __init__(self, folder, slots=4, batch=512):
        model = folder / "table.gguf"
        if not model.exists():
            make(model)
        command = [sys.executable, SERVE, model, str(slots), str(batch)]
        self._program = Program(command, folder / f"llama-{time.monotonic_ns()}.log")
        self.url = self._program.url

    def kill(self):
        self._program.kill()

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


def written(slot):
    return sum(token.get("n_decoded", 0) for token in slot.get("next_token", []))
