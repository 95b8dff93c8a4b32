"""A gateway that is asked to end while clients read over HTTP/2: each reads to its end, for no GOAWAY comes before it."""

import threading
from contextlib import ExitStack

import httpx2
import openai

import environment  # noqa: F401  for its effect on every client that is made
from marks import GUARD
from questions import MESSAGES, MODEL

SERVER = ("h2c = true", 'drain = "30s"')


def client_over_http2(url):
    http = httpx2.Client(http1=False, http2=True, timeout=GUARD)
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, http_client=http)


def test_clients_over_http2_live_through_a_drain(openai_backend, start):
    draining = threading.Event()

    def script(answer):
        answer.open()
        answer.say("one ")
        assert draining.wait(GUARD)
        for word in ("two ", "three"):
            answer.say(word)
        answer.finish()

    openai_backend.play(script)
    gateway = start(openai_backend, server=SERVER)
    with ExitStack() as stack:
        clients = [stack.enter_context(client_over_http2(gateway.url)) for _ in range(3)]
        asked = {"model": MODEL, "messages": MESSAGES, "stream": True}
        streams = [stack.enter_context(client.chat.completions.create(**asked)) for client in clients]
        assert {stream.response.http_version for stream in streams} == {"HTTP/2"}
        texts = [words_of(stream) for stream in streams]
        heard = [[next(text)] for text in texts]
        gateway.drain()
        draining.set()
        for words, text in zip(heard, texts, strict=True):
            words += text
        assert heard == [["one ", "two ", "three"]] * 3


def words_of(stream):
    for chunk in stream:
        yield from (choice.delta.content for choice in chunk.choices if choice.delta.content)
