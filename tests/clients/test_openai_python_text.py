"""openai-python reads text, reasoning, usage and structured output, from either dialect of backend."""

import json

import pytest
from pydantic import BaseModel

from questions import MESSAGES, MODEL
from reply import Reply, Usage

WORDS = ["Ink ", "runs ", "down ", "the ", "fæd 🖋"]


class Recipe(BaseModel):
    shade: str
    drops: int


def test_streamed_text_reaches_openai_python_whole_and_in_order(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    stream = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    choices = [choice for chunk in stream for choice in chunk.choices]
    assert [c.delta.content for c in choices if c.delta.content] == WORDS
    assert [c.finish_reason for c in choices if c.finish_reason] == ["stop"]


def test_all_chunks_of_a_stream_bear_one_id_and_the_model_that_was_asked(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    chunks = list(openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {MODEL}


def test_whole_text_reaches_openai_python(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS, usage=Usage(21, 8))))
    completion = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert completion.choices[0].message.content == "".join(WORDS)
    assert completion.choices[0].finish_reason == "stop"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (21, 8)


def test_an_answer_cut_by_its_length_says_so_to_openai_python(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS, finish="length")))
    chunks = list(openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"


def test_streamed_reasoning_stands_apart_from_the_text(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(thinking=["Capil", "lary?"], text=WORDS)))
    stream = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    deltas = [choice.delta for chunk in stream for choice in chunk.choices]
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in deltas) == "Capillary?"
    assert "".join(d.content or "" for d in deltas) == "".join(WORDS)


def test_whole_reasoning_stands_apart_from_the_text(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(thinking=["Capil", "lary?"], text=WORDS)))
    message = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message
    assert (message.reasoning_content, message.content) == ("Capillary?", "".join(WORDS))


def test_usage_comes_in_the_last_chunk_when_it_was_asked_for(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS, usage=Usage(21, 8))))
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, **asked)
    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (21, 8, 29)
    assert not any(chunk.usage for chunk in chunks)


def test_usage_is_hidden_when_it_was_not_asked_for(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    chunks = list(openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert not any(chunk.usage for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)


def test_the_stream_helper_builds_the_final_completion(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert [delta for delta in deltas if delta] == WORDS
    assert final.choices[0].message.content == "".join(WORDS)


def test_a_json_schema_reaches_the_backend_unchanged(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=['{"shade": "sepia", "drops": 3}'])))
    schema = {
        "type": "object",
        "properties": {"shade": {"enum": ["sepia", "iron"]}, "drops": {"type": "integer", "minimum": 1}},
        "required": ["shade", "drops"],
        "additionalProperties": False,
    }
    wanted = {"type": "json_schema", "json_schema": {"name": "recipe", "schema": schema}}
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, response_format=wanted)
    got = backend.asked
    assert (got["format"] if backend.api == "ollama" else got["response_format"]["json_schema"]["schema"]) == schema


def test_structured_output_is_parsed_by_openai_python(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=['{"shade": "sep', 'ia", "drops": 3}'])))
    completion = openai_python.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Recipe)
    assert completion.choices[0].message.parsed == Recipe(shade="sepia", drops=3)


def test_structured_output_is_parsed_by_the_stream_helper(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=['{"shade": "sep', 'ia", "drops": 3}'])))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES, response_format=Recipe) as stream:
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert parsed == Recipe(shade="sepia", drops=3)


@pytest.mark.parametrize("backend", ["openai_backend"], indirect=True)
@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_legacy_completions_reach_openai_python(backend, openai_python, stream):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    answer = openai_python.completions.create(model=MODEL, prompt="The nib", stream=stream)
    pieces = [choice.text for chunk in (answer if stream else [answer]) for choice in chunk.choices]
    assert "".join(pieces) == "".join(WORDS)
    assert backend.asked["prompt"] == "The nib"
