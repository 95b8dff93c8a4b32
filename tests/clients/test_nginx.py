"""A real nginx with its default buffering holds nothing back, hides no error, and passes on that a client left."""

import pytest

from curl import Curl
from doors import every_door
from nginx import Nginx
from only import only
from readers import every_reader
from scripts import DIP, say_dip_then, wait_to_be_left_before_the_first_token
from whole import streamed_or_whole

WORDS = [f"word{n}. " for n in range(20)]
either_backend = only("openai", "ollama")


@pytest.fixture
def nginx(backend, start, tmp_path):
    with Nginx(tmp_path, start(backend).url) as nginx:
        yield nginx


@every_reader
@either_backend
def test_no_event_is_delayed(backend, nginx, reader):
    backend.play(say_each_word_after_the_last_was_seen)
    words = []
    for word in reader.read(nginx.url):
        backend.marks.make(f"seen {word}")
        words.append(word)
    assert words == WORDS


@every_reader
@either_backend
def test_a_truncated_stream_is_an_error_behind_nginx(backend, nginx, reader):
    backend.play(say_dip_then("end"))
    with pytest.raises(reader.told) as error:
        list(reader.read(nginx.url))
    assert type(error.value) is reader.told, "it is told in the stream, not by a broken connection"


@every_reader
@either_backend
def test_a_client_that_closes_its_stream_ends_the_request(backend, nginx, reader):
    backend.play(say_dip_then("wait_until_left"))
    texts = reader.read(nginx.url)
    assert next(texts) == DIP
    texts.close()
    backend.marks.wait("wait_until_left")


@every_door
@either_backend
@streamed_or_whole
def test_curl_that_is_killed_before_the_first_token_ends_the_request(backend, nginx, door, stream):
    backend.play(wait_to_be_left_before_the_first_token)
    with Curl(nginx.url + door.path, door.body(stream=stream)) as curl:
        backend.marks.wait("asked")
        curl.kill()
        backend.marks.wait("wait_until_left")


def say_each_word_after_the_last_was_seen(answer):
    answer.open()
    for word in WORDS:
        answer.say(word)
        answer.marks.wait(f"seen {word}")
    answer.finish()
