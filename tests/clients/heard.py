"""Heard: what a backend was asked, in no dialect."""

from dataclasses import dataclass, field

import anthropic_question
import ollama_question
import openai_question
import responses_question


@dataclass
class Heard:
    """A turn is ("user" | "assistant" | "thinking" | "result" | "image", text) or ("call", name, arguments)."""

    model: str = ""
    system: str = ""
    turns: list[tuple] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)  # of the calls and results, in their order
    tools: dict[str, dict] = field(default_factory=dict)  # name -> schema
    schema: dict | None = None  # of the answer
    max_tokens: int | None = None
    temperature: float | None = None
    stop: list[str] | None = None

    def say(self, role, text):
        """Adds text; what one speaker says in several parts is one turn."""
        if role in ("system", "developer"):
            self.system = "\n\n".join(filter(None, [self.system, text]))
        elif self.turns and self.turns[-1][0] == role:
            self.turns[-1] = (role, self.turns[-1][1] + text)
        elif text:
            self.turns.append((role, text))

    def show(self, base64):
        self.turns.append(("image", base64))

    def call(self, id, name, arguments):
        self.ids.append(id)
        self.turns.append(("call", name, arguments))

    def result(self, id, text):
        self.ids.append(id)
        self.turns.append(("result", text))


READERS = {
    "/v1/chat/completions": openai_question.read,
    "/v1/responses": responses_question.read,
    "/v1/messages": anthropic_question.read,
    "/v1/messages/count_tokens": anthropic_question.read,
    "/api/chat": ollama_question.read,
    "/api/generate": ollama_question.read_prompt,
}


def hear(request):
    heard = Heard(model=request.json["model"])
    READERS[request.path](request.json, heard)
    return heard
