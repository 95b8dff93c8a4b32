// What the tests ask, the tools they offer, and the words and calls that backends answer with, in no vendor's dialect.
import * as z from 'zod';

export const MODEL = 'tinytale:1b';
export const WORDS = ['Ink ', 'runs ', 'down ', '👩🏽‍🎨\t"the" ', 'fæd 🖋\n', '墨水 \u2028'];
export const CALLS = [
  { id: 'call_pen', name: 'find_pen', arguments: { maker: 'Ærø & Sons 🖋', year: 1908 } },
  {
    id: 'call_ink',
    name: 'mix_ink',
    arguments: { shade: 'iron "gall"', parts: [1, 2.5, null], deep: { z: 1, a: {} } },
  },
];
export const EMPTY_CALL = { id: 'call_wash', name: 'wash_nib', arguments: {} };
export const TOOLS = [...CALLS, EMPTY_CALL].map(({ name }) => ({
  name,
  description: `Does what ${name} says.`,
  parameters: { type: 'object', properties: { maker: { type: 'string' } }, additionalProperties: true },
}));
/** The smallest PNG: one transparent pixel. */
export const PIXEL = 'iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNk+A8AAQUBAScY42YAAAAASUVORK5CYII=';
export const RECIPE = z.object({ shade: z.string(), parts: z.number() });
export const RECIPE_SCHEMA = z.toJSONSchema(RECIPE);
/** What backends say they spent: `input` holds what was cached, `output` what was thought. */
export const SPENT = { input: 21, cached: 8, output: 13, reasoned: 5 };

const ASKED = { role: 'user', text: 'How does ink reach the nib?' };

export const QUESTION = { model: MODEL, turns: [ASKED] };
/** A history in which the model called two tools and was told what they gave. */
export const CONVERSATION = {
  model: MODEL,
  system: 'You are a quill. ✒️',
  tools: TOOLS,
  turns: [
    ASKED,
    { role: 'assistant', text: 'Let me look.', calls: CALLS },
    { role: 'tool', results: CALLS.map(({ id, name }) => ({ id, name, value: `${name}: drawer “3”` })) },
    { role: 'user', text: 'And then?' },
  ],
};
