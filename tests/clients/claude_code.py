"""ClaudeCode: a request in the shape of a coding agent's that speaks Anthropic's API, in the middle of its work."""

from questions import MODEL, PIXEL

EPHEMERAL = {"cache_control": {"type": "ephemeral"}}
BETAS = ["interleaved-thinking-2025-05-14", "fine-grained-tool-streaming-2025-05-14"]
SYSTEM = ["You are a careful clerk.", "Working directory: /shop"]
TASK = "Tidy the shelf."
REMINDER = "<system-reminder>The list is empty.</system-reminder>"
THOUGHT = "First look, then move."
PLAN = "I will look at the shelf."
LOOK = {"type": "tool_use", "id": "toolu_01Look", "name": "Read", "input": {"path": "/shop/shelf.png", "lines": [1, 9]}}
MOVE = {"type": "tool_use", "id": "toolu_02Move", "name": "Bash", "input": {"command": "mv 'ink' /shelf # über"}}
SEEN = "a shelf"
FAILED = "mv: cannot stat 'ink'"
NAMES = ["Bash", "Read", "Edit", "Glob", "Grep", "WebFetch", "TodoWrite", "Task", "mcp__shelf__sort_everything"]


def tool(name):
    properties = {"path": {"type": "string"}, "lines": {"type": "array", "items": {"type": "integer"}}}
    schema = {"$schema": "http://json-schema.org/draft-07/schema#", "type": "object", "properties": properties}
    return {"name": name, "description": f"{name} a thing.", "input_schema": schema | {"additionalProperties": False}}


TOOLS = [tool(name) for name in NAMES]
PICTURE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PIXEL}}
RESULTS = [
    {"type": "tool_result", "tool_use_id": LOOK["id"], "content": [{"type": "text", "text": SEEN}, PICTURE]},
    {"type": "tool_result", "tool_use_id": MOVE["id"], "content": FAILED, "is_error": True, **EPHEMERAL},
]
MESSAGES = [
    {"role": "user", "content": [{"type": "text", "text": REMINDER}, {"type": "text", "text": TASK}]},
    {
        "role": "assistant",
        "content": [
            {"type": "thinking", "thinking": THOUGHT, "signature": "EqQBCkYIBBgC"},
            {"type": "text", "text": PLAN},
            LOOK,
            MOVE,
        ],
    },
    {"role": "user", "content": RESULTS},
]
REQUEST = {
    "model": MODEL,
    "max_tokens": 32000,
    "system": [{"type": "text", "text": text, **EPHEMERAL} for text in SYSTEM],
    "tools": [*TOOLS[:-1], TOOLS[-1] | EPHEMERAL],
    "thinking": {"type": "enabled", "budget_tokens": 16000},
    "metadata": {"user_id": "user_0_account__session_1"},
    "messages": MESSAGES,
}
