"""The bytes of a stream that broke: an error event, no terminator that means success, no clean end of the body."""

import json
import socket
from urllib.parse import urlsplit

import pytest

from marks import GUARD
from questions import MESSAGES, MODEL
from scripts import say_dip_then

CLEAN_END = b"0\r\n\r\n"
DOORS = ["/v1/chat/completions", "/api/chat"]


@pytest.fixture(params=DOORS)
def door(request):
    return request.param


@pytest.fixture(params=["end", "cut", "fail"])
def broken(request, backend, start, door):
    """All bytes that a client of a broken stream gets, up to the end of its connection."""

    backend.play(say_dip_then(request.param))
    return exchange(start(backend).url, door, {"model": MODEL, "messages": MESSAGES, "stream": True})


def test_the_text_before_the_break_is_delivered(broken):
    assert broken.startswith(b"HTTP/1.1 200 ")
    assert b"Dip" in broken


def test_the_body_is_not_ended_cleanly(broken):
    assert not broken.endswith(CLEAN_END)


def test_the_error_is_the_last_event_and_complete(broken, door):
    last = events(broken)[-1]
    assert broken.endswith(b"\r\n"), "the chunk of the error is complete"
    error = json.loads(last.removeprefix(b"data: "))["error"]
    assert error["message"] if door.startswith("/v1") else error


def test_nothing_in_the_stream_means_success(broken):
    assert b"[DONE]" not in broken
    assert b'"done":true' not in broken.replace(b" ", b"")
    assert b'"finish_reason":"' not in broken.replace(b" ", b"")


def test_a_whole_stream_is_ended_cleanly(backend, start, door):
    backend.play(say_dip_then("finish"))
    body = {"model": MODEL, "messages": MESSAGES, "stream": True}
    assert CLEAN_END in exchange(start(backend).url, door, body, until=CLEAN_END)


def exchange(url, door, body, until=None):
    """One request on a socket of its own, and what came back until the gateway closed it (or `until` was there)."""
    address = urlsplit(url)
    payload = json.dumps(body).encode()
    head = f"POST {door} HTTP/1.1\r\nHost: {address.netloc}\r\nContent-Type: application/json\r\n"
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
    """The non-empty lines of a chunked body that may lack its last chunk."""
    rest = raw.partition(b"\r\n\r\n")[2]
    body = b""
    while rest:
        size, _, rest = rest.partition(b"\r\n")
        length = int(size, 16)
        body, rest = body + rest[:length], rest[length + 2 :]
    return [line for line in body.split(b"\n") if line.strip()]
