"""A client that leaves ends the request of the backend, whatever client it is, whenever it goes, behind nginx or not."""

import pytest

from conftest import ollama_client, openai_client
from curl import Curl
from nginx import Nginx
from questions import MESSAGES, MODEL
from scripts import DIP, say_dip_then, wait_to_be_left_before_the_first_token


@pytest.fixture(params=["straight", "behind nginx"])
def url(request, backend, start, tmp_path):
    gateway = start(backend)
    if request.param == "straight":
        yield gateway.url
    else:
        with Nginx(tmp_path, gateway.url) as nginx:
            yield nginx.url


@pytest.fixture(params=["/v1/chat/completions", "/api/chat"])
def door(request):
    return request.param


def test_openai_python_that_closes_its_stream_ends_the_request(backend, url):
    backend.play(say_dip_then("wait_until_left"))
    with openai_client(url).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as stream:
        assert DIP in (chunk.choices[0].delta.content for chunk in stream)
    backend.marks.wait("wait_until_left")


def test_ollama_python_that_closes_its_stream_ends_the_request(backend, url):
    backend.play(say_dip_then("wait_until_left"))
    parts = ollama_client(url).chat(MODEL, MESSAGES, stream=True)
    assert next(parts).message.content == DIP
    parts.close()
    backend.marks.wait("wait_until_left")


def test_curl_that_is_killed_in_mid_stream_ends_the_request(backend, url, door):
    backend.play(say_dip_then("wait_until_left"))
    with Curl(url + door, {"model": MODEL, "messages": MESSAGES, "stream": True}) as curl:
        curl.read_until(DIP.encode())
        curl.kill()
        backend.marks.wait("wait_until_left")


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_curl_that_is_killed_before_the_first_token_ends_the_request(backend, url, door, stream):
    backend.play(wait_to_be_left_before_the_first_token)
    with Curl(url + door, {"model": MODEL, "messages": MESSAGES, "stream": stream}) as curl:
        backend.marks.wait("asked")
        curl.kill()
        backend.marks.wait("wait_until_left")
