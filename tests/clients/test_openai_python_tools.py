"""openai-python calls tools, in parallel, streamed and whole, from any dialect of backend."""

import json

import pytest

from only import only
from questions import MESSAGES, MODEL, SCHEMAS, TOOLS
from replies import CALLS, HISTORY, NAMED, say
from reply import Call

ASKED = [
    {"id": c.id, "type": "function", "function": {"name": c.name, "arguments": json.dumps(c.arguments)}} for c in CALLS
]
PAST = [
    {"role": "assistant", "content": None, "tool_calls": ASKED},
    {"role": "tool", "tool_call_id": CALLS[0].id, "content": "a black one"},
    {"role": "tool", "tool_call_id": CALLS[1].id, "content": "a cup of it"},
    {"role": "user", "content": "Which is finer?"},
]
MIX = {"type": "function", "function": {"name": "mix_ink"}}
CHOICES = [
    ("required", {"openai": "required", "responses": "required", "anthropic": {"type": "any"}}),
    (
        MIX,
        {
            "openai": MIX,
            "responses": {"type": "function", "name": "mix_ink"},
            "anthropic": {"type": "tool", "name": "mix_ink"},
        },
    ),
]


def test_streamed_parallel_tool_calls_can_be_put_together(backend, openai_python):
    backend.play(say(calls=CALLS))
    stream = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, stream=True)
    names, arguments, ids = {}, {}, {}
    for chunk in stream:
        for call in chunk.choices[0].delta.tool_calls or []:
            ids[call.index] = ids.get(call.index) or call.id
            names[call.index] = names.get(call.index, "") + (call.function.name or "")
            arguments[call.index] = arguments.get(call.index, "") + (call.function.arguments or "")
    assert names == {0: "find_pen", 1: "mix_ink"}
    assert [json.loads(a) for a in arguments.values()] == [call.arguments for call in CALLS]
    assert all(ids.values()) and ids[0] != ids[1]


def test_a_stream_of_tool_calls_ends_with_the_reason_tool_calls(backend, openai_python):
    backend.play(say(calls=CALLS))
    stream = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, stream=True)
    reasons = [chunk.choices[0].finish_reason for chunk in stream]
    assert [reason for reason in reasons if reason] == ["tool_calls"]


def test_the_stream_helper_builds_parallel_tool_calls(backend, openai_python):
    backend.play(say(text=["Let me see."], calls=CALLS))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.content == "Let me see."
    assert [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls] == NAMED


def test_whole_parallel_tool_calls_reach_openai_python(backend, openai_python):
    backend.play(say(calls=CALLS))
    choice = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS).choices[0]
    calls = choice.message.tool_calls
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == NAMED
    assert len({call.id for call in calls}) == 2
    assert choice.finish_reason == "tool_calls"


def test_the_tools_reach_the_backend_as_they_were_offered(backend, openai_python):
    backend.play(say(text=["No need."]))
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS)
    assert backend.heard.tools == SCHEMAS


def test_the_results_of_tools_go_back_to_the_backend(backend, openai_python):
    backend.play(say(text=["A fine pen."]))
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES + PAST, tools=TOOLS)
    assert backend.heard.turns == HISTORY


def test_a_call_without_arguments_has_an_empty_object(backend, openai_python):
    backend.play(say(calls=[Call("call_bell", "ring", {})]))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=TOOLS) as stream:
        (call,) = stream.get_final_completion().choices[0].message.tool_calls
    assert json.loads(call.function.arguments) == {}


@only("openai", "responses", "anthropic")
@pytest.mark.parametrize(("choice", "told"), CHOICES, ids=["any", "one"])
def test_the_choice_of_a_tool_reaches_the_backend(backend, openai_python, choice, told):
    backend.play(say(calls=CALLS[1:]))
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice=choice)
    assert backend.asked["tool_choice"] == told[backend.dialect]


@only("openai", "responses", "anthropic")
def test_the_wish_for_one_call_at_a_time_reaches_the_backend(backend, openai_python):
    backend.play(say(calls=CALLS[1:]))
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, parallel_tool_calls=False)
    asked = backend.asked
    if backend.dialect == "anthropic":
        assert asked["tool_choice"] == {"type": "auto", "disable_parallel_tool_use": True}
    else:
        assert asked["parallel_tool_calls"] is False


def test_the_choice_of_no_tool_reaches_the_backend(backend, openai_python):
    backend.play(say(text=["No need."]))
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, tool_choice="none")
    choice = backend.asked.get("tool_choice")
    assert backend.heard.tools == {} or choice in ("none", {"type": "none"})
