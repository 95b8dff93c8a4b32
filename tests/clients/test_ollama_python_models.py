"""ollama-python lists and shows models, with any dialect of backend; embeddings are passed on."""

import json

import ollama
import pytest

from only import only
from questions import MODEL
from sdk import ollama_client

VECTORS = [[0.25, -1.5, 3.0], [0.0, 2.0, -0.125]]


def test_the_models_of_the_backend_are_listed(backend, ollama_python):
    assert {model.model for model in ollama_python.list().models} == set(backend.models)


def test_the_running_models_of_an_ollama_backend_are_listed(ollama_backend, start):
    running = ollama_client(start(ollama_backend).url).ps().models
    assert [(model.model, model.size_vram) for model in running] == [(MODEL, 5)]


def test_a_model_of_an_ollama_backend_is_shown(ollama_backend, start):
    shown = ollama_client(start(ollama_backend).url).show(MODEL)
    assert shown.capabilities == ["completion", "tools", "thinking"]
    assert shown.modelinfo["quill.context_length"] == 4096


@only("openai", "responses", "anthropic")
def test_a_model_of_another_backend_is_shown_with_what_it_can_do(backend, ollama_python):
    listed = ollama_python.list().models
    assert len({model.digest for model in listed}) == len(backend.models)
    for model in listed:
        shown = ollama_python.show(model.model)
        assert shown.capabilities == ["completion", "tools"]
        assert shown.details.family == "" and shown.modified_at is not None
        assert shown.modelinfo["general.basename"] == model.model


@only("openai", "responses", "anthropic")
def test_editors_find_what_they_look_for_in_a_model_of_another_backend(backend, ollama_python):
    """What VS Code's provider reads: a number that is missing is a guess of its own, one that is no number breaks it."""
    shown = json.loads(ollama_python.show(backend.models[0]).model_dump_json(by_alias=True))
    family = shown["model_info"]["general.architecture"]
    assert shown["model_info"].get(f"{family}.context_length") is None
    assert "tools" in shown["capabilities"] and "vision" not in shown["capabilities"]
    assert ollama_python.ps().models == []


def test_a_model_that_an_ollama_backend_lacks_cannot_be_shown(ollama_backend, start):
    with pytest.raises(ollama.ResponseError) as error:
        ollama_client(start(ollama_backend).url).show("nobody")
    assert error.value.status_code == 404


@only("ollama")
def test_embeddings_come_as_the_numbers_that_the_backend_made(backend, ollama_python):
    backend.play(lambda answer: answer.embed(VECTORS))
    assert [list(v) for v in ollama_python.embed(MODEL, ["nib", "ink"]).embeddings] == VECTORS
    assert backend.asked["input"] == ["nib", "ink"]
