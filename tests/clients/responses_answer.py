"""ResponsesAnswer: a scripted answer in the words of OpenAI's Responses API."""

import json

from openai_answer import OpenaiAnswer
from reply import Reply
from sse import event, halves

CREATED = 1_700_000_000
INCOMPLETE = {"length": "max_output_tokens", "refusal": "content_filter"}


class ResponsesAnswer(OpenaiAnswer):
    dialect = "responses"
    paths = {"/v1/responses"}

    def __init__(self, *args):
        super().__init__(*args)
        self._output = []
        self._open_item = None  # reasoning or message, which is said in deltas
        self._sequence = 0

    def open(self, _=None):
        self.begin()
        self._event("response.created", response=self._response("in_progress"))
        self._event("response.in_progress", response=self._response("in_progress"))

    def think(self, text):
        item = self._enter("reasoning", "rs", summary=[], encrypted_content=None)
        if not item["summary"]:
            item["summary"].append({"type": "summary_text", "text": ""})
            self._of_item("response.reasoning_summary_part.added", summary_index=0, part=dict(item["summary"][0]))
        item["summary"][0]["text"] += text
        self._of_item("response.reasoning_summary_text.delta", summary_index=0, delta=text)

    def sign(self, signature):
        self._enter("reasoning", "rs", summary=[], encrypted_content=None)["encrypted_content"] = signature

    def say(self, text):
        empty = {"type": "output_text", "text": "", "annotations": [], "logprobs": []}
        self._add_to_part(empty, "text", "response.output_text.delta", text, logprobs=[])

    def decline(self, text):
        self._add_to_part({"type": "refusal", "refusal": ""}, "refusal", "response.refusal.delta", text)

    def call(self, *calls):
        """One after the other."""
        for call in calls:
            self.interleave(call)

    def interleave(self, *calls):
        self._leave()
        items = [self._add(self._function_call(call, "", "in_progress")) for call in calls]
        texts = [json.dumps(call.arguments) for call in calls]
        for fragments in zip(*map(halves, texts)):
            for item, delta in zip(items, fragments):
                self._of_item("response.function_call_arguments.delta", item, delta=delta)
        for item, text in zip(items, texts):
            item["arguments"] = text
            self._of_item("response.function_call_arguments.done", item, arguments=text)
            self._done(item)

    def finish(self, reply=Reply()):
        self._leave()
        closing = self._closing(reply)
        self._event(f"response.{closing['status']}", response=self._response(**closing))
        self.end()

    def tell(self, message):
        error = {"code": "server_error", "message": message}
        self._event("error", error={"type": "server_error", "param": None, **error})
        self._event("response.failed", response=self._response("failed", error=error))

    def message(self, reply):
        items = []
        if reply.thinking or reply.signature:
            summary = [{"type": "summary_text", "text": "".join(reply.thinking)}] if reply.thinking else []
            items.append({"type": "reasoning", "summary": summary, "encrypted_content": reply.signature})
        parts = []
        if reply.text:
            parts.append({"type": "output_text", "text": "".join(reply.text), "annotations": [], "logprobs": []})
        if reply.refusal:
            parts.append({"type": "refusal", "refusal": "".join(reply.refusal)})
        if parts:
            items.append({"type": "message", "role": "assistant", "status": "completed", "content": parts})
        items += [self._function_call(call, json.dumps(call.arguments), "completed") for call in reply.calls]
        self._output = [{"id": f"item_{n}", **item} for n, item in enumerate(items)]
        return self._response(**self._closing(reply))

    def _closing(self, reply):
        reason = INCOMPLETE.get(reply.finish)
        status = "incomplete" if reason else "completed"
        details = {"reason": reason} if reason else None
        return {"status": status, "incomplete_details": details, "usage": spent(reply.usage)}

    def _response(self, status, **more):
        return {
            "id": "resp_quill",
            "object": "response",
            "created_at": CREATED,
            "status": status,
            "error": None,
            "incomplete_details": None,
            "instructions": None,
            "max_output_tokens": None,
            "metadata": {},
            "model": self.request.json["model"],
            "output": self._output,
            "parallel_tool_calls": True,
            "previous_response_id": None,
            "reasoning": {"effort": None, "summary": None},
            "store": False,
            "temperature": 1.0,
            "text": {"format": {"type": "text"}},
            "tool_choice": "auto",
            "tools": [],
            "top_p": 1.0,
            "truncation": "disabled",
            "usage": None,
            **more,
        }

    def _function_call(self, call, arguments, status):
        return {
            "type": "function_call",
            "id": f"fc_{call.id}",
            "call_id": call.id,
            "name": call.name,
            "arguments": arguments,
            "status": status,
        }

    def _enter(self, kind, prefix, **item):
        """The open item, if it is of this kind, or a new one."""
        if not self._open_item or self._open_item["type"] != kind:
            self._leave()
            self._open_item = self._add({"type": kind, "id": f"{prefix}_{len(self._output)}", **item})
        return self._open_item

    def _leave(self):
        """Closes the open item and what is in it."""
        item, self._open_item = self._open_item, None
        if not item:
            return
        for index, part in enumerate(item.get("summary", [])):
            self._of_item("response.reasoning_summary_text.done", item, summary_index=index, text=part["text"])
            self._of_item("response.reasoning_summary_part.done", item, summary_index=index, part=part)
        for index, part in enumerate(item.get("content", [])):
            kind, word = ("refusal", "refusal") if part["type"] == "refusal" else ("output_text", "text")
            self._of_item(f"response.{kind}.done", item, content_index=index, **{word: part[word]})
            self._of_item("response.content_part.done", item, content_index=index, part=part)
        self._done(item)

    def _add_to_part(self, empty, word, kind, text, **more):
        content = self._enter("message", "msg", role="assistant", status="in_progress", content=[])["content"]
        if not content or content[-1]["type"] != empty["type"]:
            content.append(dict(empty))
            self._of_item("response.content_part.added", content_index=len(content) - 1, part=empty)
        content[-1][word] += text
        self._of_item(kind, content_index=len(content) - 1, delta=text, **more)

    def _add(self, item):
        self._output.append(item)
        self._event("response.output_item.added", output_index=len(self._output) - 1, item=item)
        return item

    def _done(self, item):
        if "status" in item:
            item["status"] = "completed"
        self._event("response.output_item.done", output_index=self._output.index(item), item=item)

    def _of_item(self, kind, item=None, **fields):
        item = item or self._open_item
        self._event(kind, item_id=item["id"], output_index=self._output.index(item), **fields)

    def _event(self, kind, **fields):
        self.send(event({"type": kind, "sequence_number": self._sequence, **fields}, kind))
        self._sequence += 1


def spent(usage):
    return {
        "input_tokens": usage.prompt,
        "input_tokens_details": {"cached_tokens": usage.cached},
        "output_tokens": usage.completion,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.prompt + usage.completion,
    }
