"""Sse: one server-sent event of a scripted answer."""

import json


def event(data, name=None):
    head = f"event: {name}\n" if name else ""
    return f"{head}data: {json.dumps(data, ensure_ascii=False)}\n\n".encode()


def halves(text):
    """The two fragments in which a text is sent."""
    middle = len(text) // 2
    return text[:middle], text[middle:]
