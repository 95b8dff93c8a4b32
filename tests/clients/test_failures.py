"""Every client is told of every failure: by a status before the stream, by an exception in it, never by silence."""

import pytest

from readers import every_asker, every_reader
from scripts import BENT, DIP, DRY, break_off_in_a_whole_answer, fail_before_the_first_token, say_dip_then


@every_reader
@pytest.mark.parametrize("status", [404, 503])
def test_a_refusal_of_the_backend_is_the_exception_of_its_status(backend, start, reader, status):
    backend.play(lambda answer: answer.refuse(status, DRY))
    with pytest.raises(reader.refusals.kinds[status], match=DRY) as error:
        list(reader.read(start(backend).url))
    assert error.value.status_code == reader.refusals.statuses.get(status, status)


@every_asker
@pytest.mark.parametrize("status", [400, 404, 429, 503])
def test_a_refusal_of_a_whole_answer_is_the_exception_of_its_status(backend, start, asker, status):
    backend.play(lambda answer: answer.refuse(status, DRY))
    with pytest.raises(asker.refusals.kinds[status], match=DRY) as error:
        asker.ask(start(backend).url)
    assert error.value.status_code == asker.refusals.statuses.get(status, status)


@every_reader
def test_a_model_without_a_route_is_not_found(backend, start, reader):
    with pytest.raises(reader.refusals.kinds[404], match="tinytale") as error:
        list(reader.read(start(backend, model="elsewhere:*").url))
    assert error.value.status_code == 404


@every_asker
def test_a_model_without_a_route_has_no_whole_answer(backend, start, asker):
    with pytest.raises(asker.refusals.kinds[404], match="tinytale") as error:
        asker.ask(start(backend, model="elsewhere:*").url)
    assert error.value.status_code == 404


@every_asker
def test_a_whole_answer_that_breaks_off_is_an_error(backend, start, asker):
    backend.play(break_off_in_a_whole_answer)
    with pytest.raises(asker.refusals.kinds[500]) as error:
        asker.ask(start(backend).url)
    assert error.value.status_code >= 500


@every_reader
def test_an_error_before_the_first_token_is_a_status(backend, start, reader):
    backend.play(fail_before_the_first_token)
    with pytest.raises(reader.refusals.kinds[500], match=BENT) as error:
        list(reader.read(start(backend).url))
    assert error.value.status_code >= 500


@every_reader
def test_an_error_in_the_stream_is_raised_after_the_text_before_it(backend, start, reader):
    backend.play(say_dip_then("fail"))
    text, error = read_until_error(reader, start(backend).url)
    assert text == DIP
    assert BENT in str(error)


@every_reader
@pytest.mark.parametrize("ending", ["end", "cut"])
def test_a_truncated_stream_is_an_error(backend, start, reader, ending):
    backend.play(say_dip_then(ending))
    text, _ = read_until_error(reader, start(backend).url)
    assert text == DIP


@every_reader
def test_a_stalled_backend_is_left_and_reported(backend, start, reader):
    backend.play(say_dip_then("wait_until_left"))
    text, _ = read_until_error(reader, start(backend, idle_timeout="50ms").url)
    assert text == DIP
    backend.marks.wait("wait_until_left")


def read_until_error(reader, url):
    text = ""
    with pytest.raises(reader.told) as error:
        for piece in reader.read(url):
            text += piece
    assert type(error.value) is reader.told, "it is told in the stream, not by a broken connection"
    return text, error.value
