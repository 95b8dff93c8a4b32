"""In front of a real server of llama.cpp every door says what the server says itself."""

import json
import re

import httpx
import pytest

import llama_model
from gateway import Gateway
from llama_said import DOORS, MODEL, TOOLS, Ask, chat, ollama_generate
from llama_server import LlamaServer
from marks import GUARD
from whole import streamed_or_whole

SCHEMA = {
    "type": "object",
    "properties": {"city": {"type": "string"}, "days": {"type": "integer"}},
    "required": ["city", "days"],
    "additionalProperties": False,
}
SAID = {
    "text": (Ask("ANSWER"), {"text": llama_model.ANSWER}),
    "thinking": (Ask("THINK"), {"text": llama_model.OUTCOME, "thinking": llama_model.THOUGHT}),
    "nothing": (Ask("NOTHING"), {"text": ""}),
    "cut": (Ask("ENDLESS", limit=7), {"finish": "length"}),
    "schema": (Ask("ANSWER", schema=SCHEMA), {"text": '{"city":"","days":1}'}),
    "tool": (Ask("CALL", tools=True), {"calls": [llama_model.PARIS], "finish": "tool_calls"}),
    "tools": (
        Ask("BOTH", tools=True),
        {"text": llama_model.ASIDE, "calls": [llama_model.OSLO, llama_model.UTC], "finish": "tool_calls"},
    ),
}
USER = {"messages": [{"role": "user", "content": "ANSWER"}], "temperature": 0, "max_tokens": 60}
CHATS = {
    "two choices": {"n": 2},
    "log probabilities": {"logprobs": True, "top_logprobs": 2},
    "stop": {"stop": ["all ta"]},
    "grammar": {"grammar": 'root ::= "yes" | "no"'},
    "bias": {"logit_bias": [["Hel", -100]]},
    "usage": {"stream_options": {"include_usage": True}},
    "timings": {"timings_per_token": True},
    "progress": {"return_progress": True},
    "any object": {"response_format": {"type": "json_object"}},
    "begun": {"messages": [*USER["messages"], {"role": "assistant", "content": "Well: "}]},
    "thoughts": {"messages": [{"role": "user", "content": "THINK"}]},
    "calls": {"messages": [{"role": "user", "content": "BOTH"}], "tools": TOOLS},
    "no call": {"messages": [{"role": "user", "content": "CALL"}], "tools": TOOLS, "tool_choice": "none"},
}
COMPLETIONS = {
    "text": {"prompt": "one\n"},
    "two prompts": {"prompt": ["one\n", "two\n"]},
    "two choices": {"prompt": "one\n", "n": 2},
    "log probabilities": {"prompt": "one\n", "logprobs": 2},
    "tokens": {"prompt": [13, 14, 13]},
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    with LlamaServer(tmp_path_factory.mktemp("llama")) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(llama, tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("before-llama"), llama) as gateway:
        known(gateway)
        yield gateway


def known(gateway):
    """The gateway has heard of its backend whose server it is."""
    assert httpx.get(f"{gateway.url}/v1/models").json()["data"]


@streamed_or_whole
@pytest.mark.parametrize(
    "door, what",
    [
        pytest.param(door, what, id=f"{door.__name__}-{what}")
        for door in DOORS
        for what, (ask, _) in SAID.items()
        if not (ask.tools and door is ollama_generate)  # it has no tools
    ],
)
def test_every_door_says_what_the_server_says(llama, gateway, door, stream, what):
    ask, expected = SAID[what]
    itself = chat(llama.url, ask, False)
    assert expected == {name: getattr(itself, name) for name in expected}
    assert door(gateway.url, ask, stream) == itself


@streamed_or_whole
@pytest.mark.parametrize("what", CHATS)
def test_a_chat_is_what_the_server_says_to_the_byte(llama, gateway, stream, what):
    alike(llama, gateway, "/v1/chat/completions", {**USER, **CHATS[what]}, stream)


@streamed_or_whole
def test_what_the_template_begins_the_answer_with_is_kept(llama, gateway, stream):
    body = {**USER, "model": MODEL, "stream": stream, "chat_template_kwargs": {"enable_thinking": False}}
    own, told = (ask(f"{url}/v1/chat/completions", body) for url in (llama.url, gateway.url))
    assert text_of(told) == text_of(own) == f"<|answer|>{llama_model.ANSWER}"


@streamed_or_whole
@pytest.mark.parametrize("what", COMPLETIONS)
def test_a_completion_is_what_the_server_says_to_the_byte(llama, gateway, stream, what):
    alike(llama, gateway, "/v1/completions", {"max_tokens": 9, "temperature": 0, **COMPLETIONS[what]}, stream)


def test_tokens_are_counted_by_the_server(llama, gateway):
    asked = {"model": MODEL, "messages": [{"role": "user", "content": "What is that, and how long?"}]}
    counted = httpx.post(f"{gateway.url}/v1/messages/count_tokens", json=asked)
    assert counted.json() == httpx.post(f"{llama.url}/v1/messages/count_tokens", json=asked).json()
    assert "x-estimated" not in counted.headers


@pytest.mark.parametrize(
    "path, asked",
    [
        ("/tokenize", {"content": "one two"}),
        ("/v1/chat/completions/input_tokens", {"messages": USER["messages"]}),
        ("/v1/responses/input_tokens", {"input": "one two"}),
    ],
)
def test_routes_of_the_server_are_passed_on(llama, gateway, path, asked):
    asked["model"] = MODEL
    answer = httpx.post(gateway.url + path, json=asked)
    assert answer.json() == httpx.post(llama.url + path, json=asked).json()


def test_what_is_known_of_a_model_is_told(llama, gateway):
    own, told = (httpx.get(f"{url}/v1/models").json()["data"][0] for url in (llama.url, gateway.url))
    assert told["meta"]["n_ctx"] > 0
    assert {name: told[name] for name in ("id", "meta", "aliases", "architecture")} == {
        name: own[name] for name in ("id", "meta", "aliases", "architecture")
    }


def test_a_stream_is_found_and_read_again_as_from_the_server(llama, gateway):
    for url in (llama.url, gateway.url):
        body = {**USER, "model": MODEL, "stream": True}
        seen = httpx.post(f"{url}/v1/chat/completions", json=body, headers={"X-Conversation-Id": "talk"}).content
        (found,) = httpx.post(f"{url}/v1/streams/lookup", json={"conversation_ids": ["talk", "else"]}).json()
        assert (found["conversation_id"], found["is_done"]) == ("talk", True)
        assert found["completed_at"] >= found["started_at"] > 1_700_000_000
        assert found["total_bytes"] == len(seen)
        for start in (0, 11, len(seen) - 1, len(seen)):
            again = httpx.get(f"{url}/v1/stream", params={"conv_id": "talk", "from": start})
            assert (again.status_code, again.content) == (200, seen[start:])
        for name in ("talk", "talk", "else"):
            assert httpx.delete(f"{url}/v1/stream", params={"conv_id": name}).status_code == 204
        assert httpx.get(f"{url}/v1/stream", params={"conv_id": "else"}).status_code == 404
        assert httpx.get(f"{url}/v1/stream").status_code == 400


def alike(llama, gateway, path, body, stream):
    """The same answer from both, but for what no two answers have in common."""
    body = {**body, "model": MODEL, "stream": stream}
    if not stream:
        body.pop("stream_options", None)
    ask(llama.url + path, body)  # from now on the same part of the prompt is remembered
    own, told = (ask(url + path, body) for url in (llama.url, gateway.url))
    if stream:
        assert grouped(told) == grouped(own)
    else:
        assert json.dumps(settled(json.loads(told))) == json.dumps(settled(json.loads(own)))


def ask(url, body):
    answer = httpx.post(url, json=body, timeout=GUARD)
    assert answer.status_code == 200, answer.text
    return answer.text


def grouped(text):
    """The events of each choice: those of several come in no order. The times stand beside usage, asked for or not: where it was
    not, in an event that says nothing else."""
    groups = {"times": '"timings"' in text}
    for data in re.findall(r"^data: (\{.*)$", text, re.MULTILINE):
        event = settled(json.loads(data))
        alone = event.pop("timings", None) and event["choices"] == [SILENT]
        if (event["choices"] or "usage" in event) and not alone:
            place = event["choices"][0]["index"] if event["choices"] else "usage"
            groups.setdefault(place, []).append(json.dumps(event))
    assert text.endswith("data: [DONE]\n\n")
    return groups


def text_of(text):
    pieces = re.findall(r'"content":("(?:[^"\\]|\\.)*")', text)
    return "".join(map(json.loads, pieces))


SILENT = {"index": 0, "delta": {}, "finish_reason": None}
VOLATILE = {"id", "created", "timings", "cached_tokens", "time_ms", "cache", "processed"}


def settled(value):
    if isinstance(value, dict):
        return {key: type(inner).__name__ if key in VOLATILE else settled(inner) for key, inner in value.items()}
    return [settled(inner) for inner in value] if isinstance(value, list) else value
