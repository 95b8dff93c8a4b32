"""A real server of llama.cpp stops its work when a client leaves, also while it works for others; and what it does not end is told."""

import dataclasses
import json
import threading
from contextlib import contextmanager, suppress

import httpx
import pytest

from curl import Curl
from doors import DOORS
from gateway import Gateway
from llama_model import ENDLESS
from llama_said import MODEL
from llama_server import LlamaServer
from marks import GUARD
from test_llama_cpp import known
from whole import streamed_or_whole

LONG = 14000  # tokens: more than a minute of work
CHAT = {"messages": [{"role": "user", "content": ENDLESS}], "max_tokens": LONG}
QUESTIONS = {
    "/v1/chat/completions": CHAT,
    "/v1/messages": CHAT,
    "/v1/responses": {"input": ENDLESS, "max_output_tokens": LONG},
    "/api/chat": {"messages": CHAT["messages"], "options": {"num_predict": LONG}},
    "/api/generate": {"prompt": ENDLESS, "options": {"num_predict": LONG}},
}
ENDLESS_DOORS = [dataclasses.replace(door, question=QUESTIONS[door.path]) for door in DOORS]
every_endless_door = pytest.mark.parametrize("door", ENDLESS_DOORS, ids=lambda door: door.path)
PROMPT = "word " * 2500  # read for some seconds, in pieces of 16 tokens


@pytest.fixture(scope="module")
def llama(tmp_path_factory):
    with LlamaServer(tmp_path_factory.mktemp("llama"), slots=2, batch=16) as server:
        yield server


@pytest.fixture(scope="module")
def gateway(llama, tmp_path_factory):
    with Gateway(tmp_path_factory.mktemp("before-llama"), llama, keep_alive="50ms", commit_after="50ms") as gateway:
        known(gateway)
        yield gateway


@contextmanager
def another_client(llama):
    """It streams from the server all the while."""
    body = {**CHAT, "model": MODEL, "stream": True}
    with httpx.stream("POST", f"{llama.url}/v1/chat/completions", json=body, timeout=GUARD) as answer:
        read = threading.Thread(target=read_on, args=(answer,), daemon=True)
        read.start()
        llama.wait(lambda busy: len(busy) == 1, "the other client is served")
        yield
        assert read.is_alive(), "the other client's answer came to its end first"
        answer.extensions["network_stream"].get_extra_info("socket").shutdown(2)
        read.join(GUARD)
    llama.wait(lambda busy: not busy, "the server is idle")


def read_on(answer):
    with suppress(httpx.HTTPError):  # it leaves in the middle
        for _ in answer.iter_raw():
            pass


@contextmanager
def nobody(llama):
    yield


@every_endless_door
@streamed_or_whole
@pytest.mark.parametrize("others", [nobody, another_client], ids=["idle", "busy"])
def test_what_nobody_waits_for_any_more_is_not_written(llama, gateway, others, stream, door):
    with others(llama):
        before = len(llama.busy())
        with Curl(gateway.url + door.path, door.body(MODEL, stream)) as curl:
            llama.wait(lambda busy: len(busy) > before and all(busy.values()), "the server writes")
            curl.kill()
            llama.wait(lambda busy: len(busy) == before, "the server has stopped")


@streamed_or_whole
@pytest.mark.parametrize("path", ["/v1/chat/completions", "/v1/messages"])
def test_a_prompt_that_nobody_waits_for_any_more_is_not_read(llama, gateway, path, stream):
    with another_client(llama):
        body = {"model": MODEL, "stream": stream, "messages": [{"role": "user", "content": PROMPT + ENDLESS}]}
        with Curl(gateway.url + path, {**body, "max_tokens": LONG}) as curl:
            llama.wait(lambda busy: len(busy) == 2, "the server reads")
            curl.kill()
            left = llama.wait(lambda busy: len(busy) == 1, "the server has stopped")
            assert all(left.values()), "the one that is left is the other client's"


def test_how_much_of_a_prompt_is_read_is_told_in_the_silence(llama, gateway):
    body = {**CHAT, "model": MODEL, "stream": True, "max_tokens": 1}
    body["messages"] = [{"role": "user", "content": f"First: {PROMPT}"}]
    with Curl(f"{gateway.url}/v1/chat/completions", body) as curl:
        curl.read_all()
    comments = [line for line in curl.body.split(b"\n") if line.startswith(b": prefill ")]
    assert comments, curl.body[:400]
    assert b"prompt_progress" not in curl.body
    told = [int(line.split()[-1].rstrip(b"%")) for line in comments]
    assert told == sorted(told) and 0 <= told[0] and told[-1] <= 100


def test_who_asks_for_progress_sees_it_before_the_first_token(llama, gateway):
    body = {**CHAT, "model": MODEL, "stream": True, "max_tokens": 1, "return_progress": True}
    body["messages"] = [{"role": "user", "content": f"Second: {PROMPT}"}]
    with Curl(f"{gateway.url}/v1/chat/completions", body) as curl:
        curl.read_until(b'"prompt_progress"')
        assert b'"content":"' not in curl.output
        curl.read_all()
    told = [json.loads(line[6:]) for line in curl.body.split(b"\n") if b'"prompt_progress"' in line]
    read = [event["prompt_progress"]["processed"] for event in told]
    assert len(read) > 10 and read == sorted(read)


@pytest.fixture
def mortal(tmp_path):
    with LlamaServer(tmp_path, slots=1) as server, Gateway(tmp_path, server) as gateway:
        known(gateway)
        yield server, gateway


@every_endless_door
@streamed_or_whole
def test_a_server_that_is_killed_is_told_as_a_failure(mortal, door, stream):
    llama, gateway = mortal
    with Curl(gateway.url + door.path, door.body(MODEL, stream)) as curl:
        if stream:
            curl.read_until(door.token)
        else:
            llama.wait(lambda busy: busy and all(busy.values()), "the server writes")
        llama.kill()
        broken = curl.read_all()
    assert not any(success in curl.body for success in door.success)
    assert b"error" in curl.body
    if stream:
        assert broken != (door.path == "/v1/responses"), "only the last event of a response ends a failed stream properly"
    else:
        assert curl.output.startswith(b"HTTP/1.1 502 ")
