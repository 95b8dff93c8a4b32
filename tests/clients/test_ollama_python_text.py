"""ollama-python reads text, thinking, metrics and structured output, from any dialect of backend."""

import ollama
import pytest

from questions import MESSAGES, MODEL, PIXEL
from recipe import JSON_TEXT, RECIPE, SCHEMA, Recipe
from replies import TEXT, THOUGHT, THOUGHTS, WORDS, say
from reply import Usage
from sdk import ollama_client
from whole import streamed_or_whole


def test_streamed_chat_reaches_ollama_python_whole_and_in_order(backend, ollama_python):
    backend.play(say(text=WORDS))
    *parts, last = ollama_python.chat(MODEL, MESSAGES, stream=True)
    assert [part.message.content for part in parts if part.message.content] == WORDS
    assert (last.done, last.done_reason) == (True, "stop")


def test_every_line_of_a_chat_bears_the_model_that_was_asked_and_a_time(backend, ollama_python):
    backend.play(say(text=WORDS))
    parts = list(ollama_python.chat(MODEL, MESSAGES, stream=True))
    assert {part.model for part in parts} == {MODEL}
    assert all(part.created_at for part in parts)


def test_whole_chat_reaches_ollama_python(backend, ollama_python):
    backend.play(say(text=WORDS))
    answer = ollama_python.chat(MODEL, MESSAGES)
    assert (answer.message.content, answer.done, answer.done_reason) == (TEXT, True, "stop")


def test_streamed_generate_reaches_ollama_python_whole_and_in_order(backend, ollama_python):
    backend.play(say(text=WORDS))
    *parts, last = ollama_python.generate(MODEL, "The nib", stream=True)
    assert [part.response for part in parts if part.response] == WORDS
    assert last.done is True


def test_whole_generate_reaches_ollama_python(backend, ollama_python):
    backend.play(say(text=WORDS))
    answer = ollama_python.generate(MODEL, "The nib")
    assert (answer.response, answer.done) == (TEXT, True)


@streamed_or_whole
def test_token_counts_stand_in_the_last_line(backend, ollama_python, stream):
    backend.play(say(text=WORDS, usage=Usage(21, 8)))
    answer = ollama_python.chat(MODEL, MESSAGES, stream=stream)
    last = list(answer)[-1] if stream else answer
    assert (last.prompt_eval_count, last.eval_count) == (21, 8)


def test_streamed_thinking_stands_apart_from_the_text(backend, ollama_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    messages = [part.message for part in ollama_python.chat(MODEL, MESSAGES, stream=True, think=True)]
    assert "".join(m.thinking or "" for m in messages) == THOUGHT
    assert "".join(m.content or "" for m in messages) == TEXT


def test_whole_thinking_stands_apart_from_the_text(backend, ollama_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    message = ollama_python.chat(MODEL, MESSAGES, think=True).message
    assert (message.thinking, message.content) == (THOUGHT, TEXT)


def test_thinking_of_generate_stands_apart_from_the_text(backend, ollama_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    parts = list(ollama_python.generate(MODEL, "The nib", stream=True, think=True))
    assert "".join(part.thinking or "" for part in parts) == THOUGHT
    assert "".join(part.response for part in parts) == TEXT


def test_a_schema_reaches_the_backend_unchanged(backend, ollama_python):
    backend.play(say(text=JSON_TEXT))
    answer = ollama_python.chat(MODEL, MESSAGES, format=SCHEMA)
    assert backend.heard.schema == SCHEMA
    assert Recipe.model_validate_json(answer.message.content) == RECIPE


def test_options_reach_the_backend_in_its_own_words(backend, ollama_python):
    backend.play(say(text=WORDS))
    options = {"temperature": 0.5, "num_predict": 64, "stop": ["END"]}
    if backend.dialect == "responses":  # it has no word for it, and without it the answer would end elsewhere
        with pytest.raises(ollama.ResponseError, match="stop"):
            ollama_python.chat(MODEL, MESSAGES, options=options)
        del options["stop"]
    ollama_python.chat(MODEL, MESSAGES, options=options)
    heard = backend.heard
    assert (heard.temperature, heard.max_tokens) == (0.5, 64)
    assert heard.stop == options.get("stop")


def test_unusual_line_ends_in_the_text_do_not_break_the_lines(openai_backend, start):
    """httpx takes U+2028, U+2029 and U+0085 for line ends, so they must not stand in NDJSON as they are."""
    text = "one\u2028two\u2029three\u0085four"
    openai_backend.play(say(text=[text]))
    parts = ollama_client(start(openai_backend).url).chat(MODEL, MESSAGES, stream=True)
    assert "".join(part.message.content for part in parts) == text


def test_an_answer_cut_by_its_length_says_so_to_ollama_python(backend, ollama_python):
    backend.play(say(text=WORDS, finish="length"))
    assert list(ollama_python.chat(MODEL, MESSAGES, stream=True))[-1].done_reason == "length"


def test_the_system_prompt_and_an_image_reach_the_backend(backend, ollama_python):
    backend.play(say(text=WORDS))
    system = {"role": "system", "content": "Be brief."}
    question = {"role": "user", "content": "What is this?", "images": [PIXEL]}
    ollama_python.chat(MODEL, [system, question])
    assert backend.heard.system == "Be brief."
    assert sorted(backend.heard.turns) == [("image", PIXEL), ("user", "What is this?")]
