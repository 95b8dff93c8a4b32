"""openai-python lists models, and looks one up, with any dialect of backend; embeddings are passed on."""

import array
import base64

import openai
import pytest

from only import only
from questions import MODEL

VECTORS = [[0.25, -1.5, 3.0], [0.0, 2.0, -0.125]]


def test_the_models_of_the_backend_are_listed(backend, openai_python):
    assert {model.id for model in openai_python.models.list()} == set(backend.models)


@pytest.mark.parametrize("index", [0, 1], ids=["plain id", "id with slashes and a colon"])
def test_a_model_is_retrieved_by_its_id(backend, openai_python, index):
    name = backend.models[index]
    model = openai_python.models.retrieve(name)
    assert (model.id, model.object) == (name, "model")


def test_a_model_that_no_backend_has_is_not_found(backend, openai_python):
    with pytest.raises(openai.NotFoundError):
        openai_python.models.retrieve("nobody")


@pytest.mark.parametrize("format", [{}, {"encoding_format": "base64"}, {"encoding_format": "float"}], ids=str)
@only("openai")
def test_embeddings_come_as_the_numbers_that_the_backend_made(backend, openai_python, format):
    backend.play(lambda answer: answer.embed(VECTORS))
    answer = openai_python.embeddings.create(model=MODEL, input=["nib", "ink"], **format)
    assert [list(floats(item.embedding)) for item in answer.data] == VECTORS
    assert backend.asked["input"] == ["nib", "ink"]


def floats(embedding):
    """openai-python leaves base64 alone when the caller asked for it by name."""
    if not isinstance(embedding, str):
        return embedding
    return array.array("f", base64.b64decode(embedding))
