"""Whole: an answer as a whole, which the SDK puts together itself where it comes as a stream."""

import pytest

streamed_or_whole = pytest.mark.parametrize("stream", [True, False], ids=["streamed", "whole"])


def message_of(client, stream, **asked):
    """Of anthropic-python."""
    if not stream:
        return client.messages.create(**asked)
    with client.messages.stream(**asked) as events:
        return events.get_final_message()


def response_of(client, stream, **asked):
    """Of openai-python; its own `get_final_response` knows no response that is incomplete."""
    if not stream:
        return client.responses.create(**asked)
    with client.responses.stream(**asked) as events:
        return [event for event in events if event.type in ("response.completed", "response.incomplete")][0].response


def langchain_message_of(chat, stream, asked):
    if not stream:
        return chat.invoke(asked)
    first, *rest = chat.stream(asked)
    for chunk in rest:
        first += chunk
    return first
