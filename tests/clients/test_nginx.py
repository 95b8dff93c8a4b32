"""A real nginx with its default buffering holds nothing back and hides no error."""

import openai
import pytest

from conftest import ollama_client, openai_client
from nginx import Nginx
from questions import MESSAGES, MODEL
from scripts import say_dip_then

WORDS = [f"word{n}. " for n in range(20)]


@pytest.fixture
def nginx(backend, start, tmp_path):
    with Nginx(tmp_path, start(backend).url) as nginx:
        yield nginx


def test_no_event_for_openai_python_is_delayed(backend, nginx):
    backend.play(say_each_word_after_the_last_was_seen)
    stream = openai_client(nginx.url).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    assert mark_as_seen(backend, (chunk.choices[0].delta.content for chunk in stream)) == WORDS


def test_no_event_for_ollama_python_is_delayed(backend, nginx):
    backend.play(say_each_word_after_the_last_was_seen)
    parts = ollama_client(nginx.url).chat(MODEL, MESSAGES, stream=True)
    assert mark_as_seen(backend, (part.message.content for part in parts)) == WORDS


def test_a_truncated_stream_is_an_error_behind_nginx(backend, nginx):
    backend.play(say_dip_then("end"))
    with pytest.raises(openai.APIError) as error:
        list(openai_client(nginx.url).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert error.value.code == "upstream_truncated"


def say_each_word_after_the_last_was_seen(answer):
    answer.open()
    for word in WORDS:
        answer.say(word)
        answer.marks.wait(f"seen {word}")
    answer.finish()


def mark_as_seen(backend, contents):
    words = []
    for word in filter(None, contents):
        backend.marks.make(f"seen {word}")
        words.append(word)
    return words
