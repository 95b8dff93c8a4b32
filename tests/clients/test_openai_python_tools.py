"""openai-python calls tools, in parallel, streamed and whole, from either dialect of backend."""

import json

from questions import MESSAGES, MODEL, TOOLS
from reply import Call, Reply

CALLS = [
    Call("call_pen", "find_pen", {"maker": "Ærø & Sons", "year": 1908}),
    Call("call_ink", "mix_ink", {"shade": "iron gall", "parts": [1, 2.5, None], "warm": True}),
]
FUNCTION = {"name": CALLS[0].name, "arguments": json.dumps(CALLS[0].arguments)}
HISTORY = [
    {"role": "assistant", "content": None, "tool_calls": [{"id": CALLS[0].id, "type": "function", "function": FUNCTION}]},
    {"role": "tool", "tool_call_id": CALLS[0].id, "content": "a black one"},
]


def test_streamed_parallel_tool_calls_can_be_put_together(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(calls=CALLS)))
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
    backend.play(lambda answer: answer.reply(Reply(calls=CALLS)))
    stream = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS, stream=True)
    reasons = [chunk.choices[0].finish_reason for chunk in stream]
    assert [reason for reason in reasons if reason] == ["tool_calls"]


def test_the_stream_helper_builds_parallel_tool_calls(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=["Let me see."], calls=CALLS)))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    assert message.content == "Let me see."
    assert [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls] == named(CALLS)


def test_whole_parallel_tool_calls_reach_openai_python(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(calls=CALLS)))
    choice = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS).choices[0]
    calls = choice.message.tool_calls
    assert [(c.function.name, json.loads(c.function.arguments)) for c in calls] == named(CALLS)
    assert len({call.id for call in calls}) == 2
    assert choice.finish_reason == "tool_calls"


def test_the_tools_reach_the_backend_as_they_were_offered(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=["No need."])))
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, tools=TOOLS)
    assert backend.asked["tools"] == TOOLS


def test_the_result_of_a_tool_goes_back_to_the_backend(backend, openai_python):
    backend.play(lambda answer: answer.reply(Reply(text=["A fine pen."])))
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES + HISTORY, tools=TOOLS)
    asked, result = backend.asked["messages"][-2:]
    sent = asked["tool_calls"][0]["function"]["arguments"]
    assert (sent if backend.api == "ollama" else json.loads(sent)) == CALLS[0].arguments
    assert (result["role"], result["content"]) == ("tool", "a black one")


def named(calls):
    return [(call.name, call.arguments) for call in calls]
