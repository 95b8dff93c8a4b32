"""openai-python reads text, usage, statuses and structured output through Responses, from any dialect of backend."""

import openai
import pytest

from only import only
from questions import MODEL, PIXEL, QUESTION
from recipe import JSON_TEXT, RECIPE, SCHEMA, Recipe
from replies import CALLS, TEXT, THOUGHTS, WORDS, say
from reply import Usage
from whole import response_of, streamed_or_whole

ASKED = {"model": MODEL, "input": QUESTION}
STATEFUL = [{"previous_response_id": "resp_1"}, {"conversation": "conv_1"}]


def ask(client, stream, **more):
    return response_of(client, stream, **ASKED | more)


def test_streamed_text_reaches_openai_python_whole_and_in_order(backend, openai_python):
    backend.play(say(text=WORDS))
    events = list(openai_python.responses.create(**ASKED, stream=True))
    assert [event.delta for event in events if event.type == "response.output_text.delta"] == WORDS
    assert [event.text for event in events if event.type == "response.output_text.done"] == [TEXT]


@streamed_or_whole
def test_a_response_bears_the_text_and_the_model_that_was_asked(backend, openai_python, stream):
    backend.play(say(text=WORDS))
    response = ask(openai_python, stream)
    assert response.output_text == TEXT
    assert (response.status, response.object, response.model) == ("completed", "response", MODEL)
    assert [(item.type, item.role, item.status) for item in response.output] == [("message", "assistant", "completed")]
    assert (response.error, response.incomplete_details) == (None, None)


def test_the_events_of_a_stream_are_numbered_and_of_one_response(backend, openai_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS, calls=CALLS))
    events = list(openai_python.responses.create(**ASKED, stream=True))
    assert [event.sequence_number for event in events] == list(range(len(events)))
    assert [event.type for event in events[:2]] == ["response.created", "response.in_progress"]
    assert events[-1].type == "response.completed"
    assert len({event.response.id for event in events if hasattr(event, "response")}) == 1


def test_every_item_of_a_stream_is_opened_and_closed(backend, openai_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS, calls=CALLS))
    events = list(openai_python.responses.create(**ASKED, stream=True))
    added = {e.output_index: e.item.id for e in events if e.type == "response.output_item.added"}
    done = {e.output_index: e.item.id for e in events if e.type == "response.output_item.done"}
    output = events[-1].response.output
    assert added == done == {index: item.id for index, item in enumerate(output)}
    assert len(set(added.values())) == len(added) == 4
    assert [item.type for item in output] == ["reasoning", "message", "function_call", "function_call"]
    assert {e.item_id for e in events if hasattr(e, "item_id")} == set(added.values())


@streamed_or_whole
def test_an_answer_cut_by_its_length_is_incomplete(backend, openai_python, stream):
    backend.play(say(text=WORDS, finish="length"))
    response = ask(openai_python, stream)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "max_output_tokens")
    assert response.output_text == TEXT


@streamed_or_whole
@only("openai", "responses", "anthropic")
def test_a_filtered_answer_is_incomplete(backend, openai_python, stream):
    backend.play(say(text=WORDS, finish="refusal"))
    response = ask(openai_python, stream)
    assert (response.status, response.incomplete_details.reason) == ("incomplete", "content_filter")


@streamed_or_whole
@only("openai", "responses")
def test_a_refusal_stands_apart_from_the_text(backend, openai_python, stream):
    backend.play(say(refusal=["I will", " not."]))
    response = ask(openai_python, stream)
    assert [part.refusal for part in response.output[0].content] == ["I will not."]
    assert (response.status, response.output_text) == ("completed", "")


@streamed_or_whole
def test_usage_is_counted(backend, openai_python, stream):
    backend.play(say(text=WORDS, usage=Usage(21, 8)))
    usage = ask(openai_python, stream).usage
    assert (usage.input_tokens, usage.output_tokens, usage.total_tokens) == (21, 8, 29)


@streamed_or_whole
@only("openai", "responses", "anthropic")
def test_the_input_tokens_include_those_from_a_cache(backend, openai_python, stream):
    backend.play(say(text=WORDS, usage=Usage(prompt=100, completion=8, cached=60)))
    usage = ask(openai_python, stream).usage
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.total_tokens) == (100, 60, 108)


@streamed_or_whole
@only("openai", "responses")
def test_the_tokens_of_reasoning_are_counted(backend, openai_python, stream):
    backend.play(say(text=WORDS, usage=Usage(prompt=21, completion=8, reasoning=5)))
    assert ask(openai_python, stream).usage.output_tokens_details.reasoning_tokens == 5


@only("anthropic")
@streamed_or_whole
def test_the_input_tokens_include_those_that_anthropic_wrote_to_its_cache(backend, openai_python, stream):
    backend.play(say(text=WORDS, usage=Usage(prompt=100, completion=8, cached=60, kept=30)))
    usage = ask(openai_python, stream).usage
    assert (usage.input_tokens, usage.input_tokens_details.cached_tokens, usage.total_tokens) == (100, 60, 108)


def test_a_schema_reaches_the_backend_unchanged(backend, openai_python):
    backend.play(say(text=JSON_TEXT))
    ask(openai_python, False, text={"format": {"type": "json_schema", "name": "recipe", "schema": SCHEMA}})
    assert backend.heard.schema == SCHEMA


def test_structured_output_is_parsed_by_openai_python(backend, openai_python):
    backend.play(say(text=JSON_TEXT))
    assert openai_python.responses.parse(**ASKED, text_format=Recipe).output_parsed == RECIPE


def test_structured_output_is_parsed_by_the_stream_helper(backend, openai_python):
    backend.play(say(text=JSON_TEXT))
    with openai_python.responses.stream(**ASKED, text_format=Recipe) as stream:
        assert stream.get_final_response().output_parsed == RECIPE


def test_instructions_and_options_reach_the_backend(backend, openai_python):
    backend.play(say(text=WORDS))
    ask(openai_python, False, instructions="Be brief.", temperature=0.5, max_output_tokens=64)
    heard = backend.heard
    assert (heard.system, heard.temperature, heard.max_tokens) == ("Be brief.", 0.5, 64)
    assert heard.turns == [("user", QUESTION)]


def test_the_messages_of_a_conversation_reach_the_backend(backend, openai_python):
    backend.play(say(text=WORDS))
    said = [{"type": "output_text", "text": "It is pulled.", "annotations": []}]
    items = [
        {"role": "developer", "content": "Be kind."},
        {"role": "user", "content": QUESTION},
        {"type": "message", "role": "assistant", "id": "msg_1", "status": "completed", "content": said},
        {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "By what?"}]},
    ]
    ask(openai_python, False, input=items)
    heard = backend.heard
    assert heard.system == "Be kind."
    assert heard.turns == [("user", QUESTION), ("assistant", "It is pulled."), ("user", "By what?")]


def test_an_image_reaches_the_backend(backend, openai_python):
    backend.play(say(text=WORDS))
    image = {"type": "input_image", "image_url": f"data:image/png;base64,{PIXEL}", "detail": "auto"}
    content = [{"type": "input_text", "text": "What is this?"}, image]
    ask(openai_python, False, input=[{"role": "user", "content": content}])
    assert sorted(backend.heard.turns) == [("image", PIXEL), ("user", "What is this?")]


@only("openai", "anthropic", "ollama")
@pytest.mark.parametrize("state", STATEFUL, ids=lambda state: next(iter(state)))
def test_what_only_a_server_with_a_memory_can_do_is_refused_by_name(backend, openai_python, state):
    with pytest.raises(openai.BadRequestError, match=next(iter(state))):
        ask(openai_python, False, **state)


@only("responses")
@pytest.mark.parametrize("state", STATEFUL, ids=lambda state: next(iter(state)))
def test_a_server_with_a_memory_is_asked_for_it(backend, openai_python, state):
    backend.play(say(text=WORDS))
    ask(openai_python, False, **state)
    assert backend.asked == ASKED | state
