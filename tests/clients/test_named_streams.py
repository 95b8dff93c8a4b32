"""Streams that their client names: their events have numbers, which breaks no SDK, also with keep-alives in between."""

import pytest

from questions import MODEL
from sdk import openai_client
from tap import Tap


@pytest.fixture
def tap(backend, start):
    """The wire to a gateway that keeps alive often."""
    with Tap(start(backend, keep_alive="50ms").url) as tap:
        yield tap


def test_openai_python_reads_numbered_events_with_keep_alives_between_them(backend, tap):
    def script(answer):
        answer.open()
        answer.say("one ")
        tap.wait_for(b": keep-alive\n", after=b"one ")
        answer.say("two")
        answer.finish()

    backend.play(script)
    with openai_client(tap.url) as client:
        stream = client.chat.completions.create(
            model=MODEL,
            messages=[{"role": "user", "content": "Count"}],
            stream=True,
            extra_headers={"X-Conversation-Id": "counting"},
        )
        chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "one two"
    assert len(stream.response.headers["stream-id"]) == 26
