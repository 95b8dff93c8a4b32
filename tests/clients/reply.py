"""Reply: what the model of a scripted backend has to say, in no dialect yet."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: dict


@dataclass(frozen=True)
class Usage:
    """`prompt` and `completion` count everything, whatever stands beside them is a part of them."""

    prompt: int = 11
    completion: int = 5
    cached: int = 0  # of the prompt: read from a cache
    kept: int = 0  # of the prompt: written to a cache
    reasoning: int = 0  # of the completion


@dataclass(frozen=True)
class Reply:
    text: list[str] = field(default_factory=list)
    refusal: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    signature: str | None = None  # of the thinking: what its vendor wants back with it
    redacted: str | None = None
    calls: list[Call] = field(default_factory=list)
    finish: str = "stop"  # or "length", or "refusal"
    usage: Usage = Usage()
