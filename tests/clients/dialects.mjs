// What a scripted backend says, in the words of an OpenAI-compatible and of an Ollama server: lists of frames.
const MOMENT = '2026-03-01T12:00:00.5Z';

export const openai = {
  api: 'openai',
  type: 'text/event-stream',
  open: (asked) => [chunk(asked, { role: 'assistant', content: '' })],
  think: (asked, text) => [chunk(asked, { reasoning_content: text })],
  say: (asked, text) => [chunk(asked, { content: text })],
  call: (asked, calls) =>
    calls.flatMap(({ id, name, arguments: given }, index) => {
      const [head, tail] = [JSON.stringify(given).slice(0, 4), JSON.stringify(given).slice(4)];
      const fragment = (text) => chunk(asked, { tool_calls: [{ index, function: { arguments: text } }] });
      const start = { index, id, type: 'function', function: { name, arguments: '' } };
      return [chunk(asked, { tool_calls: [start] }), fragment(head), fragment(tail)];
    }),
  finish: (asked, called) => [chunk(asked, {}, called ? 'tool_calls' : 'stop'), 'data: [DONE]\n\n'],
  fail: (_, message) => [`data: ${JSON.stringify({ error: { message, type: 'server_error' } })}\n\n`],
  refusal: (message) => ({ error: { message, type: 'scripted', param: null, code: null } }),
  embeddings: (asked, vectors) => ({
    object: 'list',
    model: asked.model,
    data: vectors.map((vector, index) => ({
      object: 'embedding',
      index,
      embedding:
        asked.encoding_format === 'base64'
          ? Buffer.from(Float32Array.from(vector).buffer).toString('base64')
          : vector,
    })),
    usage: { prompt_tokens: 4, total_tokens: 4 },
  }),
};

export const ollama = {
  api: 'ollama',
  type: 'application/x-ndjson',
  open: () => [],
  think: (asked, text) => [line(asked, { content: '', thinking: text })],
  say: (asked, text) => [line(asked, { content: text })],
  call: (asked, calls) =>
    calls.map(({ id, name, arguments: given }) =>
      line(asked, { content: '', tool_calls: [{ id, function: { name, arguments: given } }] }),
    ),
  finish: (asked) => [
    line(asked, { content: '' }, { done: true, done_reason: 'stop', prompt_eval_count: 11, eval_count: 5 }),
  ],
  fail: (_, message) => [`${JSON.stringify({ error: message })}\n`],
  refusal: (message) => ({ error: message }),
  embeddings: (asked, vectors) => ({ model: asked.model, embeddings: vectors, prompt_eval_count: 4 }),
};

function chunk({ model }, delta, finish_reason = null) {
  const choices = [{ index: 0, delta, finish_reason }];
  const event = { id: 'chatcmpl-quill', object: 'chat.completion.chunk', created: 1_700_000_000, model, choices };
  return `data: ${JSON.stringify(event)}\n\n`;
}

function line({ model }, message, closing = { done: false }) {
  const said = { role: 'assistant', ...message };
  return `${JSON.stringify({ model, created_at: MOMENT, message: said, ...closing })}\n`;
}
