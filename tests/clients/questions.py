"""Questions that the tests put to models, and the tools they offer."""

MODEL = "tinytale:1b"
MESSAGES = [{"role": "user", "content": "How does ink reach the nib?"}]


def tool(name, argument):
    parameters = {"type": "object", "properties": {argument: {"type": "string"}}, "required": [argument]}
    return {"type": "function", "function": {"name": name, "description": name, "parameters": parameters}}


TOOLS = [tool("find_pen", "maker"), tool("mix_ink", "shade")]
