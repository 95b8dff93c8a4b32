"""Fixtures of the tests with real clients: scripted backends, started gateways, and the official SDKs."""

import os
from contextlib import ExitStack

import ollama
import openai
import pytest

from backend import Backend
from gateway import Gateway
from marks import GUARD
from ollama_answer import OllamaAnswer
from openai_answer import OpenaiAnswer

os.environ["NO_PROXY"] = os.environ["no_proxy"] = "127.0.0.1,localhost"


@pytest.fixture
def openai_backend():
    with Backend(OpenaiAnswer) as backend:
        yield backend


@pytest.fixture
def ollama_backend():
    with Backend(OllamaAnswer) as backend:
        yield backend


@pytest.fixture(params=["openai_backend", "ollama_backend"])
def backend(request):
    """Either dialect behind the gateway."""
    return request.getfixturevalue(request.param)


@pytest.fixture
def start(tmp_path):
    """Starts one gateway, which ends with the test."""
    with ExitStack() as stack:
        yield lambda *args, **stream: stack.enter_context(Gateway(tmp_path, *args, **stream))


@pytest.fixture
def openai_python(backend, start):
    """openai-python at a gateway in front of `backend`."""
    with openai_client(start(backend).url) as client:
        yield client


@pytest.fixture
def ollama_python(backend, start):
    """ollama-python at a gateway in front of `backend`."""
    with ollama_client(start(backend).url) as client:
        yield client


def openai_client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=GUARD)


def ollama_client(url):
    return ollama.Client(url, timeout=GUARD)
