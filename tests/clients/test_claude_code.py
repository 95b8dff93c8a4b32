"""A coding agent that speaks Anthropic's API works with models that do not."""

import json

import pytest

import claude_code
from claude_code import BETAS, FAILED, LOOK, MOVE, PLAN, REMINDER, REQUEST, SEEN, SYSTEM, TASK, TOOLS
from only import only
from questions import PIXEL
from replies import THOUGHT, THOUGHTS, say
from reply import Call, Usage

NEXT = Call("call_next", "Bash", {"command": "ls -a '/shelf' | grep \"ink\""})
every_backend = only("ollama", "openai", "responses")


@pytest.fixture
def answer(backend, anthropic_python):
    """What the agent got; `backend` is left with what it was asked."""
    usage = Usage(prompt=900, completion=40)
    backend.play(say(thinking=THOUGHTS, text=["Let me ", "look again."], calls=[NEXT], usage=usage))
    with anthropic_python.beta.messages.stream(**REQUEST, betas=BETAS) as stream:
        stream.until_done()
        yield stream


@every_backend
def test_the_agent_reads_the_next_step(backend, answer):
    thinking, text, call = answer.get_final_message().content
    assert (thinking.thinking, text.text) == (THOUGHT, "Let me look again.")
    assert (call.type, call.name, call.input) == ("tool_use", NEXT.name, NEXT.arguments)


@every_backend
def test_the_agent_is_told_why_the_model_stopped_and_what_it_cost(backend, answer):
    message = answer.get_final_message()
    assert message.stop_reason == "tool_use"
    assert (message.usage.input_tokens, message.usage.output_tokens) == (900, 40)


@every_backend
def test_the_model_is_told_the_whole_system_prompt(backend, answer):
    assert [text for text in SYSTEM if text not in backend.heard.system] == []


@every_backend
def test_the_model_is_told_every_turn_in_its_order(backend, answer):
    turns = [turn for turn in backend.heard.turns if turn[0] not in ("image", "thinking")]
    asked, *rest = turns
    assert asked[0] == "user" and REMINDER in asked[1] and asked[1].endswith(TASK)
    assert rest == [
        ("assistant", PLAN),
        ("call", LOOK["name"], LOOK["input"]),
        ("call", MOVE["name"], MOVE["input"]),
        ("result", SEEN),
        ("result", f"Error: {FAILED}"),
    ]


@every_backend
def test_the_model_is_shown_the_image_that_a_tool_gave(backend, answer):
    assert [turn for turn in backend.heard.turns if turn[0] == "image"] == [("image", PIXEL)]


@only("openai", "responses")
def test_results_are_tied_to_their_calls(backend, answer):
    assert backend.heard.ids == [LOOK["id"], MOVE["id"]] * 2


@only("ollama")
def test_an_ollama_server_is_told_which_tool_gave_a_result(backend, answer):
    results = [message for message in backend.asked["messages"] if message["role"] == "tool"]
    assert [message["tool_name"] for message in results] == ["Read", "Bash"]


@only("ollama")
def test_an_ollama_server_is_told_what_the_model_thought(backend, answer):
    (thought,) = [message["thinking"] for message in backend.asked["messages"] if message.get("thinking")]
    assert thought == claude_code.THOUGHT


@every_backend
def test_the_model_is_offered_every_tool_as_it_is(backend, answer):
    assert backend.heard.tools == {tool["name"]: tool["input_schema"] for tool in TOOLS}


@every_backend
def test_the_model_is_given_its_limit_and_told_to_think(backend, answer):
    asked = backend.asked
    thinks = {
        "ollama": asked.get("think"),
        "openai": asked.get("reasoning_effort"),
        "responses": asked.get("reasoning", {}).get("effort"),
    }
    assert backend.heard.max_tokens == 32000
    assert thinks[backend.dialect]


@every_backend
def test_nothing_that_only_anthropic_knows_is_sent(backend, answer):
    sent = json.dumps(backend.asked)
    assert [word for word in ("cache_control", "EqQBCkYIBBgC", "budget_tokens", "tool_use_id") if word in sent] == []
    assert "anthropic-beta" not in backend.question.headers


@every_backend
def test_what_was_left_out_is_named(backend, answer):
    assert "cache_control" in answer.response.headers["x-dropped-fields"]


@every_backend
def test_the_agent_may_ask_how_long_its_question_is(backend, anthropic_python):
    asked = {key: REQUEST[key] for key in ("model", "system", "tools", "messages", "thinking")}
    assert anthropic_python.beta.messages.count_tokens(**asked, betas=BETAS).input_tokens > 300
