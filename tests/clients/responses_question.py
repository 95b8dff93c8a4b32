"""Reads what a backend with OpenAI's Responses API was asked."""

import json

from openai_question import PREFIX


def read(asked, heard):
    heard.say("system", asked.get("instructions") or "")
    for item in items(asked["input"]):
        READERS[item.get("type", "message")](item, heard)
    heard.tools = {tool["name"]: tool.get("parameters") for tool in asked.get("tools", []) if "name" in tool}
    heard.schema = (asked.get("text") or {}).get("format", {}).get("schema")
    heard.max_tokens = asked.get("max_output_tokens")
    heard.temperature = asked.get("temperature")


def items(asked):
    return [{"role": "user", "content": asked}] if isinstance(asked, str) else asked


def read_message(item, heard):
    content = item["content"]
    for part in [{"type": "input_text", "text": content}] if isinstance(content, str) else content:
        if part["type"] == "input_image":
            heard.show(part["image_url"].partition(PREFIX)[2])
        else:
            heard.say(item["role"], part["text"])


def read_reasoning(item, heard):
    parts = item.get("summary", []) + (item.get("content") or [])
    heard.say("thinking", "".join(part["text"] for part in parts))


def read_call(item, heard):
    heard.call(item["call_id"], item["name"], json.loads(item["arguments"]))


def read_result(item, heard):
    output = item["output"]
    if isinstance(output, str):
        return heard.result(item["call_id"], output)
    heard.result(item["call_id"], "".join(part["text"] for part in output if part["type"] == "input_text"))
    for part in output:
        if part["type"] == "input_image":
            heard.show(part["image_url"].partition(PREFIX)[2])


READERS = {
    "message": read_message,
    "reasoning": read_reasoning,
    "function_call": read_call,
    "function_call_output": read_result,
}
