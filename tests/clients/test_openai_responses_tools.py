"""openai-python calls tools through Responses, in parallel, streamed and whole, from any dialect of backend."""

import json

import pytest

from only import only
from questions import MODEL, QUESTION, RESPONSES_TOOLS, SCHEMAS
from replies import CALLS, HISTORY, NAMED, say
from reply import Call
from whole import response_of, streamed_or_whole

ASKED = {"model": MODEL, "input": QUESTION, "tools": RESPONSES_TOOLS}
PAST = [
    {"role": "user", "content": QUESTION},
    *(
        {"type": "function_call", "call_id": c.id, "name": c.name, "arguments": json.dumps(c.arguments)}
        for c in CALLS
    ),
    {"type": "function_call_output", "call_id": CALLS[0].id, "output": "a black one"},
    {"type": "function_call_output", "call_id": CALLS[1].id, "output": "a cup of it"},
    {"role": "user", "content": "Which is finer?"},
]
CHOICES = [
    ("required", {"openai": "required", "anthropic": {"type": "any"}}),
    (
        {"type": "function", "name": "mix_ink"},
        {
            "openai": {"type": "function", "function": {"name": "mix_ink"}},
            "anthropic": {"type": "tool", "name": "mix_ink"},
        },
    ),
]


def ask(client, stream, **more):
    return response_of(client, stream, **ASKED | more)


def called(response):
    return [(item.name, json.loads(item.arguments)) for item in response.output if item.type == "function_call"]


@streamed_or_whole
@pytest.mark.parametrize("count", [1, 2], ids=["single", "parallel"])
def test_function_calls_reach_openai_python(backend, openai_python, stream, count):
    backend.play(say(calls=CALLS[:count]))
    response = ask(openai_python, stream)
    assert called(response) == NAMED[:count]
    assert len({item.call_id for item in response.output}) == count
    assert {item.status for item in response.output} == {"completed"}


@streamed_or_whole
def test_text_before_function_calls_is_kept(backend, openai_python, stream):
    backend.play(say(text=["Let me see."], calls=CALLS))
    response = ask(openai_python, stream)
    assert [item.type for item in response.output] == ["message", "function_call", "function_call"]
    assert (response.output_text, called(response)) == ("Let me see.", NAMED)


def test_the_arguments_come_in_pieces_and_then_whole(backend, openai_python):
    backend.play(say(calls=CALLS))
    events = list(openai_python.responses.create(**ASKED, stream=True))
    pieces = {0: "", 1: ""}
    for event in events:
        if event.type == "response.function_call_arguments.delta":
            pieces[event.output_index] += event.delta
    done = [event.arguments for event in events if event.type == "response.function_call_arguments.done"]
    assert list(pieces.values()) == done
    assert [json.loads(text) for text in done] == [call.arguments for call in CALLS]


@streamed_or_whole
def test_a_call_without_arguments_has_an_empty_object(backend, openai_python, stream):
    backend.play(say(calls=[Call("call_bell", "ring", {})]))
    assert called(ask(openai_python, stream)) == [("ring", {})]


@only("openai", "responses", "anthropic")
def test_the_ids_of_the_backend_are_kept(backend, openai_python):
    backend.play(say(calls=CALLS))
    assert [item.call_id for item in ask(openai_python, True).output] == [call.id for call in CALLS]


def test_the_tools_reach_the_backend_as_they_were_offered(backend, openai_python):
    backend.play(say(text=["No need."]))
    ask(openai_python, False)
    assert backend.heard.tools == SCHEMAS


def test_the_results_of_functions_go_back_to_the_backend(backend, openai_python):
    backend.play(say(text=["A fine pen."]))
    ask(openai_python, False, input=PAST)
    assert backend.heard.turns == HISTORY


@only("openai", "responses", "anthropic")
def test_a_result_is_tied_to_its_call_by_its_id(backend, openai_python):
    backend.play(say(text=["A fine pen."]))
    ask(openai_python, False, input=PAST)
    assert backend.heard.ids == [CALLS[0].id, CALLS[1].id] * 2


@only("anthropic")
def test_all_results_of_one_turn_go_to_anthropic_in_one_message(backend, openai_python):
    backend.play(say(text=["A fine pen."]))
    ask(openai_python, False, input=PAST)
    assert [message["role"] for message in backend.asked["messages"]] == ["user", "assistant", "user"]
    kinds = [block["type"] for block in backend.asked["messages"][-1]["content"]]
    assert kinds == ["tool_result", "tool_result", "text"]


@only("openai", "anthropic")
@pytest.mark.parametrize(("choice", "told"), CHOICES, ids=["any", "one"])
def test_the_choice_of_a_function_reaches_the_backend(backend, openai_python, choice, told):
    backend.play(say(calls=CALLS[1:]))
    ask(openai_python, False, tool_choice=choice)
    assert backend.asked["tool_choice"] == told[backend.dialect]


def test_the_sdk_hands_back_what_it_got(backend, openai_python):
    """The usual loop: the items of the output go into the next input as they are."""
    backend.play(say(thinking=["Hm."], text=["Let me see."], calls=CALLS[:1]))
    output = ask(openai_python, True).to_dict()["output"]
    result = {"type": "function_call_output", "call_id": output[-1]["call_id"], "output": "a black one"}
    backend.play(say(text=["A fine pen."]))
    ask(openai_python, True, input=[PAST[0], *output, result])
    turns = [turn for turn in backend.heard.turns if turn[0] != "thinking"]
    assert turns == [HISTORY[0], ("assistant", "Let me see."), HISTORY[1], HISTORY[3]]
