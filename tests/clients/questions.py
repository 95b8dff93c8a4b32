"""Questions that the tests put to models, and the tools they offer."""

MODEL = "tinytale:1b"
QUESTION = "How does ink reach the nib?"
PIXEL = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAAAAAA6fptVAAAACklEQVR4nGNgAAAAAgABSK+kcQAAAABJRU5ErkJggg=="
MESSAGES = [{"role": "user", "content": QUESTION}]


def tool(name, argument):
    parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


TOOLS = [tool("find_pen", "maker"), tool("mix_ink", "shade")]
SCHEMAS = {tool["function"]["name"]: tool["function"]["parameters"] for tool in TOOLS}
RESPONSES_TOOLS = [{"type": "function", "strict": False, **tool["function"]} for tool in TOOLS]
ANTHROPIC_TOOLS = [{"name": name, "description": name, "input_schema": schema} for name, schema in SCHEMAS.items()]
