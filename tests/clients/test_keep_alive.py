"""Keep-alive bytes come while the model is silent, and no client stumbles over them."""

import pytest

from readers import every_reader
from scripts import BENT
from tap import Tap


@pytest.fixture
def tap(backend, start):
    """The wire to a gateway that commits soon and keeps alive often."""
    with Tap(start(backend, commit_after="20ms", keep_alive="50ms").url) as tap:
        yield tap


@every_reader
def test_keep_alive_in_mid_stream_disturbs_no_client(backend, tap, reader):
    def script(answer):
        answer.open()
        answer.say("Dip ")
        tap.wait_for(reader.keep_alive, after=b"Dip ")
        answer.say("again")
        answer.finish()

    backend.play(script)
    assert "".join(reader.read(tap.url)) == "Dip again"


@every_reader
def test_keep_alive_before_the_first_token_disturbs_no_client(backend, tap, reader):
    def script(answer):
        answer.open()
        tap.wait_for(reader.first)
        answer.say("Dip again")
        answer.finish()

    backend.play(script)
    assert "".join(reader.read(tap.url)) == "Dip again"


@every_reader
def test_an_error_after_a_keep_alive_is_told_in_the_stream(backend, tap, reader):
    def script(answer):
        answer.open()
        tap.wait_for(reader.first)
        answer.fail(BENT)

    backend.play(script)
    with pytest.raises(reader.told, match=BENT) as error:
        list(reader.read(tap.url))
    assert type(error.value) is reader.told, "it is told in the stream, not by a broken connection"
