"""A client that leaves ends the request of the backend, whatever client it is, and whenever it goes."""

from curl import Curl
from doors import every_door
from readers import every_reader
from scripts import DIP, say_dip_then, wait_to_be_left_before_the_first_token
from whole import streamed_or_whole


@every_reader
def test_a_client_that_closes_its_stream_ends_the_request(backend, start, reader):
    backend.play(say_dip_then("wait_until_left"))
    texts = reader.read(start(backend).url)
    assert next(texts) == DIP
    texts.close()
    backend.marks.wait("wait_until_left")


@every_door
def test_curl_that_is_killed_in_mid_stream_ends_the_request(backend, start, door):
    backend.play(say_dip_then("wait_until_left"))
    with Curl(start(backend).url + door.path, door.body()) as curl:
        curl.read_until(DIP.encode())
        curl.kill()
        backend.marks.wait("wait_until_left")


@every_door
@streamed_or_whole
def test_curl_that_is_killed_before_the_first_token_ends_the_request(backend, start, door, stream):
    backend.play(wait_to_be_left_before_the_first_token)
    with Curl(start(backend).url + door.path, door.body(stream=stream)) as curl:
        backend.marks.wait("asked")
        curl.kill()
        backend.marks.wait("wait_until_left")
