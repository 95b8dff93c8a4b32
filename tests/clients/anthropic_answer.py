"""AnthropicAnswer: a scripted answer in the words of Anthropic's Messages API."""

import json
from urllib.parse import unquote

from answer import Answer
from reply import Reply, Usage
from sse import event, halves

MOMENT = "2026-03-01T12:00:00Z"
STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "refusal": "refusal"}


class AnthropicAnswer(Answer):
    dialect = "anthropic"
    paths = {"/v1/messages", "/v1/messages/count_tokens"}
    content_type = "text/event-stream"

    def __init__(self, *args):
        super().__init__(*args)
        self._kind = None  # of the block that is open
        self._index = -1
        self._called = False

    def wants_stream(self):
        return self.request.json.get("stream", False)

    def open(self, usage=Usage()):
        self.begin()
        self._event("message_start", message=self._message([], None, usage) | {"usage": spent(usage, 1)})
        self._event("ping")

    def think(self, text):
        self._enter("thinking", thinking="", signature="")
        self._delta("thinking_delta", thinking=text)

    def sign(self, signature):
        self._enter("thinking", thinking="", signature="")
        self._delta("signature_delta", signature=signature)

    def redact(self, data):
        self._leave()
        self._enter("redacted_thinking", data=data)
        self._leave()

    def say(self, text):
        self._enter("text", text="")
        self._delta("text_delta", text=text)

    def call(self, *calls):
        """One after the other: blocks of this dialect never overlap."""
        self._called = True
        for call in calls:
            self._leave()
            self._enter("tool_use", id=call.id, name=call.name, input={})
            for fragment in ("", *halves(json.dumps(call.arguments))):
                self._delta("input_json_delta", partial_json=fragment)
            self._leave()

    def finish(self, reply=Reply()):
        self._leave()
        delta = {"stop_reason": self._reason(reply), "stop_sequence": None}
        self._event("message_delta", delta=delta, usage=spent(reply.usage, reply.usage.completion))
        self._event("message_stop")
        self.end()

    def tell(self, message):
        self._event("error", error={"type": "api_error", "message": message})

    def refuse(self, status, message):
        self.whole({"type": "error", "error": {"type": "scripted_error", "message": message}}, status)

    def message(self, reply):
        content = []
        if reply.thinking or reply.signature:
            thinking = "".join(reply.thinking)
            content.append({"type": "thinking", "thinking": thinking, "signature": reply.signature or ""})
        if reply.redacted:
            content.append({"type": "redacted_thinking", "data": reply.redacted})
        if said := "".join(reply.text + reply.refusal):
            content.append({"type": "text", "text": said})
        content += [{"type": "tool_use", "id": c.id, "name": c.name, "input": c.arguments} for c in reply.calls]
        self._called = bool(reply.calls)
        return self._message(content, self._reason(reply), reply.usage)

    def browse(self, models):
        """Requests that need no script."""
        cards = [{"type": "model", "id": m, "display_name": m.title(), "created_at": MOMENT} for m in models]
        wanted = unquote(self.request.path.removeprefix("/v1/models/"))
        if self.request.path == "/v1/models":
            self.whole({"data": cards, "has_more": False, "first_id": models[0], "last_id": models[-1]})
        elif wanted in models:
            self.whole(cards[models.index(wanted)])
        else:
            self.refuse(404, f"nothing at {self.request.path}")

    def _message(self, content, reason, usage):
        return {
            "id": "msg_quill",
            "type": "message",
            "role": "assistant",
            "model": self.request.json["model"],
            "content": content,
            "stop_reason": reason,
            "stop_sequence": None,
            "usage": spent(usage, usage.completion),
        }

    def _reason(self, reply):
        return "tool_use" if self._called and reply.finish == "stop" else STOP_REASONS[reply.finish]

    def _enter(self, kind, **block):
        if self._kind != kind:
            self._leave()
            self._kind = kind
            self._index += 1
            self._event("content_block_start", index=self._index, content_block={"type": kind, **block})

    def _leave(self):
        if self._kind:
            self._kind = None
            self._event("content_block_stop", index=self._index)

    def _delta(self, kind, **delta):
        self._event("content_block_delta", index=self._index, delta={"type": kind, **delta})

    def _event(self, kind, **fields):
        self.send(event({"type": kind, **fields}, kind))


def spent(usage, output):
    """Usage in the words of this dialect, where the cache stands beside `input_tokens` and not in them."""
    return {
        "input_tokens": usage.prompt - usage.cached - usage.kept,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": usage.kept,
        "output_tokens": output,
    }
