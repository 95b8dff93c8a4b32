// ollama-js as a client of Ollama's chat: streamed and whole.
import { Ollama } from 'ollama';

import { ollama as dialect } from './dialects.mjs';
import { RECIPE, RECIPE_SCHEMA } from './questions.mjs';

const SDK = { dialect, asks: dialect.takes, spends: dialect.spends, reasons: true, isRefusal, isFailure };

export const OLLAMA_CLIENTS = [
  { ...SDK, title: 'ollama-js', streams: true, ask: askStream },
  { ...SDK, title: 'ollama-js, whole', streams: false, ask: askWhole },
];

export function ollama(url, { fetch = globalThis.fetch, signal } = {}) {
  const signals = (own) => AbortSignal.any([own, signal].filter(Boolean)); // it has no place for a signal of the caller
  return new Ollama({ host: url, fetch: (to, request) => fetch(to, { ...request, signal: signals(request.signal) }) });
}

function isRefusal(error, status) {
  return error.status_code === status;
}

function isFailure(error) {
  return !/Did not receive done|terminated/.test(error.message);
}

async function* askStream(url, question, options) {
  let text = '';
  const stream = await ollama(url, options).chat({ ...params(question), stream: true });
  for await (const part of stream) {
    text += part.message.content;
    yield* pieces(part);
  }
  if (question.schema) yield { parsed: RECIPE.parse(JSON.parse(text)) };
}

async function* askWhole(url, question, options) {
  const answer = await ollama(url, options).chat({ ...params(question), stream: false });
  yield* pieces(answer);
  if (question.schema) yield { parsed: RECIPE.parse(JSON.parse(answer.message.content)) };
}

function* pieces({ message, done, done_reason, prompt_eval_count, eval_count }) {
  yield { text: message.content, thought: message.thinking };
  for (const { function: called } of message.tool_calls ?? []) yield { call: called };
  if (!done) return;
  yield { ended: done_reason === 'stop' ? 'end' : done_reason };
  yield { spent: { input: prompt_eval_count, output: eval_count } };
}

function params({ model, system, turns, tools, limit, temperature, stop, schema, thinks }) {
  return {
    model,
    messages: [...(system ? [{ role: 'system', content: system }] : []), ...turns.flatMap(messages)],
    tools: tools?.map((tool) => ({ type: 'function', function: tool })),
    options: { num_predict: limit, temperature, stop },
    format: schema && RECIPE_SCHEMA,
    think: thinks && 'high',
  };
}

function messages({ role, text, images, calls, results }) {
  if (results) return results.map(({ name, value }) => ({ role, tool_name: name, content: value }));
  const tool_calls = calls?.map(({ name, arguments: given }) => ({ function: { name, arguments: given } }));
  return [{ role, content: text, images, tool_calls }];
}
