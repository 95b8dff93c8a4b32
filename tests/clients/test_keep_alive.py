"""Keep-alive bytes come while the model is silent, and no client stumbles over them."""

import openai
import pytest

from conftest import ollama_client, openai_client
from questions import MESSAGES, MODEL
from tap import Tap

COMMENT = b": keep-alive\n"
SPACE = b"\r\n1\r\n \r\n"  # a chunk of one space


@pytest.fixture
def tap(backend, start):
    """The wire to a gateway that commits soon and keeps alive often."""
    with Tap(start(backend, commit_after="100ms", keep_alive="200ms").url) as tap:
        yield tap


def test_keep_alive_in_mid_stream_does_not_disturb_openai_python(backend, tap):
    backend.play(pause_in_mid_stream(tap, COMMENT))
    stream = openai_client(tap.url).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Dip again"


def test_keep_alive_before_the_first_token_does_not_disturb_openai_python(backend, tap):
    backend.play(pause_before_the_first_token(tap, COMMENT))
    stream = openai_client(tap.url).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in stream) == "Dip again"


def test_keep_alive_in_mid_stream_does_not_disturb_the_stream_helper(backend, tap):
    backend.play(pause_in_mid_stream(tap, COMMENT))
    with openai_client(tap.url).chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        assert stream.get_final_completion().choices[0].message.content == "Dip again"


def test_an_error_after_a_keep_alive_is_told_in_the_stream(backend, tap):
    def script(answer):
        answer.open()
        tap.wait_for(COMMENT)
        answer.fail("the nib is bent")

    backend.play(script)
    with pytest.raises(openai.APIError) as error:
        list(openai_client(tap.url).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert type(error.value) is openai.APIError
    assert "the nib is bent" in error.value.message


def test_keep_alive_in_mid_stream_does_not_disturb_ollama_python(backend, tap):
    backend.play(pause_in_mid_stream(tap, SPACE))
    parts = ollama_client(tap.url).chat(MODEL, MESSAGES, stream=True)
    assert "".join(part.message.content or "" for part in parts) == "Dip again"


def test_keep_alive_before_the_first_token_does_not_disturb_ollama_python(backend, tap):
    backend.play(pause_before_the_first_token(tap, SPACE))
    parts = ollama_client(tap.url).chat(MODEL, MESSAGES, stream=True)
    assert "".join(part.message.content or "" for part in parts) == "Dip again"


def test_keep_alive_in_mid_stream_does_not_disturb_generate(backend, tap):
    backend.play(pause_in_mid_stream(tap, SPACE))
    parts = ollama_client(tap.url).generate(MODEL, "The nib", stream=True)
    assert "".join(part.response for part in parts) == "Dip again"


def pause_in_mid_stream(tap, keep_alive):
    """A script that is silent after its first word until the wire has carried a keep-alive after it."""

    def script(answer):
        answer.open()
        answer.say("Dip ")
        tap.wait_for(b"Dip ")
        tap.wait_for(keep_alive)
        assert tap.sent.index(b"Dip ") < tap.sent.index(keep_alive)
        answer.say("again")
        answer.finish()

    return script


def pause_before_the_first_token(tap, keep_alive):
    """A script that has begun its answer and is silent until the wire has carried a keep-alive."""

    def script(answer):
        answer.open()
        tap.wait_for(keep_alive)
        answer.say("Dip again")
        answer.finish()

    return script
