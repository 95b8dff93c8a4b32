"""Reads what a backend with Anthropic's Messages API was asked."""


def read(asked, heard):
    for block in blocks(asked.get("system")):
        heard.say("system", block["text"])
    for message in asked["messages"]:
        for block in blocks(message["content"]):
            read_block(message["role"], block, heard)
    heard.tools = {tool["name"]: tool["input_schema"] for tool in asked.get("tools", [])}
    heard.schema = (asked.get("output_config") or {}).get("format", {}).get("schema")
    heard.max_tokens = asked.get("max_tokens")
    heard.temperature = asked.get("temperature")
    heard.stop = asked.get("stop_sequences")


def read_block(role, block, heard):
    kind = block["type"]
    if kind == "text":
        heard.say(role, block["text"])
    elif kind == "thinking":
        heard.say("thinking", block["thinking"])
    elif kind == "image":
        heard.show(block["source"]["data"])
    elif kind == "tool_use":
        heard.call(block["id"], block["name"], block["input"])
    elif kind == "tool_result":
        inside = blocks(block.get("content"))
        heard.result(block["tool_use_id"], "".join(part["text"] for part in inside if part["type"] == "text"))
        for part in inside:
            if part["type"] == "image":
                heard.show(part["source"]["data"])


def blocks(content):
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []
