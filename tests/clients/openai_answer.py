"""OpenaiAnswer: a scripted answer in the words of an OpenAI-compatible model server."""

import base64
import json
import struct
from urllib.parse import unquote

from answer import Answer
from reply import Reply
from sse import event, halves


class OpenaiAnswer(Answer):
    dialect = "openai"
    paths = {"/v1/chat/completions", "/v1/completions", "/v1/embeddings"}
    content_type = "text/event-stream"

    def wants_stream(self):
        return self.request.json.get("stream", False)

    def open(self, _=None):
        self.begin()
        self._delta({"role": "assistant", "content": ""})

    def think(self, text):
        self._delta({"reasoning_content": text})

    def say(self, text):
        self._delta({"content": text})

    def decline(self, text):
        self._delta({"refusal": text})

    def call(self, *calls):
        """One after the other."""
        for index, call in enumerate(calls):
            self._begin_call(index, call)
            for fragment in halves(json.dumps(call.arguments)):
                self._add_to_call(index, fragment)

    def interleave(self, *calls):
        """All of them opened, then the fragments of their arguments in turn."""
        for index, call in enumerate(calls):
            self._begin_call(index, call)
        for fragments in zip(*(halves(json.dumps(call.arguments)) for call in calls)):
            for index, fragment in enumerate(fragments):
                self._add_to_call(index, fragment)

    def finish(self, reply=Reply()):
        self.send(event(self._chunk([{"index": 0, **self._piece({}), "finish_reason": self._reason(reply)}])))
        if (self.request.json.get("stream_options") or {}).get("include_usage"):
            self.send(event(self._chunk([]) | {"usage": self._usage(reply)}))
        self.send(b"data: [DONE]\n\n")
        self.end()

    def tell(self, message):
        self.send(event({"error": {"message": message, "type": "server_error", "param": None, "code": None}}))

    def refuse(self, status, message):
        self.whole({"error": {"message": message, "type": "scripted", "param": None, "code": None}}, status)

    def message(self, reply):
        message = {"role": "assistant", "content": "".join(reply.text) or None}
        message["refusal"] = "".join(reply.refusal) or None
        if reply.thinking:
            message["reasoning_content"] = "".join(reply.thinking)
        if reply.calls:
            message["tool_calls"] = [
                {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}}
                for c in reply.calls
            ]
        legacy = {"text": "".join(reply.text), "logprobs": None}
        choice = legacy if self._is_legacy() else {"message": message}
        answer = self._chunk([{"index": 0, **choice, "finish_reason": self._reason(reply)}])
        return answer | {"object": answer["object"].removesuffix(".chunk"), "usage": self._usage(reply)}

    def embed(self, vectors):
        if self.request.json.get("encoding_format") == "base64":
            vectors = [base64.b64encode(struct.pack(f"<{len(v)}f", *v)).decode() for v in vectors]
        data = [{"object": "embedding", "index": i, "embedding": v} for i, v in enumerate(vectors)]
        usage = {"prompt_tokens": 4, "total_tokens": 4}
        self.whole({"object": "list", "model": self.request.json["model"], "data": data, "usage": usage})

    def browse(self, models):
        """Requests that need no script."""
        cards = [{"id": m, "object": "model", "created": 1_700_000_000, "owned_by": "press"} for m in models]
        wanted = unquote(self.request.path.removeprefix("/v1/models/"))
        if self.request.path == "/v1/models":
            self.whole({"object": "list", "data": cards})
        elif wanted in models:
            self.whole(cards[models.index(wanted)])
        else:
            self.refuse(404, f"nothing at {self.request.path}")

    def _begin_call(self, index, call):
        function = {"name": call.name, "arguments": ""}
        self._delta({"tool_calls": [{"index": index, "id": call.id, "type": "function", "function": function}]})

    def _add_to_call(self, index, fragment):
        self._delta({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]})

    def _is_legacy(self):
        return self.request.path == "/v1/completions"

    def _delta(self, delta):
        self.send(event(self._chunk([{"index": 0, **self._piece(delta), "finish_reason": None}])))

    def _piece(self, delta):
        return {"text": delta.get("content", ""), "logprobs": None} if self._is_legacy() else {"delta": delta}

    def _chunk(self, choices):
        return {
            "id": "cmpl-quill" if self._is_legacy() else "chatcmpl-quill",
            "object": "text_completion" if self._is_legacy() else "chat.completion.chunk",
            "created": 1_700_000_000,
            "model": self.request.json["model"],
            "choices": choices,
        }

    def _reason(self, reply):
        if reply.finish == "refusal":
            return "content_filter"
        return "tool_calls" if reply.calls and reply.finish == "stop" else reply.finish

    def _usage(self, reply):
        prompt, completion = reply.usage.prompt, reply.usage.completion
        usage = {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}
        if reply.usage.cached:
            usage["prompt_tokens_details"] = {"cached_tokens": reply.usage.cached}
        if reply.usage.reasoning:
            usage["completion_tokens_details"] = {"reasoning_tokens": reply.usage.reasoning}
        return usage
