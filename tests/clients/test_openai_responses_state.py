"""Responses that the gateway keeps: openai-python reads on where it was cut off, whatever API the backend speaks."""

import pytest
from openai import APIStatusError, NotFoundError

from questions import MODEL
from replies import say

WORDS = ["one ", "two ", "three ", "four"]


def count(answer):
    """Two words, and the others when the test has read those."""
    answer.open()
    for word in WORDS[:2]:
        answer.say(word)
    answer.marks.wait("cut")
    for word in WORDS[2:]:
        answer.say(word)
    answer.finish()


def text_of(events):
    return "".join(event.delta for event in events if event.type == "response.output_text.delta")


def test_a_response_in_the_background_is_read_on_where_its_reader_was_cut_off(backend, openai_python):
    backend.play(count)
    seen = []
    with openai_python.responses.create(model=MODEL, input="Count", background=True, stream=True) as stream:
        for event in stream:
            seen.append(event)
            if text_of(seen) == "".join(WORDS[:2]):
                break
    backend.marks.make("cut")
    response = next(event.response for event in seen if event.type == "response.created")
    last = seen[-1].sequence_number
    rest = list(openai_python.responses.retrieve(response.id, stream=True, starting_after=last))
    assert text_of(seen + rest) == "".join(WORDS)
    numbers = [event.sequence_number for event in seen + rest]
    assert numbers == list(range(numbers[0], numbers[0] + len(numbers)))
    assert rest[-1].type == "response.completed"
    assert openai_python.responses.retrieve(response.id).output_text == "".join(WORDS)


def test_a_response_in_the_background_is_polled_until_it_is_there(backend, openai_python):
    backend.play(count)
    response = openai_python.responses.create(model=MODEL, input="Count", background=True)
    assert response.status in ("queued", "in_progress")
    backend.marks.make("cut")
    events = list(openai_python.responses.retrieve(response.id, stream=True))
    assert text_of(events) == "".join(WORDS)
    done = openai_python.responses.retrieve(response.id)
    assert (done.status, done.output_text) == ("completed", "".join(WORDS))


def test_a_response_is_cancelled_and_its_backend_left(backend, openai_python):
    def script(answer):
        answer.open()
        answer.say("one ")
        answer.marks.make("asked")
        answer.wait_until_left()
        answer.marks.make("left")

    backend.play(script)
    response = openai_python.responses.create(model=MODEL, input="Count", background=True)
    backend.marks.wait("asked")
    assert openai_python.responses.cancel(response.id).status == "cancelled"
    backend.marks.wait("left")
    assert openai_python.responses.retrieve(response.id).status == "cancelled"


@pytest.mark.parametrize("streams", [False, True])
def test_a_response_goes_on_from_the_one_before(backend, openai_python, streams):
    backend.play(say(text=["a pen"]))
    first = openai_python.responses.create(model=MODEL, input="What is it?", stream=streams)
    if streams:
        first = list(first)[-1].response
    second = openai_python.responses.create(model=MODEL, input="Whose?", previous_response_id=first.id)
    assert second.output_text == "a pen"
    assert backend.heard.turns == [("user", "What is it?"), ("assistant", "a pen"), ("user", "Whose?")]


def test_a_response_that_is_deleted_is_gone(backend, openai_python):
    backend.play(say(text=["a pen"]))
    response = openai_python.responses.create(model=MODEL, input="What is it?")
    assert openai_python.responses.retrieve(response.id).output_text == "a pen"
    openai_python.responses.delete(response.id)
    with pytest.raises((NotFoundError, APIStatusError)):
        openai_python.responses.retrieve(response.id)


def test_what_shall_not_be_stored_is_not(backend, openai_python):
    backend.play(say(text=["a pen"]))
    response = openai_python.responses.create(model=MODEL, input="What is it?", store=False)
    with pytest.raises(NotFoundError):
        openai_python.responses.retrieve(response.id)
