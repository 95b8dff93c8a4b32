"""anthropic-python calls tools, in parallel, streamed and whole, from any dialect of backend."""

import pytest

from only import only
from questions import ANTHROPIC_TOOLS, MESSAGES, MODEL, SCHEMAS
from replies import CALLS, HISTORY, NAMED, say
from reply import Call
from whole import message_of, streamed_or_whole

ASKED = {"model": MODEL, "messages": MESSAGES, "max_tokens": 64, "tools": ANTHROPIC_TOOLS}
RESULTS = [
    {"type": "tool_result", "tool_use_id": CALLS[0].id, "content": "a black one"},
    {"type": "tool_result", "tool_use_id": CALLS[1].id, "content": [{"type": "text", "text": "a cup of it"}]},
]
USES = [{"type": "tool_use", "id": call.id, "name": call.name, "input": call.arguments} for call in CALLS]
PAST = [
    {"role": "assistant", "content": USES},
    {"role": "user", "content": [*RESULTS, {"type": "text", "text": "Which is finer?"}]},
]
MIX = {"type": "tool", "name": "mix_ink"}
CHOICES = [
    ({"type": "any"}, {"openai": "required", "responses": "required"}),
    (
        MIX,
        {
            "openai": {"type": "function", "function": {"name": "mix_ink"}},
            "responses": {"type": "function", "name": "mix_ink"},
        },
    ),
]
LONG = "mcp__stationery_and_other_fine_goods__look_for_a_pen_of_a_maker_in_a_year"


def ask(client, stream, **more):
    return message_of(client, stream, **ASKED | more)


def called(message):
    return [(block.name, block.input) for block in message.content if block.type == "tool_use"]


@streamed_or_whole
@pytest.mark.parametrize("count", [1, 2], ids=["single", "parallel"])
def test_tool_calls_reach_anthropic_python(backend, anthropic_python, stream, count):
    backend.play(say(calls=CALLS[:count]))
    message = ask(anthropic_python, stream)
    assert called(message) == NAMED[:count]
    assert len({block.id for block in message.content}) == count
    assert message.stop_reason == "tool_use"


@streamed_or_whole
def test_text_before_tool_calls_is_kept(backend, anthropic_python, stream):
    backend.play(say(text=["Let me see."], calls=CALLS))
    message = ask(anthropic_python, stream)
    assert message.content[0].text == "Let me see."
    assert called(message) == NAMED


@streamed_or_whole
def test_a_call_without_arguments_has_an_empty_object(backend, anthropic_python, stream):
    backend.play(say(calls=[Call("call_bell", "ring", {})]))
    assert called(ask(anthropic_python, stream)) == [("ring", {})]


@only("openai", "responses", "anthropic")
def test_the_ids_of_the_backend_are_kept(backend, anthropic_python):
    backend.play(say(calls=CALLS))
    assert [block.id for block in ask(anthropic_python, True).content] == [call.id for call in CALLS]


@streamed_or_whole
@only("openai", "responses", "anthropic")
def test_a_call_cut_by_its_length_does_not_look_complete(backend, anthropic_python, stream):
    backend.play(say(calls=CALLS[:1], finish="length"))
    assert ask(anthropic_python, stream).stop_reason == "max_tokens"


def test_the_tools_reach_the_backend_as_they_were_offered(backend, anthropic_python):
    backend.play(say(text=["No need."]))
    ask(anthropic_python, False)
    assert backend.heard.tools == SCHEMAS


def test_the_results_of_tools_go_back_to_the_backend(backend, anthropic_python):
    backend.play(say(text=["A fine pen."]))
    ask(anthropic_python, False, messages=MESSAGES + PAST)
    assert backend.heard.turns == HISTORY


@only("openai", "responses", "anthropic")
def test_a_result_is_tied_to_its_call_by_its_id(backend, anthropic_python):
    backend.play(say(text=["A fine pen."]))
    ask(anthropic_python, False, messages=MESSAGES + PAST)
    assert backend.heard.ids == [CALLS[0].id, CALLS[1].id] * 2


@only("openai", "responses")
@pytest.mark.parametrize(("choice", "told"), CHOICES, ids=["any", "one"])
def test_the_choice_of_a_tool_reaches_the_backend(backend, anthropic_python, choice, told):
    backend.play(say(calls=CALLS[1:]))
    ask(anthropic_python, False, tool_choice=choice | {"disable_parallel_tool_use": True})
    assert backend.asked["tool_choice"] == told[backend.dialect]
    assert backend.asked["parallel_tool_calls"] is False


@streamed_or_whole
@only("openai", "responses")
def test_a_name_that_is_too_long_for_the_backend_comes_back_as_it_was(backend, anthropic_python, stream):
    def script(answer):
        (name,) = backend.heard.tools
        say(calls=[Call("call_pen", name, {})])(answer)

    backend.play(script)
    message = ask(anthropic_python, stream, tools=[ANTHROPIC_TOOLS[0] | {"name": LONG}])
    (told,) = backend.heard.tools
    assert len(told) <= 64 < len(LONG)
    assert called(message) == [(LONG, {})]


@only("openai", "responses")
def test_a_name_that_is_too_long_is_the_same_in_the_history(backend, anthropic_python):
    backend.play(say(text=["A fine pen."]))
    call = {"type": "tool_use", "id": CALLS[0].id, "name": LONG, "input": {}}
    past = [{"role": "assistant", "content": [call]}, {"role": "user", "content": RESULTS[:1]}]
    ask(anthropic_python, False, messages=MESSAGES + past, tools=[ANTHROPIC_TOOLS[0] | {"name": LONG}])
    heard = backend.heard
    assert heard.turns[1] == ("call", *heard.tools, {})
