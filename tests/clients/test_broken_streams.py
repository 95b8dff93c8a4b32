"""The bytes of a stream that broke: an error event, no terminator that means success, no clean end of the body but behind
`response.failed`, which ends a stream of Responses by itself."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from doors import DOORS, every_door
from marks import GUARD
from only import only
from scripts import say_dip_then

CLEAN_END = b"0\r\n\r\n"


@pytest.fixture(params=["end", "cut", "fail"])
def broken(request, backend, start, door):
    """All bytes that a client of a broken stream gets, up to the end of its connection, or of the body where that ends properly."""

    backend.play(say_dip_then(request.param))
    return exchange(start(backend).url, door, until=CLEAN_END if ends_properly(door) else None)


@every_door
def test_the_text_before_the_break_is_delivered(broken, door):
    assert broken.startswith(b"HTTP/1.1 200 ")
    assert b"Dip" in broken


@every_door
def test_the_body_is_ended_cleanly_only_where_the_event_says_that_it_is_the_last(broken, door):
    assert broken.endswith(b"\r\n"), "the chunk of the error is complete"
    assert broken.endswith(CLEAN_END) == ends_properly(door)


@every_door
def test_the_error_is_told_last_in_the_words_of_the_door(broken, door):
    *_, before, last = [b"", *events(broken)]
    if door.path == "/v1/responses":
        assert last["type"] == "response.failed"
        assert last["response"]["error"]["message"] == before["error"]["message"]
        assert before["type"] == "error"
    elif door.path == "/v1/messages":
        assert last["type"] == "error"
        assert last["error"]["type"] and last["error"]["message"]
        assert b"\nevent: error\n" in broken, "an event without a name is ignored"
    elif door.path == "/v1/chat/completions":
        assert last["error"]["message"] and "choices" not in last
    else:
        assert isinstance(last["error"], str)


@only("openai", "anthropic", "ollama")
@pytest.mark.parametrize("door", [door for door in DOORS if door.path == "/v1/responses"], ids=lambda door: door.path)
def test_an_error_of_responses_says_what_it_is_in_both_places_where_clients_look(broken, door):
    (error,) = [event for event in events(broken) if event["type"] == "error"]
    nested = error["error"]
    assert (error["message"], error["code"]) == (nested["message"], nested["code"])


@every_door
def test_nothing_in_the_stream_means_success(broken, door):
    packed = broken.replace(b": ", b":")
    assert [word for word in door.success if word in packed] == []


@every_door
def test_a_whole_stream_is_ended_cleanly(backend, start, door):
    backend.play(say_dip_then("finish"))
    received = exchange(start(backend).url, door, until=CLEAN_END)
    assert CLEAN_END in received
    assert any(word in received.replace(b": ", b":") for word in door.success)


def ends_properly(door):
    return door.path == "/v1/responses"


def exchange(url, door, until=None):
    """One request on a socket of its own, and what came back until the gateway closed it (or `until` was there)."""
    address = urlsplit(url)
    payload = json.dumps(door.body()).encode()
    head = f"POST {door.path} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
    with socket.create_connection((address.hostname, address.port), GUARD) as connection:
        connection.sendall(f"{head}Content-Length: {len(payload)}\r\n\r\n".encode() + payload)
        received = b""
        while until is None or until not in received:
            data = connection.recv(65536)
            if not data:
                break
            received += data
    return received


def events(raw):
    """The JSON of each event of a chunked body that may lack its last chunk."""
    rest = raw.partition(b"\r\n\r\n")[2]
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
    lines = [line.removeprefix(b"data: ") for line in body.split(b"\n")]
    return [json.loads(line) for line in lines if line.startswith(b"{")]
