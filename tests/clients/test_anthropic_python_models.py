"""anthropic-python lists models and counts tokens, with any dialect of backend."""

import anthropic
import pytest

from only import only
from questions import ANTHROPIC_TOOLS, MESSAGES, MODEL


def test_the_models_of_the_backend_are_listed(backend, anthropic_python):
    models = list(anthropic_python.models.list())
    assert {model.id for model in models} == set(backend.models)
    assert all(model.type == "model" and model.display_name for model in models)


@pytest.mark.parametrize("index", [0, 1], ids=["plain id", "id with slashes and a colon"])
def test_a_model_is_retrieved_by_its_id(backend, anthropic_python, index):
    name = backend.models[index]
    model = anthropic_python.models.retrieve(name)
    assert (model.id, model.type) == (name, "model")


def test_a_model_that_no_backend_has_is_not_found(backend, anthropic_python):
    with pytest.raises(anthropic.NotFoundError) as error:
        anthropic_python.models.retrieve("nobody")
    assert error.value.body["error"]["type"] == "not_found_error"


@only("anthropic")
def test_tokens_are_counted_by_a_backend_that_can(backend, anthropic_python):
    backend.play(lambda answer: answer.whole({"input_tokens": 42}))
    asked = {"model": MODEL, "messages": MESSAGES, "tools": ANTHROPIC_TOOLS, "system": "Be brief."}
    answer = anthropic_python.messages.with_raw_response.count_tokens(**asked)
    assert answer.parse().input_tokens == 42
    assert "x-estimated" not in answer.headers
    assert backend.question.path == "/v1/messages/count_tokens"
    assert backend.asked == asked


@only("openai", "responses", "ollama")
def test_tokens_are_estimated_where_nobody_counts_them(backend, anthropic_python):
    answer = anthropic_python.messages.with_raw_response.count_tokens(model=MODEL, messages=MESSAGES)
    assert answer.headers["x-estimated"] == "input_tokens"
    assert 3 <= answer.parse().input_tokens <= 30


@only("openai", "responses", "ollama")
@pytest.mark.parametrize(
    "more",
    [
        {"system": "Be brief, and kind to those who ask. " * 20},
        {"tools": ANTHROPIC_TOOLS * 5},
        {"messages": MESSAGES * 20},
    ],
    ids=lambda more: next(iter(more)),
)
def test_an_estimate_grows_with_what_is_asked(backend, anthropic_python, more):
    asked = {"model": MODEL, "messages": MESSAGES}
    few = anthropic_python.messages.count_tokens(**asked).input_tokens
    many = anthropic_python.messages.count_tokens(**asked | more).input_tokens
    assert many > few + 50
