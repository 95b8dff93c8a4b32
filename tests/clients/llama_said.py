"""Said: what a model said, without the words of any API, as each vendor's SDK reads it at its door."""

import json
from dataclasses import dataclass, field

from sdk import anthropic_client, ollama_client, openai_client
from whole import message_of, response_of

MODEL = "table"
CITY = {"type": "object", "properties": {"city": {"type": "string"}, "days": {"type": "integer"}}, "required": ["city"]}
ZONE = {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}
FUNCTIONS = [
    {"name": "get_weather", "description": "weather", "parameters": CITY},
    {"name": "get_time", "description": "time", "parameters": ZONE},
]
TOOLS = [{"type": "function", "function": function} for function in FUNCTIONS]
RESPONSES_TOOLS = [{"type": "function", "strict": False, **function} for function in FUNCTIONS]
ANTHROPIC_TOOLS = [
    {"name": f["name"], "description": f["description"], "input_schema": f["parameters"]} for f in FUNCTIONS
]
FINISHES = {"end_turn": "stop", "max_tokens": "length", "tool_use": "tool_calls", "max_output_tokens": "length"}


@dataclass(frozen=True)
class Ask:
    words: str
    tools: bool = False
    schema: dict | None = None
    limit: int = 90


@dataclass
class Said:
    text: str = ""
    thinking: str = ""
    calls: list = field(default_factory=list)  # (name, arguments)
    finish: str = "stop"
    usage: tuple = ()  # tokens read and written

    def settled(self):
        """Some dialects have no word for an end by calls, and each cuts blanks at the ends as it likes."""
        self.text, self.thinking = self.text.strip(), self.thinking.strip()
        self.finish = "tool_calls" if self.calls and self.finish == "stop" else FINISHES.get(self.finish, self.finish)
        return self


def chat(url, ask, stream):
    asked = {"model": MODEL, "messages": messages(ask), "max_tokens": ask.limit, "temperature": 0}
    if ask.tools:
        asked["tools"] = TOOLS
    if ask.schema:
        named = {"name": "answer", "schema": ask.schema, "strict": True}
        asked["response_format"] = {"type": "json_schema", "json_schema": named}
    with openai_client(url) as client:
        if not stream:
            answer = client.chat.completions.create(**asked)
            return of_message(answer.choices[0].message, answer.choices[0].finish_reason, answer.usage)
        chunks = list(client.chat.completions.create(**asked, stream=True, stream_options={"include_usage": True}))
    said, calls = Said(), {}
    for choice in (choice for chunk in chunks for choice in chunk.choices):
        said.text += choice.delta.content or ""
        said.thinking += getattr(choice.delta, "reasoning_content", None) or ""
        said.finish = choice.finish_reason or said.finish
        for call in choice.delta.tool_calls or []:
            name, arguments = calls.get(call.index, ("", ""))
            calls[call.index] = (name + (call.function.name or ""), arguments + (call.function.arguments or ""))
    said.calls = [(name, json.loads(arguments)) for name, arguments in calls.values()]
    usage = chunks[-1].usage
    said.usage = (usage.prompt_tokens, usage.completion_tokens)
    return said.settled()


def of_message(message, finish, usage):
    calls = [(c.function.name, json.loads(c.function.arguments)) for c in message.tool_calls or []]
    thinking = getattr(message, "reasoning_content", None) or ""
    return Said(message.content or "", thinking, calls, finish, (usage.prompt_tokens, usage.completion_tokens)).settled()


def responses(url, ask, stream):
    asked = {"model": MODEL, "input": ask.words, "max_output_tokens": ask.limit, "temperature": 0}
    if ask.tools:
        asked["tools"] = RESPONSES_TOOLS
    if ask.schema:
        asked["text"] = {"format": {"type": "json_schema", "name": "answer", "schema": ask.schema, "strict": True}}
    with openai_client(url) as client:
        response = response_of(client, stream, **asked)
    said = Said(usage=(response.usage.input_tokens, response.usage.output_tokens))
    said.finish = response.incomplete_details.reason if response.incomplete_details else "stop"
    for item in response.output:
        if item.type == "message":
            said.text += "".join(part.text for part in item.content)
        elif item.type == "reasoning":
            said.thinking += "".join(part.text for part in item.content or item.summary)
        else:
            said.calls.append((item.name, json.loads(item.arguments)))
    return said.settled()


def anthropic_messages(url, ask, stream):
    asked = {"model": MODEL, "messages": messages(ask), "max_tokens": ask.limit, "extra_body": {"temperature": 0}}
    if ask.tools:
        asked["tools"] = ANTHROPIC_TOOLS
    if ask.schema:
        asked["output_config"] = {"format": {"type": "json_schema", "schema": ask.schema}}
    with anthropic_client(url) as client:
        message = message_of(client, stream, **asked)
    usage = message.usage
    said = Said(finish=message.stop_reason)
    said.usage = (usage.input_tokens + (usage.cache_read_input_tokens or 0), usage.output_tokens)
    for block in message.content:
        if block.type == "tool_use":
            said.calls.append((block.name, block.input))
        else:
            said.text += getattr(block, "text", "")
            said.thinking += getattr(block, "thinking", "")
    return said.settled()


def ollama_chat(url, ask, stream):
    asked = {"messages": messages(ask), "tools": TOOLS if ask.tools else None}
    return of_parts(ollama_client(url).chat, asked, ask, stream, lambda part: part.message)


def ollama_generate(url, ask, stream):
    return of_parts(ollama_client(url).generate, {"prompt": ask.words}, ask, stream, lambda part: part)


def of_parts(method, asked, ask, stream, message):
    options = {"temperature": 0, "num_predict": ask.limit}
    answer = method(model=MODEL, options=options, think=True, format=ask.schema, stream=stream, **asked)
    parts = list(answer) if stream else [answer]
    said = Said(finish=parts[-1].done_reason, usage=(parts[-1].prompt_eval_count, parts[-1].eval_count))
    for part in map(message, parts):
        said.text += getattr(part, "content", None) or getattr(part, "response", None) or ""
        said.thinking += part.thinking or ""
        said.calls += [(c.function.name, dict(c.function.arguments)) for c in getattr(part, "tool_calls", None) or []]
    return said.settled()


def messages(ask):
    return [{"role": "user", "content": ask.words}]


DOORS = [chat, responses, anthropic_messages, ollama_chat, ollama_generate]
