"""LangChain's chat models read text, tools, usage and structured output, from any dialect of backend."""

import pytest
from langchain_core.messages import AIMessage, HumanMessage, ToolMessage

from only import only
from questions import QUESTION, SCHEMAS, TOOLS
from recipe import JSON_TEXT, RECIPE, Recipe
from replies import CALLS, HISTORY, NAMED, TEXT, WORDS, say
from reply import Call, Usage
from sdk import chat_anthropic, chat_ollama, chat_openai, chat_openai_responses
from whole import langchain_message_of, streamed_or_whole

CHATS = {
    "openai": chat_openai,
    "openai responses": chat_openai_responses,
    "anthropic": chat_anthropic,
    "ollama": chat_ollama,
}
PAST = [
    HumanMessage(QUESTION),
    AIMessage("", tool_calls=[{"id": call.id, "name": call.name, "args": call.arguments} for call in CALLS]),
    ToolMessage("a black one", tool_call_id=CALLS[0].id),
    ToolMessage("a cup of it", tool_call_id=CALLS[1].id),
    HumanMessage("Which is finer?"),
]
CUT = [
    ("openai", "finish_reason", "length"),
    ("openai responses", "status", "incomplete"),
    ("anthropic", "stop_reason", "max_tokens"),
    ("ollama", "done_reason", "length"),
]


@pytest.fixture(params=CHATS)
def chat(request, backend, start):
    """A chat model of LangChain at a gateway in front of `backend`."""
    return CHATS[request.param](start(backend).url)


def ask(chat, stream, asked=QUESTION):
    return langchain_message_of(chat, stream, asked)


def named(message):
    return [(call["name"], call["args"]) for call in message.tool_calls]


def test_streamed_text_comes_piece_by_piece(backend, chat):
    backend.play(say(text=WORDS))
    assert [chunk.text for chunk in chat.stream(QUESTION) if chunk.text] == WORDS


@streamed_or_whole
def test_text_comes_whole(backend, chat, stream):
    backend.play(say(text=WORDS))
    assert ask(chat, stream).text == TEXT


@streamed_or_whole
def test_parallel_tool_calls_reach_langchain(backend, chat, stream):
    backend.play(say(text=["Let me see."], calls=CALLS))
    message = ask(chat.bind_tools(TOOLS), stream)
    assert (message.text, named(message)) == ("Let me see.", NAMED)
    assert message.invalid_tool_calls == []
    assert len({call["id"] for call in message.tool_calls}) == 2


def test_the_tools_reach_the_backend(backend, chat):
    backend.play(say(text=["No need."]))
    ask(chat.bind_tools(TOOLS), False)
    assert backend.heard.tools == SCHEMAS


def test_the_results_of_tools_go_back_to_the_backend(backend, chat):
    backend.play(say(text=["A fine pen."]))
    ask(chat.bind_tools(TOOLS), True, PAST)
    assert backend.heard.turns == HISTORY


@streamed_or_whole
def test_what_langchain_got_goes_back_to_the_backend(backend, chat, stream):
    backend.play(say(thinking=["Hm."], text=["Let me see."], calls=CALLS[:1]))
    message = ask(chat.bind_tools(TOOLS), stream)
    result = ToolMessage("a black one", tool_call_id=message.tool_calls[0]["id"])
    backend.play(say(text=["A fine pen."]))
    ask(chat.bind_tools(TOOLS), stream, [PAST[0], message, result])
    turns = [turn for turn in backend.heard.turns if turn[0] != "thinking"]
    assert turns == [HISTORY[0], ("assistant", "Let me see."), HISTORY[1], HISTORY[3]]


@streamed_or_whole
def test_usage_is_counted(backend, chat, stream):
    backend.play(say(text=WORDS, usage=Usage(21, 8)))
    usage = ask(chat, stream).usage_metadata
    assert (usage["input_tokens"], usage["output_tokens"], usage["total_tokens"]) == (21, 8, 29)


@streamed_or_whole
@only("openai", "responses", "anthropic")
@pytest.mark.parametrize("chat", ["openai", "openai responses", "anthropic"], indirect=True)
def test_tokens_from_a_cache_are_counted_once(backend, chat, stream):
    backend.play(say(text=WORDS, usage=Usage(prompt=100, completion=8, cached=60)))
    usage = ask(chat, stream).usage_metadata
    assert (usage["input_tokens"], usage["total_tokens"]) == (100, 108)
    assert usage["input_token_details"]["cache_read"] == 60


@streamed_or_whole
@pytest.mark.parametrize(("chat", "word", "told"), CUT, indirect=["chat"])
def test_an_answer_cut_by_its_length_says_so_to_langchain(backend, chat, word, told, stream):
    backend.play(say(text=WORDS, finish="length"))
    assert ask(chat, stream).response_metadata[word] == told


@pytest.mark.parametrize("chat", ["openai", "openai responses", "ollama"], indirect=True)
def test_structured_output_is_parsed_by_langchain(backend, chat):
    backend.play(say(text=JSON_TEXT))
    assert chat.with_structured_output(Recipe).invoke(QUESTION) == RECIPE
    assert backend.heard.schema["properties"].keys() == {"shade", "drops"}


@pytest.mark.parametrize("chat", ["anthropic"], indirect=True)
@pytest.mark.parametrize("method", ["function_calling", "json_schema"])
def test_structured_output_is_parsed_by_langchain_anthropic(backend, chat, method):
    recipe = Call("call_recipe", "Recipe", RECIPE.model_dump())
    backend.play(say(calls=[recipe]) if method == "function_calling" else say(text=JSON_TEXT))
    assert chat.with_structured_output(Recipe, method=method).invoke(QUESTION) == RECIPE
