"""anthropic-python reads what a model thinks and hands it back, sealed by its vendor where that is so."""

import pytest

from only import only
from questions import MESSAGES, MODEL
from replies import TEXT, THOUGHT, THOUGHTS, WORDS, say
from whole import message_of, streamed_or_whole

ASKED = {"model": MODEL, "messages": MESSAGES, "max_tokens": 8192}
SEAL = "EqQBCkYIBBgC+/=="
EFFORTS = [  # tokens, and the level that stands for them
    ({"type": "enabled", "budget_tokens": 1024}, "low"),
    ({"type": "enabled", "budget_tokens": 4096}, "high"),
]


def ask(client, stream, **more):
    return message_of(client, stream, **ASKED | more)


@streamed_or_whole
def test_thinking_stands_apart_from_the_text(backend, anthropic_python, stream):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    thinking, text = ask(anthropic_python, stream).content
    assert (thinking.type, thinking.thinking) == ("thinking", THOUGHT)
    assert (text.type, text.text) == ("text", TEXT)


def test_thinking_comes_piece_by_piece(backend, anthropic_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    with anthropic_python.messages.stream(**ASKED) as stream:
        assert [event.thinking for event in stream if event.type == "thinking"] == THOUGHTS


@streamed_or_whole
@only("anthropic")
def test_the_signature_of_thinking_is_kept(backend, anthropic_python, stream):
    backend.play(say(thinking=THOUGHTS, signature=SEAL, redacted="ciphertext", text=WORDS))
    signed, redacted, _ = ask(anthropic_python, stream).content
    assert (signed.signature, redacted.data) == (SEAL, "ciphertext")


@streamed_or_whole
@only("openai", "ollama")
def test_no_signature_is_invented(backend, anthropic_python, stream):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    assert ask(anthropic_python, stream).content[0].signature == ""


@streamed_or_whole
@only("responses")
def test_what_openai_sealed_is_a_signature_that_says_whose_it_is(backend, anthropic_python, stream):
    backend.play(say(thinking=THOUGHTS, signature="gAAAA+/==", text=WORDS))
    assert ask(anthropic_python, stream).content[0].signature == "sg1:openai:gAAAA+/=="


@only("responses")
def test_what_openai_sealed_goes_back_to_it(backend, anthropic_python):
    backend.play(say(thinking=THOUGHTS, signature="gAAAA+/==", text=WORDS))
    content = ask(anthropic_python, True).to_dict()["content"]
    past = [{"role": "assistant", "content": content}, {"role": "user", "content": "Go on."}]
    ask(anthropic_python, True, messages=MESSAGES + past)
    (item,) = [item for item in backend.asked["input"] if item.get("type") == "reasoning"]
    assert item["encrypted_content"] == "gAAAA+/=="
    assert [part["text"] for part in item["summary"]] == [THOUGHT]


@only("responses")
def test_openai_is_asked_for_reasoning_that_can_be_handed_back(backend, anthropic_python):
    backend.play(say(text=WORDS))
    ask(anthropic_python, False, thinking=EFFORTS[1][0])
    assert "reasoning.encrypted_content" in backend.asked["include"]
    assert backend.asked["reasoning"]["summary"]
    assert backend.asked["store"] is False


@only("openai", "responses", "ollama")
@pytest.mark.parametrize(("thinking", "effort"), EFFORTS)
def test_the_wish_for_thinking_reaches_the_backend(backend, anthropic_python, thinking, effort):
    backend.play(say(text=WORDS))
    ask(anthropic_python, False, thinking=thinking)
    asked = backend.asked
    if backend.dialect == "ollama":
        assert asked["think"] in (True, effort)
    else:
        assert (asked.get("reasoning_effort") or asked["reasoning"]["effort"]) == effort


@only("openai", "responses", "ollama")
def test_the_wish_for_no_thinking_reaches_the_backend(backend, anthropic_python):
    backend.play(say(text=WORDS))
    ask(anthropic_python, False, thinking={"type": "disabled"})
    asked = backend.asked
    if backend.dialect == "ollama":
        assert asked["think"] is False
    else:
        assert (asked.get("reasoning_effort") or asked["reasoning"]["effort"]) == "none"


@only("anthropic")
@pytest.mark.parametrize("signature", ["", "sg1:openai:gAAAA"], ids=["unsigned", "another vendor's"])
def test_thinking_that_is_not_its_own_is_never_sent_to_anthropic(backend, anthropic_python, signature):
    backend.play(say(text=WORDS))
    thought = {"type": "thinking", "thinking": "Hm.", "signature": signature}
    past = [
        {"role": "assistant", "content": [thought, {"type": "text", "text": "Ink runs."}]},
        {"role": "user", "content": "Go on."},
    ]
    ask(anthropic_python, False, messages=MESSAGES + past)
    assert [kind for kind, *_ in backend.heard.turns] == ["user", "assistant", "user"]
