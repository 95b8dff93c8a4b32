"""anthropic-python is told the type of a failure in the words of its API."""

import anthropic
import pytest

from only import only
from questions import MESSAGES, MODEL
from scripts import DRY, say_dip_then
from sdk import anthropic_client

ASKED = {"model": MODEL, "messages": MESSAGES, "max_tokens": 64}
TYPES = {
    400: "invalid_request_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    500: "api_error",
    503: "overloaded_error",
}


@only("openai", "responses", "ollama")
@pytest.mark.parametrize("status", TYPES)
def test_a_refusal_has_the_type_of_its_status(backend, anthropic_python, status):
    backend.play(lambda answer: answer.refuse(status, DRY))
    with pytest.raises(anthropic.APIStatusError) as error:
        anthropic_python.messages.create(**ASKED)
    assert error.value.body["type"] == "error"
    assert error.value.body["error"] == {"type": TYPES[status], "message": DRY}


def test_a_refusal_names_its_request(backend, anthropic_python):
    backend.play(lambda answer: answer.refuse(400, DRY))
    with pytest.raises(anthropic.BadRequestError) as error:
        anthropic_python.messages.create(**ASKED)
    assert error.value.request_id


@pytest.mark.parametrize("ending", ["end", "fail"])
def test_a_break_in_the_stream_has_a_type_of_the_api(backend, start, ending):
    backend.play(say_dip_then(ending))
    with pytest.raises(anthropic.APIStatusError) as error:
        list(anthropic_client(start(backend).url).messages.create(**ASKED, stream=True))
    assert error.value.body["error"]["type"] in TYPES.values()


@only("openai", "ollama")
@pytest.mark.parametrize("missing", ["messages", "model"])
def test_a_question_that_lacks_something_is_a_bad_request(backend, anthropic_python, missing):
    asked = {key: value for key, value in ASKED.items() if key != missing}
    with pytest.raises(anthropic.BadRequestError, match=missing) as error:
        anthropic_python.post("/v1/messages", body=asked, cast_to=object)
    assert error.value.body["error"]["type"] == "invalid_request_error"
