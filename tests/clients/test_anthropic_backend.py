"""What an Anthropic backend insists on, it is given, whatever the client says in its own dialect."""

import httpx
import pytest

from anthropic_answer import AnthropicAnswer
from backend import Backend
from doors import every_door
from questions import MESSAGES, MODEL, QUESTION
from readers import every_asker
from replies import CALLS, WORDS, say
from sdk import anthropic_client, ollama_client, openai_client

ASKED = {"model": MODEL, "messages": MESSAGES, "max_tokens": 64}
KEY = "sk-quill-and-ink"
FUNCTION = {"name": CALLS[0].name, "arguments": '{"maker": "Ærø"}'}
THOUGHTFUL = [
    {"reasoning_content": "Hm."},
    {"reasoning": "Hm."},
]


@pytest.fixture
def backend(anthropic_backend):
    anthropic_backend.play(say(text=WORDS))
    return anthropic_backend


@pytest.fixture
def locked_backend(tmp_path):
    """One that the gateway has a key for."""
    (tmp_path / "key").write_text(KEY)
    with Backend(AnthropicAnswer, api="anthropic", api_key={"file": str(tmp_path / "key")}) as backend:
        backend.play(say(text=WORDS))
        yield backend


@every_door
def test_every_request_names_the_version_of_the_api(backend, start, door):
    httpx.post(start(backend).url + door.path, json=door.body())
    assert backend.question.headers["anthropic-version"] == "2023-06-01"


def test_the_version_that_a_client_speaks_is_passed_on(backend, start):
    client = anthropic_client(start(backend).url)
    client.messages.create(**ASKED, extra_headers={"anthropic-version": "2026-10-21"})
    assert backend.question.headers["anthropic-version"] == "2026-10-21"


@every_asker
def test_every_request_bears_the_key_of_the_gateway(locked_backend, start, asker):
    asker.ask(start(locked_backend).url)
    assert locked_backend.question.headers["x-api-key"] == KEY
    assert "unused" not in str(locked_backend.question.headers), "the client's own key is not passed on"


def test_the_features_that_a_client_asks_for_are_asked_of_the_backend(backend, start):
    client = anthropic_client(start(backend).url)
    client.beta.messages.create(**ASKED, betas=["interleaved-thinking-2025-05-14"])
    assert backend.question.headers["anthropic-beta"] == "interleaved-thinking-2025-05-14"


def test_an_answer_has_a_limit_where_the_client_names_none(backend, start):
    url = start(backend).url
    openai_client(url).chat.completions.create(model=MODEL, messages=MESSAGES)
    assert backend.asked["max_tokens"] == 8192
    openai_client(url).responses.create(model=MODEL, input=QUESTION)
    assert backend.asked["max_tokens"] == 8192
    ollama_client(url).chat(MODEL, MESSAGES)
    assert backend.asked["max_tokens"] == 8192


def test_a_temperature_is_at_most_one(backend, start):
    openai_client(start(backend).url).chat.completions.create(model=MODEL, messages=MESSAGES, temperature=1.7)
    assert backend.asked["temperature"] == 1


def test_thinking_that_finds_no_room_is_left_out_and_named(backend, start):
    asked = {"model": MODEL, "messages": MESSAGES, "reasoning_effort": "high", "max_tokens": 500}
    answer = openai_client(start(backend).url).chat.completions.with_raw_response.create(**asked)
    assert "thinking" not in backend.asked and backend.asked["max_tokens"] == 500
    assert "reasoning_effort" in answer.headers.get("x-dropped-fields", "")


@pytest.mark.parametrize("thought", THOUGHTFUL, ids=lambda thought: next(iter(thought)))
def test_unsigned_thinking_of_openai_clients_is_not_sent(backend, start, thought):
    past = [{"role": "assistant", "content": "Ink runs.", **thought}, {"role": "user", "content": "Go on."}]
    openai_client(start(backend).url).chat.completions.create(model=MODEL, messages=MESSAGES + past)
    assert [kind for kind, *_ in backend.heard.turns] == ["user", "assistant", "user"]


def test_unsigned_thinking_of_ollama_clients_is_not_sent(backend, start):
    past = [{"role": "assistant", "content": "Ink runs.", "thinking": "Hm."}, {"role": "user", "content": "Go on."}]
    ollama_client(start(backend).url).chat(MODEL, MESSAGES + past)
    assert [kind for kind, *_ in backend.heard.turns] == ["user", "assistant", "user"]


def test_speakers_alternate_and_the_user_begins(backend, start):
    messages = [
        {"role": "system", "content": "Be brief."},
        {"role": "assistant", "content": "Welcome to the shop."},
        {"role": "user", "content": "One pen."},
        {"role": "user", "content": "A black one."},
    ]
    openai_client(start(backend).url).chat.completions.create(model=MODEL, messages=messages)
    assert [message["role"] for message in backend.asked["messages"]] == ["user", "assistant", "user"]
    assert backend.heard.system == "Be brief."


def test_no_text_is_empty(backend, start):
    call = {"id": CALLS[0].id, "type": "function", "function": FUNCTION}
    past = [
        {"role": "assistant", "content": "", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "a black one"},
        {"role": "assistant", "content": ""},
        {"role": "user", "content": "Go on."},
    ]
    openai_client(start(backend).url).chat.completions.create(model=MODEL, messages=MESSAGES + past)
    blocks = [block for message in backend.asked["messages"] for block in message["content"] if isinstance(block, dict)]
    assert all(block["text"].strip() for block in blocks if block["type"] == "text")


def test_tools_stand_in_the_request_if_they_stand_in_its_history(backend, start):
    call = {"id": CALLS[0].id, "type": "function", "function": FUNCTION}
    past = [
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": call["id"], "content": "a black one"},
    ]
    openai_client(start(backend).url).chat.completions.create(model=MODEL, messages=MESSAGES + past)
    assert [tool["name"] for tool in backend.asked["tools"]] == [CALLS[0].name]
