"""Reads what an Ollama server was asked."""


def read(asked, heard):
    for message in asked["messages"]:
        heard.say("thinking", message.get("thinking") or "")
        if message["role"] == "tool":
            heard.result(message.get("tool_call_id"), message["content"])
        else:
            heard.say(message["role"], message.get("content") or "")
        for image in message.get("images") or []:
            heard.show(image)
        for call in message.get("tool_calls") or []:
            heard.call(call.get("id"), call["function"]["name"], call["function"]["arguments"])
    heard.tools = {tool["function"]["name"]: tool["function"].get("parameters") for tool in asked.get("tools") or []}
    read_options(asked, heard)


def read_prompt(asked, heard):
    heard.say("system", asked.get("system") or "")
    heard.say("user", asked["prompt"])
    read_options(asked, heard)


def read_options(asked, heard):
    options = asked.get("options") or {}
    heard.schema = asked.get("format") if isinstance(asked.get("format"), dict) else None
    heard.max_tokens = options.get("num_predict")
    heard.temperature = options.get("temperature")
    heard.stop = options.get("stop")
