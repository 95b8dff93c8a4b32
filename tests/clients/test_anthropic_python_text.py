"""anthropic-python reads text, usage, stop reasons and structured output, from any dialect of backend."""

import anthropic
import pytest

from only import only
from questions import MESSAGES, MODEL, PIXEL, QUESTION
from recipe import JSON_TEXT, RECIPE, SCHEMA, Recipe
from replies import CALLS, TEXT, THOUGHTS, WORDS, say
from reply import Usage
from whole import message_of, streamed_or_whole

ASKED = {"model": MODEL, "messages": MESSAGES, "max_tokens": 64}


def ask(client, stream, **more):
    return message_of(client, stream, **ASKED | more)


def test_streamed_text_reaches_anthropic_python_whole_and_in_order(backend, anthropic_python):
    backend.play(say(text=WORDS))
    events = list(anthropic_python.messages.create(**ASKED, stream=True))
    assert [event.delta.text for event in events if event.type == "content_block_delta"] == WORDS


@streamed_or_whole
def test_a_message_bears_the_text_and_the_model_that_was_asked(backend, anthropic_python, stream):
    backend.play(say(text=WORDS))
    message = ask(anthropic_python, stream)
    assert [(block.type, block.text) for block in message.content] == [("text", TEXT)]
    assert (message.type, message.role, message.model) == ("message", "assistant", MODEL)
    assert message.id


def test_blocks_are_opened_and_closed_one_after_the_other(backend, anthropic_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS, calls=CALLS))
    first, *events, delta, last = anthropic_python.messages.create(**ASKED, stream=True)
    assert [first.type, delta.type, last.type] == ["message_start", "message_delta", "message_stop"]
    assert (first.message.content, first.message.stop_reason) == ([], None)
    kinds, is_open = [], False
    for event in events:
        assert is_open == (event.type != "content_block_start")
        is_open = event.type != "content_block_stop"
        kinds += [event.content_block.type] if event.type == "content_block_start" else []
        assert event.index == len(kinds) - 1
    assert kinds == ["thinking", "text", "tool_use", "tool_use"]


@streamed_or_whole
@pytest.mark.parametrize(("finish", "reason"), [("stop", "end_turn"), ("length", "max_tokens")])
def test_the_stop_reason_is_told_to_anthropic_python(backend, anthropic_python, stream, finish, reason):
    backend.play(say(text=WORDS, finish=finish))
    assert ask(anthropic_python, stream).stop_reason == reason


@streamed_or_whole
@only("openai", "responses", "anthropic")
def test_a_filtered_answer_is_a_refusal(backend, anthropic_python, stream):
    backend.play(say(text=WORDS, finish="refusal"))
    assert ask(anthropic_python, stream).stop_reason == "refusal"


@streamed_or_whole
@only("openai", "responses")
def test_the_words_of_a_refusal_are_its_text(backend, anthropic_python, stream):
    backend.play(say(refusal=["I will", " not."]))
    message = ask(anthropic_python, stream)
    assert (message.content[0].text, message.stop_reason) == ("I will not.", "refusal")


@streamed_or_whole
def test_usage_is_counted(backend, anthropic_python, stream):
    backend.play(say(text=WORDS, usage=Usage(21, 8)))
    usage = ask(anthropic_python, stream).usage
    assert (usage.input_tokens, usage.output_tokens) == (21, 8)


@streamed_or_whole
@only("openai", "responses", "anthropic")
def test_the_input_tokens_exclude_those_from_a_cache(backend, anthropic_python, stream):
    backend.play(say(text=WORDS, usage=Usage(prompt=100, completion=8, cached=60)))
    usage = ask(anthropic_python, stream).usage
    assert (usage.input_tokens, usage.cache_read_input_tokens, usage.output_tokens) == (40, 60, 8)


def test_a_schema_reaches_the_backend_unchanged(backend, anthropic_python):
    backend.play(say(text=JSON_TEXT))
    wanted = {"format": {"type": "json_schema", "schema": SCHEMA}}
    anthropic_python.messages.create(**ASKED, output_config=wanted)
    assert backend.heard.schema == SCHEMA


def test_structured_output_is_parsed_by_anthropic_python(backend, anthropic_python):
    backend.play(say(text=JSON_TEXT))
    assert anthropic_python.messages.parse(**ASKED, output_format=Recipe).parsed_output == RECIPE


def test_structured_output_is_parsed_by_the_stream_helper(backend, anthropic_python):
    backend.play(say(text=JSON_TEXT))
    with anthropic_python.messages.stream(**ASKED, output_format=Recipe) as stream:
        assert stream.get_final_message().parsed_output == RECIPE


def test_the_system_prompt_and_options_reach_the_backend(backend, anthropic_python):
    backend.play(say(text=WORDS))
    system = [{"type": "text", "text": "Be brief."}, {"type": "text", "text": "Be kind."}]
    options = {"temperature": 0.5, "stop_sequences": ["END"]}
    if backend.dialect == "responses":  # it has no word for it, and without it the answer would end elsewhere
        with pytest.raises(anthropic.BadRequestError, match="stop"):
            anthropic_python.messages.create(**ASKED, system=system, extra_body=options)
        del options["stop_sequences"]
    anthropic_python.messages.create(**ASKED, system=system, extra_body=options)
    heard = backend.heard
    assert "Be brief." in heard.system and "Be kind." in heard.system
    assert (heard.temperature, heard.max_tokens) == (0.5, 64)
    assert heard.stop == options.get("stop_sequences")
    assert heard.turns == [("user", QUESTION)]


@only("openai", "responses")
def test_options_that_the_backend_does_not_know_are_named(backend, anthropic_python):
    backend.play(say(text=WORDS))
    answer = anthropic_python.messages.with_raw_response.create(**ASKED, extra_body={"top_k": 5})
    assert "top_k" in answer.headers["x-dropped-fields"]
    assert "top_k" not in backend.asked


def test_an_image_reaches_the_backend(backend, anthropic_python):
    backend.play(say(text=WORDS))
    source = {"type": "base64", "media_type": "image/png", "data": PIXEL}
    content = [{"type": "image", "source": source}, {"type": "text", "text": "What is this?"}]
    anthropic_python.messages.create(**ASKED | {"messages": [{"role": "user", "content": content}]})
    assert sorted(backend.heard.turns) == [("image", PIXEL), ("user", "What is this?")]
