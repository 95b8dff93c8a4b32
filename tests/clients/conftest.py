"""Fixtures of the tests with real clients: scripted backends, started gateways, and the official SDKs."""

from contextlib import ExitStack

import pytest

from anthropic_answer import AnthropicAnswer
from backend import Backend
from gateway import Gateway
from ollama_answer import OllamaAnswer
from openai_answer import OpenaiAnswer
from responses_answer import ResponsesAnswer
from sdk import anthropic_client, ollama_client, openai_client


@pytest.fixture
def openai_backend():
    with Backend(OpenaiAnswer, api="openai") as backend:
        yield backend


@pytest.fixture
def responses_backend():
    with Backend(ResponsesAnswer, api="openai", responses=True) as backend:
        yield backend


@pytest.fixture
def anthropic_backend():
    with Backend(AnthropicAnswer, api="anthropic") as backend:
        yield backend


@pytest.fixture
def ollama_backend():
    with Backend(OllamaAnswer, api="ollama") as backend:
        yield backend


@pytest.fixture(params=["openai_backend", "responses_backend", "anthropic_backend", "ollama_backend"])
def backend(request):
    """Any dialect behind the gateway."""
    return request.getfixturevalue(request.param)


@pytest.fixture(scope="session")
def gateway_folder(tmp_path_factory):
    """One for all tests: to make and remove a folder takes longer than to start a gateway."""
    return tmp_path_factory.mktemp("gateway")


@pytest.fixture
def start(gateway_folder):
    """Starts one gateway, which ends with the test."""
    with ExitStack() as stack:
        yield lambda *args, **stream: stack.enter_context(Gateway(gateway_folder, *args, **stream))


@pytest.fixture
def openai_python(backend, start):
    """openai-python at a gateway in front of `backend`."""
    with openai_client(start(backend).url) as client:
        yield client


@pytest.fixture
def anthropic_python(backend, start):
    """anthropic-python at a gateway in front of `backend`."""
    with anthropic_client(start(backend).url) as client:
        yield client


@pytest.fixture
def ollama_python(backend, start):
    """ollama-python at a gateway in front of `backend`."""
    with ollama_client(start(backend).url) as client:
        yield client
