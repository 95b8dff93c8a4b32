"""Coding agents as their vendors ship them finish their work, whatever model the gateway has behind it."""

import pytest

from agents import ClaudeCode, Codex, CodexWithBaseUrl
from heard import hear
from questions import MODEL
from replies import say

PROMPT = "Make the file made.txt."
COMMAND = "echo ink > made.txt; cat made.txt"
LAST = "The file is made."
every_agent = pytest.mark.parametrize("agent", [ClaudeCode, Codex], indirect=True)
chat = pytest.mark.parametrize("backend", ["openai_backend"], indirect=True)


@pytest.fixture
def agent(request, tmp_path):
    folders = [tmp_path / name for name in ("home", "work")]
    for folder in folders:
        folder.mkdir()
    return request.param(*folders)


def steps(*scripts):
    """A script that plays one after the other, by the results that the agent has told; requests that offer no tool (titles, checks of
    the quota) have an answer of their own."""

    def play(answer):
        heard = hear(answer.request)
        if not heard.tools:
            return say(text=["A title"])(answer)
        done = len([turn for turn in heard.turns if turn[0] == "call"])
        scripts[min(done, len(scripts) - 1)](answer)

    return play


def results(backend):
    return [turn[1] for turn in backend.heard.turns if turn[0] == "result"]


@every_agent
def test_a_tool_is_called_and_its_result_heard(agent, backend, start):
    backend.play(steps(say(text=["I make it."], calls=[agent.call("call_1", COMMAND)]), say(text=[LAST])))
    printed = agent.run(start(backend).url, MODEL, PROMPT)
    assert LAST in printed
    assert (agent.work / "made.txt").read_text() == "ink\n"
    (result,) = results(backend)
    assert "ink" in result


@every_agent
def test_what_was_thought_comes_back_with_the_result(agent, backend, start):
    thinking = ["First I think. ", "Then I act."]
    backend.play(steps(say(thinking=thinking, calls=[agent.call("call_1", COMMAND)]), say(text=[LAST])))
    assert LAST in agent.run(start(backend).url, MODEL, PROMPT)
    # Vendors that sign or encrypt it take nothing back that they did not.
    if backend.dialect in ("openai", "ollama"):
        assert [turn[1] for turn in backend.heard.turns if turn[0] == "thinking"] == ["".join(thinking)]


@every_agent
def test_two_calls_at_once_are_both_run(agent, backend, start):
    calls = [agent.call(f"call_{name}", f"echo {name} > {name}.txt") for name in ("pen", "ink")]
    backend.play(steps(say(calls=calls), say(text=[LAST])))
    assert LAST in agent.run(start(backend).url, MODEL, PROMPT)
    assert sorted(path.name for path in agent.work.glob("*.txt")) == ["ink.txt", "pen.txt"]
    assert len(results(backend)) == 2


@every_agent
@chat
def test_templates_that_take_one_system_message_at_the_start_are_served(agent, backend, start):
    backend.play(steps(say(calls=[agent.call("call_1", COMMAND)]), say(text=[LAST])))
    assert LAST in agent.run(start(backend).url, MODEL, PROMPT)
    asked = [request.json for request in backend.requests if request.method == "POST"]
    roles = [[message["role"] for message in body["messages"]] for body in asked]
    assert [told for told in roles if told.index("system") != 0 or told.count("system") != 1] == []


@pytest.mark.parametrize("cuts", [1, 3])
@every_agent
@chat
def test_an_answer_that_breaks_off_is_asked_for_again(agent, backend, start, cuts):
    """Behind the second cut Claude Code asks for a whole answer, which breaks off in the same way."""
    broken = []

    def break_off(answer):
        if len(broken) == cuts:
            return say(text=[LAST])(answer)
        broken.append(answer)
        if answer.wants_stream():
            answer.open()
            answer.say("It begins")
        answer.cut()

    backend.play(steps(say(calls=[agent.call("call_1", COMMAND)]), break_off))
    assert LAST in agent.run(start(backend).url, MODEL, PROMPT)


@pytest.mark.parametrize("agent", [CodexWithBaseUrl], indirect=True)
@chat
def test_codex_goes_on_over_http_at_once_where_no_websocket_is(agent, backend, start):
    backend.play(steps(say(calls=[agent.call("call_1", COMMAND)]), say(text=[LAST])))
    printed = agent.run(start(backend).url, MODEL, PROMPT)
    assert LAST in printed
    assert "Reconnecting" not in printed


@every_agent
@chat
def test_a_failure_that_is_final_is_shown_in_the_words_of_the_backend(agent, backend, start):
    words = "the inkwell is empty"

    backend.play(lambda answer: answer.refuse(400, words))
    assert words in agent.run(start(backend).url, MODEL, PROMPT)


@every_agent
@chat
def test_an_error_in_the_stream_is_shown_in_the_words_of_the_backend(agent, backend, start):
    words = "the pen broke"

    def break_down(answer):
        if not answer.wants_stream():
            return answer.refuse(400, words)
        answer.open()
        answer.say("It begins")
        answer.fail(words)

    backend.play(steps(break_down))
    assert words in agent.run(start(backend).url, MODEL, PROMPT)
