"""openai-python reads reasoning through Responses and hands it back, sealed by its vendor where that is so."""

import pytest

from only import only
from questions import MODEL, QUESTION
from replies import TEXT, THOUGHT, THOUGHTS, WORDS, say
from whole import response_of, streamed_or_whole

ASKED = {"model": MODEL, "input": QUESTION}
SEAL = "EqQBCkYIBBgC+/=="
ENCRYPTED = "gAAAA+/=="
BUDGETS = {"low": 1024, "medium": 2048, "high": 4096}


def ask(client, stream, **more):
    return response_of(client, stream, **ASKED | more)


def reasoned(item):
    """What a reasoning item says, in either of its places."""
    return "".join(part.text for part in [*item.summary, *(item.content or [])])


@streamed_or_whole
def test_reasoning_is_an_item_before_the_text(backend, openai_python, stream):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    response = ask(openai_python, stream)
    assert [item.type for item in response.output] == ["reasoning", "message"]
    assert (reasoned(response.output[0]), response.output_text) == (THOUGHT, TEXT)


def test_reasoning_comes_piece_by_piece(backend, openai_python):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    kinds = ("response.reasoning_summary_text.delta", "response.reasoning_text.delta")
    events = list(openai_python.responses.create(**ASKED, stream=True))
    assert [event.delta for event in events if event.type in kinds] == THOUGHTS


@streamed_or_whole
@only("responses")
def test_what_openai_sealed_is_kept(backend, openai_python, stream):
    backend.play(say(thinking=THOUGHTS, signature=ENCRYPTED, text=WORDS))
    assert ask(openai_python, stream).output[0].encrypted_content == ENCRYPTED


@streamed_or_whole
@only("anthropic")
def test_a_signature_says_whose_it_is(backend, openai_python, stream):
    backend.play(say(thinking=THOUGHTS, signature=SEAL, text=WORDS))
    item = ask(openai_python, stream).output[0]
    assert (reasoned(item), item.encrypted_content) == (THOUGHT, f"sg1:signature:{SEAL}")


@streamed_or_whole
@only("anthropic")
def test_redacted_thinking_says_whose_it_is(backend, openai_python, stream):
    backend.play(say(redacted="ciphertext", text=WORDS))
    item = ask(openai_python, stream).output[0]
    assert (item.type, reasoned(item), item.encrypted_content) == ("reasoning", "", "sg1:redacted:ciphertext")


@streamed_or_whole
@only("openai", "ollama")
def test_no_seal_is_invented(backend, openai_python, stream):
    backend.play(say(thinking=THOUGHTS, text=WORDS))
    assert not ask(openai_python, stream).output[0].encrypted_content


@streamed_or_whole
@only("anthropic")
def test_what_anthropic_sealed_goes_back_to_it(backend, openai_python, stream):
    backend.play(say(thinking=THOUGHTS, signature=SEAL, redacted="ciphertext", text=WORDS))
    output = ask(openai_python, stream).to_dict()["output"]
    question = {"role": "user", "content": QUESTION}
    ask(openai_python, False, input=[question, *output, {"role": "user", "content": "Go on."}])
    assert backend.asked["messages"][1]["content"] == [
        {"type": "thinking", "thinking": THOUGHT, "signature": SEAL},
        {"type": "redacted_thinking", "data": "ciphertext"},
        {"type": "text", "text": TEXT},
    ]


@only("anthropic")
@pytest.mark.parametrize("sealed", [{}, {"encrypted_content": ENCRYPTED}], ids=["unsealed", "another vendor's"])
def test_reasoning_that_is_not_its_own_is_never_sent_to_anthropic(backend, openai_python, sealed):
    backend.play(say(text=WORDS))
    reasoning = {"type": "reasoning", "id": "rs_1", "summary": [{"type": "summary_text", "text": "Hm."}], **sealed}
    question = {"role": "user", "content": QUESTION}
    ask(openai_python, False, input=[question, reasoning, {"role": "assistant", "content": "Ink runs."}, question])
    assert [kind for kind, *_ in backend.heard.turns] == ["user", "assistant", "user"]


@pytest.mark.parametrize("effort", BUDGETS)
def test_the_wish_for_reasoning_reaches_the_backend(backend, openai_python, effort):
    backend.play(say(text=WORDS))
    ask(openai_python, False, reasoning={"effort": effort, "summary": "auto"}, max_output_tokens=32000)
    asked = backend.asked
    told = {
        "openai": asked.get("reasoning_effort"),
        "responses": asked.get("reasoning", {}).get("effort"),
        "anthropic": asked.get("thinking"),
        "ollama": asked.get("think"),
    }
    budget = {"type": "enabled", "budget_tokens": BUDGETS[effort]}
    assert told[backend.dialect] == (budget if backend.dialect == "anthropic" else effort)


@only("anthropic")
def test_thinking_leaves_room_for_the_answer(backend, openai_python):
    backend.play(say(text=WORDS))
    ask(openai_python, False, reasoning={"effort": "high"}, max_output_tokens=2000)
    thinking, limit = backend.asked["thinking"], backend.asked["max_tokens"]
    assert 1024 <= thinking["budget_tokens"] < limit == 2000
    assert backend.asked.get("temperature") in (None, 1), "anthropic takes no other while it thinks"
