"""Replies: what the models of the tests say."""

from questions import QUESTION
from reply import Call, Reply

WORDS = ["Ink ", "runs ", "down ", "the ", "fæd 🖋"]
TEXT = "".join(WORDS)
THOUGHTS = ["Capil", "lary 🤔?"]
THOUGHT = "".join(THOUGHTS)
CALLS = [
    Call("call_pen", "find_pen", {"maker": "Ærø & Sons", "year": 1908}),
    Call("call_ink", "mix_ink", {"shade": "iron gall", "parts": [1, 2.5, None], "warm": True}),
]
NAMED = [(call.name, call.arguments) for call in CALLS]
HISTORY = [
    ("user", QUESTION),
    *(("call", *named) for named in NAMED),
    ("result", "a black one"),
    ("result", "a cup of it"),
    ("user", "Which is finer?"),
]


def say(**reply):
    """A script that gives this reply at once."""
    return lambda answer: answer.reply(Reply(**reply))
