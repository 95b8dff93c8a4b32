"""A coding agent that speaks OpenAI's Responses works with models that do not."""

import json

import httpx
import pytest
import zstandard

from codex import GRAMMAR, INSTRUCTIONS, PATCH, PERMISSIONS, REQUEST, SHELL, TURNS
from marks import GUARD
from only import only
from replies import THOUGHT, THOUGHTS, say
from reply import Call

PATCHING = Call("call_next", "apply_patch", {"input": PATCH})
LISTING = Call("call_list", "shell", {"command": ["ls"]})
every_backend = only("ollama", "openai", "anthropic")


@pytest.fixture
def events(backend, openai_python):
    """What the agent got; `backend` is left with what it was asked."""
    backend.play(say(thinking=THOUGHTS, text=["Let me ", "write."], calls=[PATCHING, LISTING]))
    with openai_python.responses.create(**REQUEST, stream=True) as stream:
        return list(stream)


@every_backend
def test_the_agent_reads_the_next_steps_in_their_order(backend, events):
    output = events[-1].response.output
    assert [item.type for item in output] == ["reasoning", "message", "custom_tool_call", "function_call"]
    assert "".join(part.text for part in [*output[0].summary, *(output[0].content or [])]) == THOUGHT
    assert output[1].content[0].text == "Let me write."
    assert (output[3].name, json.loads(output[3].arguments)) == (LISTING.name, LISTING.arguments)


@every_backend
def test_a_call_of_a_custom_tool_has_its_input_as_plain_text(backend, events):
    (call,) = [item for item in events[-1].response.output if item.type == "custom_tool_call"]
    assert (call.name, call.input) == ("apply_patch", PATCH)
    assert call.call_id


@every_backend
def test_the_input_of_a_custom_tool_comes_in_events_of_its_own(backend, events):
    deltas = [event.delta for event in events if event.type == "response.custom_tool_call_input.delta"]
    done = [event.input for event in events if event.type == "response.custom_tool_call_input.done"]
    assert ["".join(deltas)] == done == [PATCH]


@every_backend
def test_the_items_of_the_stream_are_those_of_the_response(backend, events):
    done = [event.item for event in events if event.type == "response.output_item.done"]
    assert [item.to_dict() for item in done] == [item.to_dict() for item in events[-1].response.output]


@every_backend
def test_a_whole_answer_has_the_same_items(backend, openai_python):
    backend.play(say(calls=[PATCHING, LISTING]))
    custom, function = openai_python.responses.create(**REQUEST).output
    assert (custom.type, custom.name, custom.input) == ("custom_tool_call", "apply_patch", PATCH)
    assert (function.type, function.name) == ("function_call", "shell")


@every_backend
def test_the_model_is_told_the_instructions_and_what_the_developer_says(backend, events):
    assert backend.heard.system.startswith(INSTRUCTIONS)
    assert PERMISSIONS in backend.heard.system


@every_backend
def test_the_model_is_told_every_turn_in_its_order(backend, events):
    assert [turn for turn in backend.heard.turns if turn[0] != "thinking"] == TURNS


@only("openai", "anthropic")
def test_results_are_tied_to_their_calls(backend, events):
    assert backend.heard.ids == ["call_ls", "call_ls", "call_patch", "call_patch"]


@every_backend
def test_a_custom_tool_is_offered_as_a_function_of_one_text(backend, events):
    tools = backend.heard.tools
    assert tools.keys() == {"shell", "apply_patch"}
    assert tools["shell"] == SHELL["parameters"]
    assert tools["apply_patch"]["properties"].keys() == {"input"}
    assert tools["apply_patch"]["properties"]["input"]["type"] == "string"
    assert tools["apply_patch"]["required"] == ["input"]


@every_backend
def test_the_grammar_of_a_custom_tool_is_told_to_the_model_or_named_as_left_out(backend, openai_python):
    backend.play(say(text=["No need."]))
    answer = openai_python.responses.with_raw_response.create(**REQUEST)
    (told,) = [tool for tool in backend.asked["tools"] if "apply_patch" in str(tool)]
    assert GRAMMAR in str(told) or "format" in answer.headers["x-dropped-fields"]


@every_backend
def test_a_tool_that_openai_runs_is_left_out_and_named(backend, openai_python):
    backend.play(say(text=["No need."]))
    answer = openai_python.responses.with_raw_response.create(**REQUEST)
    assert "web_search" in answer.headers["x-dropped-fields"]
    assert "web_search" not in json.dumps(backend.asked)


@every_backend
def test_the_model_is_told_how_much_to_think(backend, events):
    asked = backend.asked
    thinks = {
        "ollama": asked.get("think"),
        "openai": asked.get("reasoning_effort"),
        "anthropic": asked.get("thinking", {}).get("type"),
    }
    assert thinks[backend.dialect] == ("enabled" if backend.dialect == "anthropic" else "high")


@only("openai")
def test_an_openai_server_is_told_to_call_one_tool_at_a_time(backend, events):
    assert backend.asked["parallel_tool_calls"] is False


@every_backend
def test_what_openai_sealed_is_sent_to_nobody_else(backend, events):
    assert "gAAAAABo" not in json.dumps(backend.asked)


@every_backend
def test_a_compressed_question_is_answered_like_any_other(backend, start):
    backend.play(say(text=["Done."]))
    answer = post_compressed(start(backend).url, zstandard.compress(json.dumps(REQUEST).encode()))
    assert answer.json()["output"][0]["content"][0]["text"] == "Done."
    assert [turn for turn in backend.heard.turns if turn[0] != "thinking"] == TURNS


@only("responses")
def test_a_compressed_question_is_passed_on_to_openai(backend, start):
    backend.play(say(text=["Done."]))
    assert post_compressed(start(backend).url, zstandard.compress(json.dumps(REQUEST).encode())).status_code == 200
    assert backend.asked == REQUEST


@only("ollama")
def test_a_compressed_question_that_is_broken_is_a_bad_request(backend, start):
    answer = post_compressed(start(backend).url, zstandard.compress(json.dumps(REQUEST).encode())[:-9])
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "invalid_request")


@only("ollama")
def test_a_compressed_question_may_not_grow_beyond_the_limit(backend, start):
    bomb = zstandard.compress(json.dumps(REQUEST | {"instructions": "x" * 64_000_000}).encode())
    assert len(bomb) < 100_000
    assert post_compressed(start(backend).url, bomb).status_code == 413


def post_compressed(url, body):
    headers = {"Content-Type": "application/json", "Content-Encoding": "zstd"}
    return httpx.post(f"{url}/v1/responses", content=body, headers=headers, timeout=GUARD)
