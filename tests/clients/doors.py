"""Doors: the routes that stream an answer, what they are asked, and which bytes say what in their streams."""

from dataclasses import dataclass, field

import pytest

from questions import MESSAGES, MODEL, QUESTION


@dataclass(frozen=True)
class Door:
    """`token` stands in every event with text, `last` ends a whole stream, and `success` stands in no other."""

    path: str
    media_type: str
    token: bytes
    last: bytes
    success: list[bytes]
    question: dict = field(default_factory=lambda: {"messages": MESSAGES})

    def body(self, model=MODEL, stream=True):
        return {"model": model, "stream": stream, **self.question}


SSE = "text/event-stream"
NDJSON = "application/x-ndjson"
DOORS = [
    Door("/v1/chat/completions", SSE, b'"content":', b"data: [DONE]\n\n", [b"[DONE]", b'"finish_reason":"']),
    Door(
        "/v1/responses",
        SSE,
        b"event: response.output_text.delta",
        b"\n\n",
        [b"response.completed", b"response.incomplete", b'"status":"completed"'],
        {"input": QUESTION},
    ),
    Door(
        "/v1/messages",
        SSE,
        b"event: content_block_delta",
        b'data: {"type":"message_stop"}\n\n',
        [b"message_stop", b"message_delta", b'"stop_reason":"'],
        {"messages": MESSAGES, "max_tokens": 64},
    ),
    Door("/api/chat", NDJSON, b'"content":', b"}\n", [b'"done":true']),
    Door("/api/generate", NDJSON, b'"response":', b"}\n", [b'"done":true'], {"prompt": QUESTION}),
]
every_door = pytest.mark.parametrize("door", DOORS, ids=lambda door: door.path)
