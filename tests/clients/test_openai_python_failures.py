"""openai-python is told of every failure: by a status before the stream, by an exception in it, never by silence."""

import socket
from types import SimpleNamespace

import openai
import pytest

from conftest import openai_client
from questions import MESSAGES, MODEL
from scripts import BENT, DIP, break_off_in_a_whole_answer, fail_before_the_first_token, say_dip_then

REFUSALS = [
    (400, openai.BadRequestError),
    (404, openai.NotFoundError),
    (429, openai.RateLimitError),
    (503, openai.InternalServerError),
]
streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
either_ending = pytest.mark.parametrize("ending", ["end", "cut"])


@streamed_or_whole
def test_a_model_without_a_route_is_not_found(backend, start, stream):
    client = openai_client(start(backend, model="tinytale:*").url)
    with pytest.raises(openai.NotFoundError) as error:
        client.chat.completions.create(model="nobody", messages=MESSAGES, stream=stream)
    assert error.value.code == "model_not_found"
    assert "nobody" in error.value.message


@streamed_or_whole
@pytest.mark.parametrize(("status", "kind"), REFUSALS, ids=[str(status) for status, _ in REFUSALS])
def test_a_refusal_of_the_backend_keeps_its_status_and_message(backend, openai_python, stream, status, kind):
    backend.play(lambda answer: answer.refuse(status, "the inkwell is dry"))
    with pytest.raises(kind) as error:
        openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=stream)
    assert error.value.status_code == status
    assert "the inkwell is dry" in error.value.message


def test_a_backend_that_cannot_be_reached_is_a_bad_gateway(start):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        nobody = SimpleNamespace(api="openai", url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(openai.InternalServerError) as error:
            openai_client(start(nobody).url).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert (error.value.status_code, error.value.code) == (502, "upstream_unreachable")


def test_an_error_before_the_first_token_is_a_status(backend, openai_python):
    backend.play(fail_before_the_first_token)
    with pytest.raises(openai.InternalServerError) as error:
        openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert BENT in error.value.message


def test_an_error_in_the_stream_is_raised_after_the_text_before_it(backend, openai_python):
    backend.play(say_dip_then("fail"))
    text, error = read_until_error(openai_python)
    assert text == DIP
    assert BENT in error.message


@either_ending
def test_a_truncated_stream_is_an_error_for_openai_python(backend, openai_python, ending):
    backend.play(say_dip_then(ending))
    text, error = read_until_error(openai_python)
    assert text == DIP
    assert error.code == "upstream_truncated"


@either_ending
def test_a_truncated_stream_is_an_error_for_the_stream_helper(backend, openai_python, ending):
    backend.play(say_dip_then(ending))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        with pytest.raises(openai.APIError):
            stream.until_done()


def test_a_whole_answer_that_breaks_off_is_an_error(backend, openai_python):
    backend.play(break_off_in_a_whole_answer)
    with pytest.raises(openai.InternalServerError):
        openai_python.chat.completions.create(model=MODEL, messages=MESSAGES)


def test_a_stalled_backend_is_left_and_reported(backend, start):
    backend.play(say_dip_then("wait_until_left"))
    _, error = read_until_error(openai_client(start(backend, idle_timeout="300ms").url))
    assert error.code == "upstream_stalled"


def read_until_error(client):
    text = ""
    with pytest.raises(openai.APIError) as error:
        for chunk in client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True):
            text += chunk.choices[0].delta.content or ""
    assert type(error.value) is openai.APIError, "it is told in the stream, not by a broken connection"
    return text, error.value
