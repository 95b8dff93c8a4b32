"""Recipe: structured output that the tests ask for."""

from pydantic import BaseModel


class Recipe(BaseModel):
    shade: str
    drops: int


RECIPE = Recipe(shade="sepia", drops=3)
JSON_TEXT = ['{"shade": "sep', 'ia", "drops": 3}']
SCHEMA = {
    "type": "object",
    "properties": {"shade": {"enum": ["sepia", "iron"]}, "drops": {"type": "integer", "minimum": 1}},
    "required": ["shade", "drops"],
    "additionalProperties": False,
}
