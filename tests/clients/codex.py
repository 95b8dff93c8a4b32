"""Codex: a request in the shape of a coding agent's that speaks OpenAI's Responses, in the middle of its work."""

from questions import MODEL

INSTRUCTIONS = "You are a careful clerk."
PERMISSIONS = "<permissions>Ask before you sell.</permissions>"
TASK = "Tidy the shelf."
PATCH = '*** Begin Patch\n*** Add File: shelf.txt\n+"ink" über \\ pen\n*** End Patch\n'
GRAMMAR = 'start: "*** Begin Patch" LF hunk+ "*** End Patch" LF?'
SHELL = {
    "type": "function",
    "name": "shell",
    "description": "Runs a command.",
    "strict": False,
    "parameters": {
        "type": "object",
        "properties": {"command": {"type": "array", "items": {"type": "string"}}, "workdir": {"type": "string"}},
        "required": ["command"],
        "additionalProperties": False,
    },
}
APPLY_PATCH = {
    "type": "custom",
    "name": "apply_patch",
    "description": "Use the `apply_patch` tool to edit files.",
    "format": {"type": "grammar", "syntax": "lark", "definition": GRAMMAR},
}
LISTED = "ink pen"
DONE = "Success. Updated the following files:\nA shelf.txt\n"
INPUT = [
    {"type": "message", "role": "developer", "content": [{"type": "input_text", "text": PERMISSIONS}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": TASK}]},
    {
        "type": "reasoning",
        "id": "rs_1",
        "summary": [{"type": "summary_text", "text": "First look, then move."}],
        "content": None,
        "encrypted_content": "gAAAAABo",
    },
    {"type": "function_call", "call_id": "call_ls", "name": "shell", "arguments": '{"command":["ls","/shelf"]}'},
    {"type": "function_call_output", "call_id": "call_ls", "output": LISTED},
    {"type": "custom_tool_call", "call_id": "call_patch", "name": "apply_patch", "input": PATCH, "status": "completed"},
    {"type": "custom_tool_call_output", "call_id": "call_patch", "output": DONE},
    {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "The shelf is listed."}]},
    {"type": "message", "role": "user", "content": [{"type": "input_text", "text": "Go on."}]},
]
TURNS = [
    ("user", TASK),
    ("call", "shell", {"command": ["ls", "/shelf"]}),
    ("result", LISTED),
    ("call", "apply_patch", {"input": PATCH}),
    ("result", DONE),
    ("assistant", "The shelf is listed."),
    ("user", "Go on."),
]
REQUEST = {
    "model": MODEL,
    "instructions": INSTRUCTIONS,
    "input": INPUT,
    "tools": [SHELL, {"type": "web_search", "external_web_access": True}, APPLY_PATCH],
    "tool_choice": "auto",
    "parallel_tool_calls": False,
    "reasoning": {"effort": "high", "summary": "auto"},
    "include": ["reasoning.encrypted_content"],
    "store": False,
    "prompt_cache_key": "0198c3b2-shelf",
    "text": {"verbosity": "medium"},
}
