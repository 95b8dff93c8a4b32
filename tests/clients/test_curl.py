"""`curl -N` sees every event the moment it is made, and the exit code of curl tells broken streams from whole ones."""

import json

import pytest

from curl import Curl
from doors import DOORS
from questions import MODEL

WORDS = [f"word{n}. " for n in range(20)]
PARTIAL_FILE = 18  # curl: "transfer closed with outstanding read data remaining"
PACE = 0.05  # seconds between the tokens of the demo model
PACED = "demo:words=8,pace=50ms"
QUICK = "demo:words=3,pace=1ms"
SILENT = "demo:words=2,silence=500ms"
OFTEN = {"commit_after": "50ms", "keep_alive": "100ms"}

ping_doors = [door for door in DOORS if door.path == "/v1/messages"]
space_doors = [door for door in DOORS if door.path.startswith("/api/")]
comment_doors = [door for door in DOORS if door not in ping_doors + space_doors]


@pytest.fixture(params=DOORS, ids=lambda door: door.path)
def door(request):
    return request.param


@pytest.fixture
def ask(start):
    """Asks a started gateway with curl."""
    curls = []

    def ask(gateway, door, model=MODEL):
        curls.append(Curl(gateway.url + door.path, door.body(model)))
        return curls[-1]

    yield ask
    for curl in curls:
        curl.close()


def test_curl_sees_each_event_before_the_next_is_made(backend, start, ask, door):
    def script(answer):
        answer.open()
        for word in WORDS:
            answer.say(word)
            answer.marks.wait(f"curl saw {word}")
        answer.finish()

    backend.play(script)
    curl = ask(start(backend), door)
    for word in WORDS:
        curl.read_until(word.encode())
        backend.marks.make(f"curl saw {word}")
    assert curl.read_all() == 0


def test_the_tokens_of_the_demo_model_arrive_spread_over_time(start, ask, door):
    curl = ask(start(), door, PACED)
    assert curl.read_all() == 0
    moments = [moment for moment, data in curl.arrivals if door.token in data]
    assert len(moments) > 4, "held back and sent together"
    assert moments[-1] - moments[0] > 7 * PACE / 2


def test_the_head_of_a_stream_tells_every_hop_not_to_hold_it_back(start, ask, door):
    curl = ask(start(), door, QUICK)
    curl.read_all()
    told = {name: curl.head.get(name) for name in ("content-type", "cache-control", "x-accel-buffering", "incremental")}
    assert told == {
        "content-type": door.media_type,
        "cache-control": "no-cache, no-store, no-transform",
        "x-accel-buffering": "no",
        "incremental": "?1",
    }


def test_the_head_of_a_stream_names_its_request_and_forbids_sniffing(start, ask, door):
    curl = ask(start(), door, QUICK)
    curl.read_all()
    assert curl.head["x-content-type-options"] == "nosniff"
    assert curl.head["x-request-id"]


def test_the_head_of_a_stream_has_no_field_that_would_break_it(start, ask, door):
    curl = ask(start(), door, QUICK)
    curl.read_all()
    assert not {"content-length", "content-encoding", "connection"} & curl.head.keys()


def test_a_whole_stream_ends_with_its_terminator(start, ask, door):
    curl = ask(start(), door, QUICK)
    assert curl.read_all() == 0
    assert curl.body.endswith(door.last)
    assert all(word in curl.body.replace(b": ", b":") for word in door.success[:1])


@pytest.mark.parametrize("door", comment_doors, indirect=True, ids=lambda door: door.path)
def test_a_comment_of_one_line_comes_while_the_demo_model_is_silent(start, ask, door):
    curl = ask(start(**OFTEN), door, SILENT)
    curl.read_until(b": keep-alive\n")
    assert door.token not in curl.body
    assert curl.read_all() == 0
    assert b": keep-alive\n\n" not in curl.body


@pytest.mark.parametrize("door", ping_doors, indirect=True, ids=lambda door: door.path)
def test_a_ping_comes_while_the_demo_model_is_silent(start, ask, door):
    curl = ask(start(**OFTEN), door, SILENT)
    curl.read_until(b'event: ping\ndata: {"type": "ping"}\n\n')
    assert door.token not in curl.body
    assert curl.read_all() == 0


@pytest.mark.parametrize("door", space_doors, indirect=True, ids=lambda door: door.path)
def test_spaces_come_while_the_demo_model_is_silent(start, ask, door):
    curl = ask(start(**OFTEN), door, SILENT)
    curl.read_until(b"\r\n\r\n ")
    assert curl.body.strip() == b""
    assert curl.read_all() == 0
    assert all(json.loads(line) for line in curl.body.splitlines())


@pytest.mark.parametrize("fault", ["cut", "truncated", "error"])
def test_curl_fails_when_the_stream_breaks(start, ask, door, fault):
    curl = ask(start(), door, f"demo:words=8,pace=10ms,after=3,{fault}")
    if door.path == "/v1/responses":  # the event ends the stream by itself
        assert curl.read_all() == 0
        assert b'"type":"response.failed"' in curl.body.replace(b": ", b":")
    else:
        assert curl.read_all() == PARTIAL_FILE
