"""Reads what an OpenAI-compatible backend was asked."""

import json

PREFIX = "base64,"


def read(asked, heard):
    for message in asked["messages"]:
        read_message(message, heard)
    heard.tools = {tool["function"]["name"]: tool["function"].get("parameters") for tool in asked.get("tools", [])}
    heard.schema = (asked.get("response_format") or {}).get("json_schema", {}).get("schema")
    heard.max_tokens = asked.get("max_completion_tokens") or asked.get("max_tokens")
    heard.temperature = asked.get("temperature")
    heard.stop = [asked["stop"]] if isinstance(asked.get("stop"), str) else asked.get("stop")


def read_message(message, heard):
    heard.say("thinking", message.get("reasoning_content") or "")
    if message["role"] == "tool":
        return heard.result(message["tool_call_id"], joined(message["content"]))
    for part in parts(message.get("content")):
        if part["type"] == "image_url":
            heard.show(part["image_url"]["url"].partition(PREFIX)[2])
        else:
            heard.say(message["role"], part["text"])
    for call in message.get("tool_calls") or []:
        heard.call(call["id"], call["function"]["name"], json.loads(call["function"]["arguments"]))


def parts(content):
    return [{"type": "text", "text": content}] if isinstance(content, str) else content or []


def joined(content):
    return "".join(part["text"] for part in parts(content))
