// What the tests ask, the tools they offer, and the words and calls that backends answer with.
export const WORDS = ['Ink ', 'runs ', 'down ', 'the ', 'fæd 🖋'];
export const QUESTION = { model: 'tinytale:1b', messages: [{ role: 'user', content: 'How does ink reach the nib?' }] };
export const CALLS = [
  { id: 'call_pen', name: 'find_pen', arguments: { maker: 'Ærø & Sons', year: 1908 } },
  { id: 'call_ink', name: 'mix_ink', arguments: { shade: 'iron gall', parts: [1, 2.5, null] } },
];
export const TOOLS = CALLS.map(({ name }) => ({
  type: 'function',
  function: { name, description: name, parameters: { type: 'object', properties: {} } },
}));
