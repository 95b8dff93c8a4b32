"""Readers: each SDK's ways to ask for a stream and read its text; one that is closed leaves the stream. Askers: its
ways to ask for a whole answer."""

from collections.abc import Callable
from dataclasses import dataclass

import anthropic
import ollama
import openai
import pytest

from questions import MESSAGES, MODEL, QUESTION
from sdk import anthropic_client, chat_anthropic, chat_ollama, chat_openai, chat_openai_responses
from sdk import ollama_client, openai_client

COMMENT = b": keep-alive\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'
STANDING = b"event: response.in_progress\n"
SPACE = b"\r\n1\r\n \r\n"  # a chunk of one space


@dataclass(frozen=True)
class Refusals:
    """What an SDK raises for the status of a backend, and which status that is in its dialect where it is another."""

    kinds: dict[int, type[Exception]]
    statuses: dict[int, int]


@dataclass(frozen=True)
class Reader:
    """`told` is what the SDK raises when the stream tells of an error; a broken connection would be another class.
    `keep_alive` comes while the model is silent, `first` before it has said anything."""

    read: Callable
    told: type[Exception]
    first: bytes
    keep_alive: bytes
    refusals: Refusals


@dataclass(frozen=True)
class Asker:
    ask: Callable
    refusals: Refusals


def refusals(bad, missing, busy, overloaded, internal, statuses=None):
    return Refusals({400: bad, 404: missing, 429: busy, 503: overloaded, 500: internal}, statuses or {})


OF_OPENAI = refusals(
    openai.BadRequestError,
    openai.NotFoundError,
    openai.RateLimitError,
    openai.InternalServerError,
    openai.InternalServerError,
)
OF_ANTHROPIC = refusals(
    anthropic.BadRequestError,
    anthropic.NotFoundError,
    anthropic.RateLimitError,
    anthropic.OverloadedError,
    anthropic.InternalServerError,
    {503: 529},
)
OF_OLLAMA = refusals(*[ollama.ResponseError] * 5)


def openai_chat(url):
    with openai_client(url).chat.completions.create(model=MODEL, messages=MESSAGES, stream=True) as stream:
        for chunk in stream:
            yield from (choice.delta.content for choice in chunk.choices if choice.delta.content)


def openai_chat_helper(url):
    with openai_client(url).chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        yield from (event.delta for event in stream if event.type == "content.delta" and event.delta)


def openai_responses(url):
    with openai_client(url).responses.create(model=MODEL, input=QUESTION, stream=True) as stream:
        yield from (event.delta for event in stream if event.type == "response.output_text.delta")


def openai_responses_helper(url):
    with openai_client(url).responses.stream(model=MODEL, input=QUESTION) as stream:
        yield from (event.delta for event in stream if event.type == "response.output_text.delta")


def anthropic_messages(url):
    asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 64}
    with anthropic_client(url).messages.create(**asked, stream=True) as stream:
        yield from (event.delta.text for event in stream if event.type == "content_block_delta")


def anthropic_messages_helper(url):
    with anthropic_client(url).messages.stream(model=MODEL, messages=MESSAGES, max_tokens=64) as stream:
        yield from stream.text_stream


def ollama_chat(url):
    for part in ollama_client(url).chat(MODEL, MESSAGES, stream=True):
        yield from filter(None, [part.message.content])


def ollama_generate(url):
    for part in ollama_client(url).generate(MODEL, QUESTION, stream=True):
        yield from filter(None, [part.response])


def langchain(chat):
    def read(url):
        for chunk in chat(url).stream(QUESTION):
            yield from filter(None, [chunk.text])

    return read


def in_openai(read):
    return Reader(read, openai.APIError, COMMENT, COMMENT, OF_OPENAI)


def in_responses(read):
    return Reader(read, openai.APIError, COMMENT, STANDING, OF_OPENAI)


def in_anthropic(read):
    return Reader(read, anthropic.APIStatusError, PING, PING, OF_ANTHROPIC)


def in_ollama(read):
    return Reader(read, ollama.ResponseError, SPACE, SPACE, OF_OLLAMA)


READERS = {
    "openai chat": in_openai(openai_chat),
    "openai chat helper": in_openai(openai_chat_helper),
    "openai responses": in_responses(openai_responses),
    "openai responses helper": in_responses(openai_responses_helper),
    "anthropic": in_anthropic(anthropic_messages),
    "anthropic helper": in_anthropic(anthropic_messages_helper),
    "ollama chat": in_ollama(ollama_chat),
    "ollama generate": in_ollama(ollama_generate),
    "langchain-openai": in_openai(langchain(chat_openai)),
    "langchain-openai responses": in_responses(langchain(chat_openai_responses)),
    "langchain-anthropic": in_anthropic(langchain(chat_anthropic)),
    "langchain-ollama": in_ollama(langchain(chat_ollama)),
}
ASKERS = {
    "openai chat": Asker(
        lambda url: openai_client(url).chat.completions.create(model=MODEL, messages=MESSAGES), OF_OPENAI
    ),
    "openai responses": Asker(lambda url: openai_client(url).responses.create(model=MODEL, input=QUESTION), OF_OPENAI),
    "anthropic": Asker(
        lambda url: anthropic_client(url).messages.create(model=MODEL, messages=MESSAGES, max_tokens=64), OF_ANTHROPIC
    ),
    "ollama chat": Asker(lambda url: ollama_client(url).chat(MODEL, MESSAGES), OF_OLLAMA),
    "ollama generate": Asker(lambda url: ollama_client(url).generate(MODEL, QUESTION), OF_OLLAMA),
}
every_reader = pytest.mark.parametrize("reader", READERS.values(), ids=READERS)
every_asker = pytest.mark.parametrize("asker", ASKERS.values(), ids=ASKERS)
