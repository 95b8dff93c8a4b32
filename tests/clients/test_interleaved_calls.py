"""Parallel tool calls whose fragments come in turn are put together by every client."""

import json

import pytest

from questions import ANTHROPIC_TOOLS, MESSAGES, MODEL, QUESTION, RESPONSES_TOOLS, TOOLS
from replies import CALLS, NAMED
from reply import Reply
from sdk import anthropic_client, chat_anthropic, chat_ollama, chat_openai, chat_openai_responses
from sdk import ollama_client, openai_client


def openai_chat(url):
    with openai_client(url).chat.completions.stream(model=MODEL, messages=MESSAGES, tools=TOOLS) as stream:
        message = stream.get_final_completion().choices[0].message
    return [(call.function.name, json.loads(call.function.arguments)) for call in message.tool_calls]


def openai_responses(url):
    with openai_client(url).responses.stream(model=MODEL, input=QUESTION, tools=RESPONSES_TOOLS) as stream:
        return [(item.name, json.loads(item.arguments)) for item in stream.get_final_response().output]


def anthropic_messages(url):
    asked = {"model": MODEL, "messages": MESSAGES, "max_tokens": 64, "tools": ANTHROPIC_TOOLS}
    with anthropic_client(url).messages.stream(**asked) as stream:
        return [(block.name, block.input) for block in stream.get_final_message().content]


def ollama_chat(url):
    parts = ollama_client(url).chat(MODEL, MESSAGES, tools=TOOLS, stream=True)
    calls = [call.function for part in parts for call in part.message.tool_calls or []]
    return [(call.name, dict(call.arguments)) for call in calls]


def langchain(chat):
    def read(url):
        first, *rest = chat(url).bind_tools(TOOLS).stream(QUESTION)
        for chunk in rest:
            first += chunk
        return [(call["name"], call["args"]) for call in first.tool_calls]

    return read


CALLERS = {
    "openai chat": openai_chat,
    "openai responses": openai_responses,
    "anthropic": anthropic_messages,
    "ollama": ollama_chat,
    "langchain-openai": langchain(chat_openai),
    "langchain-openai responses": langchain(chat_openai_responses),
    "langchain-anthropic": langchain(chat_anthropic),
    "langchain-ollama": langchain(chat_ollama),
}
# LangChain itself mixes up what a server of Responses interleaves, and there the gateway passes on what it gets.
PAIRS = [
    (f"{dialect}_backend", caller)
    for dialect in ("openai", "responses")
    for caller in CALLERS
    if (dialect, caller) != ("responses", "langchain-openai responses")
]


@pytest.mark.parametrize(("backend", "caller"), PAIRS, indirect=["backend"])
def test_interleaved_fragments_are_put_together(backend, start, caller):
    backend.play(interleave)
    assert CALLERS[caller](start(backend).url) == NAMED


def interleave(answer):
    answer.open()
    answer.interleave(*CALLS)
    answer.finish(Reply(calls=CALLS))
