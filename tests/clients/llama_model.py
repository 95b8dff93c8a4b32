"""LlamaModel: a model of known words for a real server of llama.cpp, a few megabytes large and made within a second.

It is a table of what follows what: every token is told apart by the one number that is set in its embedding, attention and feed-forward
do nothing, and the output has, for each token, the one that comes next. A word in the last message of the user picks a scene: the
chat template ends the prompt with that scene's control token, and what follows is its text, token by token. A token of a scene
stands in no other place, or its successor would be in doubt. Grammars, tools, thoughts, log probabilities and stops are the
server's own; where a grammar forbids what comes next, a taste that all tokens share decides (`TASTE`), so that every value ends.
"""

import gguf
import numpy

ANSWER = "Hello from a small table 🦊, with ümlauts and 川 in it,\nand *marks* as well. Bye!"
THOUGHT = "Six rows by seven make forty-two."
OUTCOME = "It is 42."
ASIDE = "Looking."
PARIS = ("get_weather", {"city": "Paris", "days": 3})
OSLO = ("get_weather", {"city": "Oslo", "days": 1})
UTC = ("get_time", {"zone": "UTC"})

# Each call in the words that the server looks for; blanks that JSON allows make the pieces of each its own.
CALL_PARIS = '<tool_call>\n{"name": "get_weather", "arguments": {"city": "Paris", "days": 3}}\n</tool_call>'
CALL_OSLO = '<tool_call>\n{"name":"get_weather","arguments":{"city":"Oslo","days":1}}\n</tool_call>'
CALL_UTC = '\n<tool_call>\n{"name": "get_time","arguments": {"zone":"UTC"}}\n</tool_call>'
SCENES = {
    "ANSWER": ANSWER,
    "THINK": f"<think>\n{THOUGHT}\n</think>\n\n{OUTCOME}",
    "CALL": CALL_PARIS,
    "BOTH": f"{ASIDE}\n{CALL_OSLO}{CALL_UTC}",
    "NOTHING": "",
    "ENDLESS": " the wheel turns, the water falls, the stone grinds,",
}
ENDLESS = "ENDLESS"

TEMPLATE = """
{%- macro called(calls) %}
{%- for call in calls %}{%- set function = call.function if call.function else call %}
{{- '\\n<tool_call>\\n{"name": "' + function.name + '", "arguments": ' }}
{{- function.arguments if function.arguments is string else function.arguments | tojson }}{{- '}\\n</tool_call>' }}
{%- endfor %}
{%- endmacro %}
{%- set scene = namespace(words='') %}
{%- if tools %}
{{- '<|turn|>system\\nTools, each called as <tool_call>{"name": ..., "arguments": {...}}</tool_call>:\\n<tools>' }}
{%- for tool in tools %}{{- '\\n' + (tool | tojson) }}{%- endfor %}{{- '\\n</tools><|over|>\\n' }}
{%- endif %}
{%- for message in messages %}
{%- set text = message.content if message.content is string else '' %}
{{- '<|turn|>' + ('user' if message.role == 'tool' else message.role) + '\\n' }}
{%- if message.role == 'tool' %}
{%- set scene.words = 'ANSWER' %}{{- '<tool_response>\\n' + text + '\\n</tool_response>' }}
{%- elif message.role == 'assistant' %}
{%- if message.reasoning_content %}{{- '<think>\\n' + message.reasoning_content + '\\n</think>\\n\\n' }}{%- endif %}
{{- text }}{%- if message.tool_calls %}{{- called(message.tool_calls) }}{%- endif %}
{%- else %}
{%- if message.role == 'user' %}{%- set scene.words = text %}{%- endif %}{{- text }}
{%- endif %}
{{- '<|over|>\\n' }}
{%- endfor %}
{%- if add_generation_prompt %}
{{- '<|turn|>assistant\\n' }}
{%- if enable_thinking is defined and enable_thinking is false %}{{- '<think>\\n\\n</think>\\n\\n' }}{%- endif %}
@SCENES@
{%- endif %}"""

WIDTH = 768  # numbers in an embedding: one for each token, and the last for what they share
SHARED = WIDTH - 1
HEADS = 12
TASTE = {'"': 0.30, "}": 0.28, "]": 0.26, "1": 0.2, ",": 0.1, ":": 0.1}
END_TASTE, BLANK_TASTE = 0.35, -0.5


class Table:
    """The tokens so far, and what follows each."""

    def __init__(self):
        self.texts, self.kinds, self.places, self.follows = [], [], {}, []
        for text, kind in [("<unk>", "UNKNOWN"), ("<s>", "CONTROL"), ("</s>", "CONTROL")]:
            self.add(text, kind)
        self.bytes = [self.add(f"<0x{byte:02X}>", "BYTE") for byte in range(256)]
        self.add("<|turn|>", "CONTROL")
        self.end = self.add("<|over|>", "CONTROL")
        self.letters = {letter: self.add(spelt(letter), "NORMAL") for letter in map(chr, range(32, 127))}

    def add(self, text, kind):
        assert text not in self.places, f"{text!r} is a token already"
        self.places[text] = len(self.texts)
        self.texts.append(text)
        self.kinds.append(gguf.TokenType[kind])
        return self.places[text]

    def tell(self, scene, text, over):
        """The tokens of a scene, one behind the other; over, or from its beginning again."""
        before = self.add(f"<|{scene.lower()}|>", "CONTROL")
        first = None
        for piece in pieces(text, self.places):
            now = self.bytes[piece] if isinstance(piece, int) else self.add(piece, "NORMAL")
            self.follows.append((before, now))
            first, before = first if first is not None else now, now
        self.follows.append((before, self.end if over else first))

    def weights(self):
        embedding = numpy.zeros((len(self.texts), WIDTH), numpy.float32)
        output = numpy.zeros((len(self.texts), WIDTH), numpy.float32)
        for token in range(len(self.texts)):
            embedding[token, token] = embedding[token, SHARED] = 1
            output[token, SHARED] = -1e-4 * token  # no two are equal
        for before, now in self.follows:
            output[now, before] += 1
        for letter, taste in TASTE.items():
            output[self.letters[letter], SHARED] += taste
        output[self.end, SHARED] += END_TASTE
        for blank in [*self.bytes[:32], self.letters[" "]]:
            output[blank, SHARED] += BLANK_TASTE  # a grammar allows them without end
        return embedding, output


def spelt(text):
    return text.replace(" ", "\u2581")


def pieces(text, taken):
    """The text in pieces, of which none is a token yet; a letter beyond those of Europe is told in bytes, as the server has it."""
    found, at = [], 0
    while at < len(text):
        if ord(text[at]) > 0x1FFF:
            found += text[at].encode()
            at += 1
            continue
        stop = next((i for i in range(at, len(text)) if ord(text[i]) > 0x1FFF), len(text))
        sizes = [3 + len(found) % 4, *range(2, 20)]
        size = next(s for s in [*sizes, stop - at] if fits(text[at : min(at + s, stop)], text[at + s : stop], found, taken))
        found.append(spelt(text[at : min(at + size, stop)]))
        at = min(at + size, stop)
    return found


def fits(piece, rest, found, taken):
    """Is the piece a new one, and what is left either nothing, or enough for another?"""
    return spelt(piece) not in taken and spelt(piece) not in found and (not rest or len(rest) > 3)


def make(path, layers=1, inner=64):
    """Layers of zeros change nothing but how long each token takes."""
    table = Table()
    for scene, text in SCENES.items():
        table.tell(scene, text, over=scene != ENDLESS)
    assert len(table.texts) < SHARED, f"{len(table.texts)} tokens are too many"
    embedding, output = table.weights()
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("table")
    writer.add_context_length(65536)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(1)
    writer.add_rope_dimension_count(WIDTH // HEADS)
    writer.add_layer_norm_rms_eps(1e-6)
    writer.add_vocab_size(len(table.texts))
    writer.add_file_type(gguf.LlamaFileType.MOSTLY_F16)
    writer.add_tokenizer_model("llama")
    writer.add_token_list([text.encode() for text in table.texts])
    writer.add_token_scores([-float(place) for place in range(len(table.texts))])
    writer.add_token_types([int(kind) for kind in table.kinds])
    writer.add_unk_token_id(0)
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(table.end)
    writer.add_add_bos_token(False)
    writer.add_add_space_prefix(False)
    writer.add_chat_template(TEMPLATE.replace("@SCENES@", picked()))
    writer.add_tensor("token_embd.weight", embedding.astype(numpy.float16))
    writer.add_tensor("output_norm.weight", numpy.ones(WIDTH, numpy.float32))
    writer.add_tensor("output.weight", output.astype(numpy.float16))
    for layer in range(layers):
        add_layer(writer, f"blk.{layer}.", inner)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def picked():
    """The control token of the scene that the user's words name, the usual one if they name none."""
    named = [scene for scene in SCENES if scene != "ANSWER"]
    tests = "".join(
        f"{{%- {'elif' if place else 'if'} '{scene}' in scene.words %}}{{{{- '<|{scene.lower()}|>' }}}}"
        for place, scene in enumerate(named)
    )
    return tests + "{%- else %}{{- '<|answer|>' }}{%- endif %}"


def add_layer(writer, name, inner):
    head = WIDTH // HEADS
    shapes = {"attn_q": (WIDTH, WIDTH), "attn_k": (head, WIDTH), "attn_v": (head, WIDTH), "attn_output": (WIDTH, WIDTH)}
    shapes |= {"ffn_gate": (inner, WIDTH), "ffn_up": (inner, WIDTH), "ffn_down": (WIDTH, inner)}
    for norm in ["attn_norm", "ffn_norm"]:
        writer.add_tensor(f"{name}{norm}.weight", numpy.ones(WIDTH, numpy.float32))
    for part, shape in shapes.items():
        writer.add_tensor(f"{name}{part}.weight", numpy.zeros(shape, numpy.float16))
