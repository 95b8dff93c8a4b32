"""ollama-python calls tools, in parallel, streamed and whole, from any dialect of backend."""

from only import only
from questions import MESSAGES, MODEL, SCHEMAS, TOOLS
from replies import CALLS, HISTORY, NAMED, say

ASKED = [{"function": {"name": call.name, "arguments": call.arguments}} for call in CALLS]
PAST = [
    {"role": "assistant", "content": "", "tool_calls": ASKED},
    {"role": "tool", "tool_name": CALLS[0].name, "content": "a black one"},
    {"role": "tool", "tool_name": CALLS[1].name, "content": "a cup of it"},
    {"role": "user", "content": "Which is finer?"},
]


def test_streamed_tool_calls_come_whole_with_their_arguments(backend, ollama_python):
    backend.play(say(calls=CALLS))
    parts = list(ollama_python.chat(MODEL, MESSAGES, tools=TOOLS, stream=True))
    calls = [call.function for part in parts for call in part.message.tool_calls or []]
    assert [(call.name, call.arguments) for call in calls] == NAMED
    assert parts[-1].done


def test_text_before_tool_calls_is_kept(backend, ollama_python):
    backend.play(say(text=["Let me see."], calls=CALLS))
    parts = list(ollama_python.chat(MODEL, MESSAGES, tools=TOOLS, stream=True))
    assert "".join(part.message.content or "" for part in parts) == "Let me see."
    assert sum(len(part.message.tool_calls or []) for part in parts) == 2


def test_whole_tool_calls_reach_ollama_python(backend, ollama_python):
    backend.play(say(calls=CALLS))
    message = ollama_python.chat(MODEL, MESSAGES, tools=TOOLS).message
    assert [(call.function.name, call.function.arguments) for call in message.tool_calls] == NAMED


def test_the_tools_reach_the_backend_as_they_were_offered(backend, ollama_python):
    backend.play(say(text=["No need."]))
    ollama_python.chat(MODEL, MESSAGES, tools=TOOLS)
    assert backend.heard.tools == SCHEMAS


def test_the_results_of_tools_go_back_to_the_backend(backend, ollama_python):
    backend.play(say(text=["A fine pen."]))
    ollama_python.chat(MODEL, MESSAGES + PAST, tools=TOOLS)
    assert backend.heard.turns == HISTORY


@only("openai", "responses", "anthropic")
def test_a_result_is_tied_to_its_call_by_an_id_that_the_backend_needs(backend, ollama_python):
    backend.play(say(text=["A fine pen."]))
    ollama_python.chat(MODEL, MESSAGES + PAST, tools=TOOLS)
    pen, ink, *results = backend.heard.ids
    assert pen and ink and pen != ink
    assert results == [pen, ink]
