// The items of a scripted Responses answer, kind by kind.
const reasoning = (rest) => ({ type: 'reasoning', summary: [], ...rest });
const message = (part) => ({ type: 'message', role: 'assistant', content: part ? [part] : [] });

/** For each kind of item: the events that fill it, where its text stands in them, and the item itself. */
export const SUMMARY = {
  part: 'response.reasoning_summary_part',
  text: 'response.reasoning_summary_text',
  key: 'text',
  place: { summary_index: 0 },
  inside: (text) => ({ type: 'summary_text', text }),
  item: (part, { seal }) => reasoning({ summary: part ? [part] : [], encrypted_content: seal ?? null }),
};
export const THOUGHT = {
  part: 'response.content_part',
  text: 'response.reasoning_text',
  key: 'text',
  place: { content_index: 0 },
  inside: (text) => ({ type: 'reasoning_text', text }),
  item: (part) => reasoning({ content: part ? [part] : [] }),
};
export const REDACTED = { place: {}, item: (_, { seal }) => reasoning({ encrypted_content: seal }) };
export const TEXT = {
  part: 'response.content_part',
  text: 'response.output_text',
  key: 'text',
  place: { content_index: 0, logprobs: [] },
  inside: (text) => ({ type: 'output_text', text, annotations: [], logprobs: [] }),
  item: message,
};
export const REFUSAL = {
  part: 'response.content_part',
  text: 'response.refusal',
  key: 'refusal',
  place: { content_index: 0 },
  inside: (refusal) => ({ type: 'refusal', refusal }),
  item: message,
};
export const CALL = {
  text: 'response.function_call_arguments',
  key: 'arguments',
  place: {},
  item: (_, { call, text }) => ({ type: 'function_call', call_id: call.id, name: call.name, arguments: text }),
};

/** Where an event about this item says that it belongs. */
export function place({ kind, index }) {
  return { item_id: `item_${index}`, output_index: index, ...kind.place };
}

/** The item as it stands in the answer; a fresh one has nothing in it yet. */
export function written(item, fresh = false) {
  const part = fresh || !item.kind.inside ? undefined : item.kind.inside(item.text);
  return { id: `item_${item.index}`, status: 'completed', ...item.kind.item(part, item) };
}
