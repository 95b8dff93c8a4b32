"""ollama-python is told of every failure: by a status before the stream, by an error line in it, never by silence."""

import httpx
import ollama
import pytest

from conftest import ollama_client
from questions import MESSAGES, MODEL
from scripts import BENT, DIP, break_off_in_a_whole_answer, fail_before_the_first_token, say_dip_then

either_ending = pytest.mark.parametrize("ending", ["end", "cut"])
streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


@streamed_or_whole
def test_a_model_without_a_route_is_not_found(backend, start, stream):
    client = ollama_client(start(backend, model="tinytale:*").url)
    with pytest.raises(ollama.ResponseError) as error:
        drain(client.chat("nobody", MESSAGES, stream=stream))
    assert error.value.status_code == 404
    assert "nobody" in error.value.error


@streamed_or_whole
@pytest.mark.parametrize("status", [400, 404, 429, 503])
def test_a_refusal_of_the_backend_keeps_its_status_and_message(backend, ollama_python, stream, status):
    backend.play(lambda answer: answer.refuse(status, "the inkwell is dry"))
    with pytest.raises(ollama.ResponseError) as error:
        drain(ollama_python.chat(MODEL, MESSAGES, stream=stream))
    assert error.value.status_code == status
    assert "the inkwell is dry" in error.value.error


def test_an_error_before_the_first_token_is_a_status(backend, ollama_python):
    backend.play(fail_before_the_first_token)
    with pytest.raises(ollama.ResponseError) as error:
        drain(ollama_python.chat(MODEL, MESSAGES, stream=True))
    assert error.value.status_code >= 500
    assert BENT in error.value.error


def test_an_error_in_the_stream_is_raised_after_the_text_before_it(backend, ollama_python):
    backend.play(say_dip_then("fail"))
    text, error = read_until_error(ollama_python)
    assert text == DIP
    assert BENT in error.error


@either_ending
def test_a_truncated_chat_is_an_error_for_ollama_python(backend, ollama_python, ending):
    backend.play(say_dip_then(ending))
    text, error = read_until_error(ollama_python)
    assert text == DIP
    assert error.error


@either_ending
def test_a_truncated_generate_is_an_error_for_ollama_python(backend, ollama_python, ending):
    backend.play(say_dip_then(ending))
    with pytest.raises(ollama.ResponseError):
        drain(ollama_python.generate(MODEL, "The nib", stream=True))


def test_a_whole_answer_that_breaks_off_is_an_error(backend, ollama_python):
    backend.play(break_off_in_a_whole_answer)
    with pytest.raises(ollama.ResponseError) as error:
        ollama_python.chat(MODEL, MESSAGES)
    assert error.value.status_code >= 500


def test_a_stalled_backend_is_left_and_reported(backend, start):
    backend.play(say_dip_then("wait_until_left"))
    text, _ = read_until_error(ollama_client(start(backend, idle_timeout="300ms").url))
    assert text == DIP


def drain(answer):
    return list(answer)


def read_until_error(client):
    text = ""
    with pytest.raises((ollama.ResponseError, httpx.HTTPError)) as error:
        for part in client.chat(MODEL, MESSAGES, stream=True):
            text += part.message.content or ""
    assert type(error.value) is ollama.ResponseError, "it is told in the stream, not by a broken connection"
    return text, error.value
