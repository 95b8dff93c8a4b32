"""OllamaAnswer: a scripted answer in the words of an Ollama server."""

import json

from answer import Answer
from reply import Reply

MOMENT = "2026-03-01T12:00:00.123456789Z"
DETAILS = {
    "parent_model": "",
    "format": "gguf",
    "family": "quill",
    "families": ["quill"],
    "parameter_size": "1B",
    "quantization_level": "Q4_0",
}


class OllamaAnswer(Answer):
    dialect = "ollama"
    paths = {"/api/chat", "/api/generate", "/api/embed", "/api/embeddings"}
    content_type = "application/x-ndjson"

    def wants_stream(self):
        return self.request.json.get("stream", True)

    def open(self, _=None):
        self.begin()

    def think(self, text):
        self._line(self._piece("", thinking=text))

    def say(self, text):
        self._line(self._piece(text))

    def call(self, *calls):
        for call in calls:
            self._line(self._piece("", tool_calls=[self._call(call)]))

    def finish(self, reply=Reply()):
        self._line(self._piece("") | self._closing(reply))
        self.end()

    def tell(self, message):
        self.send(json.dumps({"error": message}).encode() + b"\n")

    def refuse(self, status, message):
        self.whole({"error": message}, status)

    def message(self, reply):
        extra = {}
        if reply.thinking:
            extra["thinking"] = "".join(reply.thinking)
        if reply.calls:
            extra["tool_calls"] = [self._call(call) for call in reply.calls]
        return self._head_of_line() | self._piece("".join(reply.text + reply.refusal), **extra) | self._closing(reply)

    def embed(self, vectors):
        model = self.request.json["model"]
        self.whole({"model": model, "embeddings": vectors, "total_duration": 9, "prompt_eval_count": 4})

    def browse(self, models):
        """Requests that need no script."""
        path = self.request.path
        cards = [{"name": m, "model": m, "size": 7, "digest": "ab" * 32, "details": DETAILS} for m in models]
        if path == "/api/tags":
            self.whole({"models": [card | {"modified_at": MOMENT} for card in cards]})
        elif path == "/api/ps":
            self.whole({"models": [card | {"expires_at": MOMENT, "size_vram": 5} for card in cards[:1]]})
        elif path == "/api/version":
            self.whole({"version": "0.30.0"})
        elif path == "/api/show":
            self._show(models)
        else:
            self.refuse(404, f"nothing at {path}")

    def _show(self, models):
        name = self.request.json.get("model") or self.request.json.get("name")
        if name not in models:
            return self.refuse(404, f"model '{name}' not found")
        about = {"general.architecture": "quill", "quill.context_length": 4096}
        capabilities = ["completion", "tools", "thinking"]
        self.whole({"details": DETAILS, "model_info": about, "capabilities": capabilities, "modified_at": MOMENT})

    def _piece(self, text, **extra):
        if self.request.path == "/api/generate":
            return {"response": text, "done": False, **extra}
        return {"message": {"role": "assistant", "content": text, **extra}, "done": False}

    def _call(self, call):
        return {"id": call.id, "function": {"name": call.name, "arguments": call.arguments}}

    def _closing(self, reply):
        return {
            "done": True,
            "done_reason": "length" if reply.finish == "length" else "stop",
            "total_duration": 900,
            "load_duration": 100,
            "prompt_eval_count": reply.usage.prompt,
            "prompt_eval_duration": 300,
            "eval_count": reply.usage.completion,
            "eval_duration": 500,
        }

    def _head_of_line(self):
        return {"model": self.request.json["model"], "created_at": MOMENT}

    def _line(self, value):
        self.send(json.dumps(self._head_of_line() | value, ensure_ascii=False).encode() + b"\n")
