"""Keep-alive bytes come while the model is silent, and no client stumbles over them."""

import asyncio

import pytest
from langchain_core.messages import HumanMessage

from questions import QUESTION
from readers import every_reader
from scripts import BENT
from sdk import chat_openai
from tap import Tap


@pytest.fixture
def tap(backend, start):
    """The wire to a gateway that commits soon and keeps alive often."""
    with Tap(start(backend, commit_after="20ms", keep_alive="50ms").url) as tap:
        yield tap


@every_reader
def test_keep_alive_in_mid_stream_disturbs_no_client(backend, tap, reader):
    def script(answer):
        answer.open()
        answer.say("Dip ")
        tap.wait_for(reader.keep_alive, after=b"Dip ")
        answer.say("again")
        answer.finish()

    backend.play(script)
    assert "".join(reader.read(tap.url)) == "Dip again"


@every_reader
def test_keep_alive_before_the_first_token_disturbs_no_client(backend, tap, reader):
    def script(answer):
        answer.open()
        tap.wait_for(reader.first)
        answer.say("Dip again")
        answer.finish()

    backend.play(script)
    assert "".join(reader.read(tap.url)) == "Dip again"


@every_reader
def test_an_error_after_a_keep_alive_is_told_in_the_stream(backend, tap, reader):
    def script(answer):
        answer.open()
        tap.wait_for(reader.first)
        answer.fail(BENT)

    backend.play(script)
    with pytest.raises(reader.told, match=BENT) as error:
        list(reader.read(tap.url))
    assert type(error.value) is reader.told, "it is told in the stream, not by a broken connection"


async def read_with_a_clock(url, alive):
    """LangChain's reader, which gives up when no chunk comes for two seconds."""
    chat = chat_openai(url, stream_chunk_timeout=2, default_headers={"X-Keep-Alive": alive})
    return "".join([chunk.text async for chunk in chat.astream([HumanMessage(QUESTION)])])


def test_langchains_clock_is_wound_by_keep_alives_that_are_events(backend, tap):
    def script(answer):
        answer.open()
        answer.say("Dip ")
        tap.wait_for_as_many(b'"delta":{}', 60)  # three seconds, at the least
        answer.say("again")
        answer.finish()

    backend.play(script)
    assert asyncio.run(read_with_a_clock(tap.url, "event")) == "Dip again"


def test_langchains_clock_hears_no_comments(openai_backend, start):
    def script(answer):
        answer.open()
        answer.say("Dip ")
        answer.wait_until_left()

    openai_backend.play(script)
    with Tap(start(openai_backend, keep_alive="50ms").url) as tap, pytest.raises(TimeoutError):
        asyncio.run(read_with_a_clock(tap.url, "comment"))
