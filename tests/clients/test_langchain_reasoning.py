"""LangChain's chat models read what a model thinks, where they can, from any dialect of backend."""

import pytest

from questions import QUESTION
from replies import TEXT, THOUGHT, THOUGHTS, WORDS, say
from sdk import chat_anthropic, chat_ollama, chat_openai_responses
from whole import langchain_message_of, streamed_or_whole

CHATS = {
    "openai responses": lambda url: chat_openai_responses(url, reasoning={"effort": "high", "summary": "auto"}),
    "anthropic": lambda url: chat_anthropic(url, max_tokens=8192, thinking={"type": "enabled", "budget_tokens": 4096}),
    "ollama": lambda url: chat_ollama(url, reasoning=True),
}


@pytest.fixture(params=CHATS)
def chat(request, backend, start):
    return CHATS[request.param](start(backend).url)


@streamed_or_whole
def test_reasoning_stands_apart_from_the_text(backend, chat, stream):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    message = langchain_message_of(chat, stream, QUESTION)
    reasoning = [block["reasoning"] for block in message.content_blocks if block["type"] == "reasoning"]
    assert ("".join(reasoning), message.text) == (THOUGHT, TEXT)
