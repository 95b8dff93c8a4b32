"""openai-python is told the code of a failure, at either of its doors."""

import socket
from types import SimpleNamespace

import openai
import pytest

from questions import MESSAGES, MODEL, QUESTION
from scripts import say_dip_then
from sdk import openai_client


def ask_chat(client):
    return client.chat.completions.create(model=MODEL, messages=MESSAGES, stream=True)


def ask_responses(client):
    return client.responses.create(model=MODEL, input=QUESTION, stream=True)


either_door = pytest.mark.parametrize("ask", [ask_chat, ask_responses])


@either_door
def test_a_model_without_a_route_is_named_by_a_code(backend, start, ask):
    with pytest.raises(openai.NotFoundError) as error:
        ask(openai_client(start(backend, model="elsewhere:*").url))
    assert error.value.code == "model_not_found"


@either_door
def test_a_backend_that_cannot_be_reached_is_a_bad_gateway(start, ask):
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # taken, but nobody listens
        nobody = SimpleNamespace(config={"api": "openai"}, url=f"http://127.0.0.1:{closed.getsockname()[1]}")
        with pytest.raises(openai.InternalServerError) as error:
            ask(openai_client(start(nobody).url))
    assert (error.value.status_code, error.value.code) == (502, "upstream_unreachable")


@either_door
@pytest.mark.parametrize(
    ("ending", "limits", "code"),
    [("end", {}, "upstream_truncated"), ("wait_until_left", {"idle_timeout": "50ms"}, "upstream_stalled")],
    ids=["truncated", "stalled"],
)
def test_a_break_in_the_stream_is_named_by_a_code(backend, start, ask, ending, limits, code):
    backend.play(say_dip_then(ending))
    with pytest.raises(openai.APIError) as error:
        list(ask(openai_client(start(backend, **limits).url)))
    assert error.value.code == code
