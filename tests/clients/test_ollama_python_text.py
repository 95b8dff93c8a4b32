"""ollama-python reads text, thinking, metrics and structured output, from either dialect of backend."""

import pytest

from conftest import ollama_client
from questions import MESSAGES, MODEL
from reply import Reply, Usage

WORDS = ["Ink ", "runs ", "down ", "the ", "fæd 🖋"]
SCHEMA = {
    "type": "object",
    "properties": {"shade": {"enum": ["sepia", "iron"]}, "drops": {"type": "integer", "minimum": 1}},
    "required": ["shade", "drops"],
}


def test_streamed_chat_reaches_ollama_python_whole_and_in_order(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    *parts, last = ollama_python.chat(MODEL, MESSAGES, stream=True)
    assert [part.message.content for part in parts if part.message.content] == WORDS
    assert (last.done, last.done_reason) == (True, "stop")


def test_every_line_of_a_chat_bears_the_model_that_was_asked_and_a_time(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    parts = list(ollama_python.chat(MODEL, MESSAGES, stream=True))
    assert {part.model for part in parts} == {MODEL}
    assert all(part.created_at for part in parts)


def test_whole_chat_reaches_ollama_python(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    answer = ollama_python.chat(MODEL, MESSAGES)
    assert (answer.message.content, answer.done, answer.done_reason) == ("".join(WORDS), True, "stop")


def test_streamed_generate_reaches_ollama_python_whole_and_in_order(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    *parts, last = ollama_python.generate(MODEL, "The nib", stream=True)
    assert [part.response for part in parts if part.response] == WORDS
    assert last.done is True


def test_whole_generate_reaches_ollama_python(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    answer = ollama_python.generate(MODEL, "The nib")
    assert (answer.response, answer.done) == ("".join(WORDS), True)


@pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])
def test_token_counts_stand_in_the_last_line(backend, ollama_python, stream):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS, usage=Usage(21, 8))))
    answer = ollama_python.chat(MODEL, MESSAGES, stream=stream)
    last = list(answer)[-1] if stream else answer
    assert (last.prompt_eval_count, last.eval_count) == (21, 8)


def test_streamed_thinking_stands_apart_from_the_text(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(thinking=["Capil", "lary?"], text=WORDS)))
    messages = [part.message for part in ollama_python.chat(MODEL, MESSAGES, stream=True, think=True)]
    assert "".join(m.thinking or "" for m in messages) == "Capillary?"
    assert "".join(m.content or "" for m in messages) == "".join(WORDS)


def test_whole_thinking_stands_apart_from_the_text(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(thinking=["Capil", "lary?"], text=WORDS)))
    message = ollama_python.chat(MODEL, MESSAGES, think=True).message
    assert (message.thinking, message.content) == ("Capillary?", "".join(WORDS))


def test_thinking_of_generate_stands_apart_from_the_text(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(thinking=["Capil", "lary?"], text=WORDS)))
    parts = list(ollama_python.generate(MODEL, "The nib", stream=True, think=True))
    assert "".join(part.thinking or "" for part in parts) == "Capillary?"
    assert "".join(part.response for part in parts) == "".join(WORDS)


def test_a_schema_reaches_the_backend_unchanged(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=['{"shade": "sepia", "drops": 3}'])))
    ollama_python.chat(MODEL, MESSAGES, format=SCHEMA)
    got = backend.asked
    assert (got["format"] if backend.api == "ollama" else got["response_format"]["json_schema"]["schema"]) == SCHEMA


def test_options_reach_the_backend_in_its_own_words(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=WORDS)))
    ollama_python.chat(MODEL, MESSAGES, options={"temperature": 0.5, "num_predict": 64, "stop": ["END"]})
    got = backend.asked
    said = got["options"] if backend.api == "ollama" else got | {"num_predict": got.get("max_tokens")}
    assert {key: said.get(key) for key in ("temperature", "num_predict")} == {"temperature": 0.5, "num_predict": 64}
    assert said["stop"] in (["END"], "END")


def test_unusual_line_ends_in_the_text_do_not_break_the_lines(openai_backend, start):
    """httpx takes U+2028, U+2029 and U+0085 for line ends, so they must not stand in NDJSON as they are."""
    text = "one\u2028two\u2029three\u0085four"
    openai_backend.play(lambda answer: answer.reply(Reply(text=[text])))
    parts = ollama_client(start(openai_backend).url).chat(MODEL, MESSAGES, stream=True)
    assert "".join(part.message.content for part in parts) == text
