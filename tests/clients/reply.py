"""Reply: what the model of a scripted backend has to say, in no dialect yet."""

from dataclasses import dataclass, field


@dataclass(frozen=True)
class Call:
    id: str
    name: str
    arguments: dict


@dataclass(frozen=True)
class Usage:
    prompt: int = 11
    completion: int = 5


@dataclass(frozen=True)
class Reply:
    text: list[str] = field(default_factory=list)
    thinking: list[str] = field(default_factory=list)
    calls: list[Call] = field(default_factory=list)
    finish: str = "stop"
    usage: Usage = Usage()
