"""ollama-python calls tools, in parallel, streamed and whole, from either dialect of backend."""

import json

from conftest import ollama_client
from questions import MESSAGES, MODEL, TOOLS
from reply import Call, Reply

CALLS = [
    Call("call_pen", "find_pen", {"maker": "Ærø & Sons", "year": 1908}),
    Call("call_ink", "mix_ink", {"shade": "iron gall", "parts": [1, 2.5, None], "warm": True}),
]
NAMED = [(call.name, call.arguments) for call in CALLS]
ASKED = {"function": {"name": CALLS[0].name, "arguments": CALLS[0].arguments}}
HISTORY = [
    {"role": "assistant", "content": "", "tool_calls": [ASKED]},
    {"role": "tool", "tool_name": CALLS[0].name, "content": "a black one"},
]


def test_streamed_tool_calls_come_whole_with_their_arguments(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(calls=CALLS)))
    parts = list(ollama_python.chat(MODEL, MESSAGES, tools=TOOLS, stream=True))
    calls = [call.function for part in parts for call in part.message.tool_calls or []]
    assert [(call.name, call.arguments) for call in calls] == NAMED
    assert parts[-1].done


def test_text_before_tool_calls_is_kept(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=["Let me see."], calls=CALLS)))
    parts = list(ollama_python.chat(MODEL, MESSAGES, tools=TOOLS, stream=True))
    assert "".join(part.message.content or "" for part in parts) == "Let me see."
    assert sum(len(part.message.tool_calls or []) for part in parts) == 2


def test_whole_tool_calls_reach_ollama_python(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(calls=CALLS)))
    message = ollama_python.chat(MODEL, MESSAGES, tools=TOOLS).message
    assert [(call.function.name, call.function.arguments) for call in message.tool_calls] == NAMED


def test_the_tools_reach_the_backend_as_they_were_offered(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=["No need."])))
    ollama_python.chat(MODEL, MESSAGES, tools=TOOLS)
    assert backend.asked["tools"] == TOOLS


def test_the_result_of_a_tool_goes_back_to_the_backend(backend, ollama_python):
    backend.play(lambda answer: answer.reply(Reply(text=["A fine pen."])))
    ollama_python.chat(MODEL, MESSAGES + HISTORY, tools=TOOLS)
    asked, result = backend.asked["messages"][-2:]
    sent = asked["tool_calls"][0]["function"]["arguments"]
    assert (sent if backend.api == "ollama" else json.loads(sent)) == CALLS[0].arguments
    assert (result["role"], result["content"]) == ("tool", "a black one")


def test_a_result_is_tied_to_its_call_by_an_id_that_an_openai_backend_needs(openai_backend, start):
    openai_backend.play(lambda answer: answer.reply(Reply(text=["A fine pen."])))
    ollama_client(start(openai_backend).url).chat(MODEL, MESSAGES + HISTORY, tools=TOOLS)
    asked, result = openai_backend.asked["messages"][-2:]
    assert asked["tool_calls"][0]["id"] == result["tool_call_id"] != ""
