"""openai-python reads text, reasoning, usage and structured output, from any dialect of backend."""

from only import only
from questions import MESSAGES, MODEL, PIXEL
from recipe import JSON_TEXT, RECIPE, SCHEMA, Recipe
from replies import TEXT, THOUGHT, THOUGHTS, WORDS, say
from reply import Usage
from whole import streamed_or_whole

LOOK = {"type": "image_url", "image_url": {"url": f"data:image/png;base64,{PIXEL}"}}


def test_streamed_text_reaches_openai_python_whole_and_in_order(backend, openai_python):
    backend.play(say(text=WORDS))
    stream = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    choices = [choice for chunk in stream for choice in chunk.choices]
    assert [c.delta.content for c in choices if c.delta.content] == WORDS
    assert [c.finish_reason for c in choices if c.finish_reason] == ["stop"]


def test_all_chunks_of_a_stream_bear_one_id_and_the_model_that_was_asked(backend, openai_python):
    backend.play(say(text=WORDS))
    chunks = list(openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert len({chunk.id for chunk in chunks}) == 1
    assert {chunk.model for chunk in chunks} == {MODEL}


def test_whole_text_reaches_openai_python(backend, openai_python):
    backend.play(say(text=WORDS, usage=Usage(21, 8)))
    completion = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES)
    assert completion.choices[0].message.content == TEXT
    assert completion.choices[0].finish_reason == "stop"
    assert (completion.usage.prompt_tokens, completion.usage.completion_tokens) == (21, 8)


def test_an_answer_cut_by_its_length_says_so_to_openai_python(backend, openai_python):
    backend.play(say(text=WORDS, finish="length"))
    chunks = list(openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "length"


@only("openai", "responses", "anthropic")
def test_an_answer_that_was_filtered_says_so_to_openai_python(backend, openai_python):
    backend.play(say(text=WORDS, finish="refusal"))
    chunks = list(openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert [c.choices[0].finish_reason for c in chunks if c.choices][-1] == "content_filter"


@only("openai", "responses")
def test_a_refusal_stands_apart_from_the_text(backend, openai_python):
    backend.play(say(refusal=["I will", " not."]))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        message = stream.get_final_completion().choices[0].message
    assert (message.refusal, message.content or "") == ("I will not.", "")


def test_streamed_reasoning_stands_apart_from_the_text(backend, openai_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    stream = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)
    deltas = [choice.delta for chunk in stream for choice in chunk.choices]
    assert "".join(getattr(d, "reasoning_content", None) or "" for d in deltas) == THOUGHT
    assert "".join(d.content or "" for d in deltas) == TEXT


def test_whole_reasoning_stands_apart_from_the_text(backend, openai_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    message = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES).choices[0].message
    assert (message.reasoning_content, message.content) == (THOUGHT, TEXT)


def test_usage_comes_in_the_last_chunk_when_it_was_asked_for(backend, openai_python):
    backend.play(say(text=WORDS, usage=Usage(21, 8)))
    asked = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, **asked)
    assert last.choices == []
    assert (last.usage.prompt_tokens, last.usage.completion_tokens, last.usage.total_tokens) == (21, 8, 29)
    assert not any(chunk.usage for chunk in chunks)


@only("openai", "responses", "anthropic")
@streamed_or_whole
def test_the_prompt_tokens_include_those_from_a_cache(backend, openai_python, stream):
    backend.play(say(text=WORDS, usage=Usage(prompt=100, completion=8, cached=60)))
    more = {"stream": True, "stream_options": {"include_usage": True}} if stream else {}
    answer = openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, **more)
    usage = (list(answer)[-1] if stream else answer).usage
    assert (usage.prompt_tokens, usage.completion_tokens, usage.total_tokens) == (100, 8, 108)
    assert usage.prompt_tokens_details.cached_tokens == 60


def test_usage_is_hidden_when_it_was_not_asked_for(backend, openai_python):
    backend.play(say(text=WORDS))
    chunks = list(openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True))
    assert not any(chunk.usage for chunk in chunks)
    assert all(chunk.choices for chunk in chunks)


def test_the_stream_helper_builds_the_final_completion(backend, openai_python):
    backend.play(say(text=WORDS))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES) as stream:
        deltas = [event.delta for event in stream if event.type == "content.delta"]
        final = stream.get_final_completion()
    assert [delta for delta in deltas if delta] == WORDS
    assert final.choices[0].message.content == TEXT


def test_a_json_schema_reaches_the_backend_unchanged(backend, openai_python):
    backend.play(say(text=JSON_TEXT))
    wanted = {"type": "json_schema", "json_schema": {"name": "recipe", "schema": SCHEMA}}
    openai_python.chat.completions.create(model=MODEL, messages=MESSAGES, response_format=wanted)
    assert backend.heard.schema == SCHEMA


def test_structured_output_is_parsed_by_openai_python(backend, openai_python):
    backend.play(say(text=JSON_TEXT))
    completion = openai_python.chat.completions.parse(model=MODEL, messages=MESSAGES, response_format=Recipe)
    assert completion.choices[0].message.parsed == RECIPE


def test_structured_output_is_parsed_by_the_stream_helper(backend, openai_python):
    backend.play(say(text=JSON_TEXT))
    with openai_python.chat.completions.stream(model=MODEL, messages=MESSAGES, response_format=Recipe) as stream:
        parsed = stream.get_final_completion().choices[0].message.parsed
    assert parsed == RECIPE


@only("openai")
@streamed_or_whole
def test_legacy_completions_reach_openai_python(backend, openai_python, stream):
    backend.play(say(text=WORDS))
    answer = openai_python.completions.create(model=MODEL, prompt="The nib", stream=stream)
    pieces = [choice.text for chunk in (answer if stream else [answer]) for choice in chunk.choices]
    assert "".join(pieces) == TEXT
    assert backend.asked["prompt"] == "The nib"


def test_system_and_developer_messages_and_options_reach_the_backend(backend, openai_python):
    backend.play(say(text=WORDS))
    told = [{"role": "system", "content": "Be brief."}, {"role": "developer", "content": "Be kind."}]
    options = {"temperature": 0.5, "max_completion_tokens": 64}
    openai_python.chat.completions.create(model=MODEL, messages=told + MESSAGES, **options)
    heard = backend.heard
    assert (heard.temperature, heard.max_tokens) == (0.5, 64)
    assert "Be brief." in heard.system and "Be kind." in heard.system
    assert heard.turns == [("user", MESSAGES[0]["content"])]


def test_an_image_reaches_the_backend(backend, openai_python):
    backend.play(say(text=WORDS))
    question = {"role": "user", "content": [{"type": "text", "text": "What is this?"}, LOOK]}
    openai_python.chat.completions.create(model=MODEL, messages=[question])
    assert sorted(backend.heard.turns) == [("image", PIXEL), ("user", "What is this?")]
