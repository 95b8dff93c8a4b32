// Anthropic's SDK as a client of Messages: streamed, with its stream helper, and whole.
import Anthropic from '@anthropic-ai/sdk';
import { zodOutputFormat } from '@anthropic-ai/sdk/helpers/zod';

import { anthropic as dialect } from './dialects.mjs';
import { RECIPE } from './questions.mjs';

const SDK = { dialect, asks: dialect.takes, spends: dialect.spends, reasons: true, isRefusal, isFailure };

export const ANTHROPIC_CLIENTS = [
  { ...SDK, title: 'anthropic-node', streams: true, ask: askStream },
  { ...SDK, title: 'anthropic-node stream()', streams: true, ask: askHelper },
  { ...SDK, title: 'anthropic-node, whole', streams: false, ask: askWhole },
];

export function anthropic(url, options) {
  return new Anthropic({ baseURL: url, apiKey: 'unused', maxRetries: 0, ...options });
}

function isRefusal(error, status) {
  const kinds = {
    400: [Anthropic.BadRequestError, 'invalid_request_error'],
    401: [Anthropic.AuthenticationError, 'authentication_error'],
    404: [Anthropic.NotFoundError, 'not_found_error'],
    429: [Anthropic.RateLimitError, 'rate_limit_error'],
    500: [Anthropic.InternalServerError, 'api_error'],
    529: [Anthropic.OverloadedError, 'overloaded_error'],
  };
  const [kind, type] = kinds[status];
  return error instanceof kind && error.status === status && error.type === type;
}

function isFailure(error) {
  return error instanceof Anthropic.APIError && !(error instanceof Anthropic.APIConnectionError);
}

async function* askStream(url, question, { signal, ...options }) {
  const [calls, usage, text] = [new Map(), {}, []];
  for await (const event of await anthropic(url, options).messages.create(params(question, true), { signal })) {
    yield pieces(event, text);
    const { type, index, content_block, delta } = event;
    if (content_block?.type === 'tool_use') calls.set(index, { ...content_block, json: '' });
    if (delta?.type === 'input_json_delta') calls.get(index).json += delta.partial_json;
    if (type === 'content_block_stop' && calls.has(index)) yield call(calls.get(index));
    if (type === 'message_start') Object.assign(usage, event.message.usage);
    if (type === 'message_delta') {
      for (const [name, count] of Object.entries(event.usage)) if (count != null) usage[name] = count;
      yield { ended: ended(delta.stop_reason), spent: spent(usage) };
    }
  }
  if (question.schema) yield { parsed: RECIPE.parse(JSON.parse(text.join(''))) };
}

async function* askHelper(url, question, { signal, ...options }) {
  const stream = anthropic(url, options).messages.stream(params(question), { signal });
  for await (const event of stream) yield pieces(event, []);
  yield* last(await stream.finalMessage());
}

async function* askWhole(url, question, { signal, ...options }) {
  const sdk = anthropic(url, options).messages;
  const answer = await (question.schema ? sdk.parse : sdk.create).call(sdk, params(question), { signal });
  for (const { text, thinking } of answer.content) yield { text, thought: thinking };
  yield* last(answer);
}

function pieces({ type, delta }, texts) {
  if (type !== 'content_block_delta') return {};
  if (delta.type === 'text_delta') texts.push(delta.text);
  return { text: delta.text, thought: delta.thinking };
}

function call({ id, name, input, json }) {
  return { call: { id, name, arguments: json ? JSON.parse(json) : input } };
}

function* last({ content, stop_reason, usage, parsed_output }) {
  yield* content.filter((block) => block.type === 'tool_use').map(call);
  yield { ended: ended(stop_reason), spent: spent(usage), parsed: parsed_output ?? undefined };
}

function ended(reason) {
  const reasons = { end_turn: 'end', tool_use: 'tools', max_tokens: 'length', refusal: 'filtered' };
  return reasons[reason];
}

function spent({ input_tokens, cache_read_input_tokens, cache_creation_input_tokens, output_tokens }) {
  const cached = cache_read_input_tokens ?? 0;
  return { input: input_tokens + cached + (cache_creation_input_tokens ?? 0), cached, output: output_tokens };
}

function params(question, stream = false) {
  const { model, system, turns, tools, choice, limit, temperature, stop, schema, thinks } = question;
  return {
    model,
    system,
    max_tokens: limit ?? 4096,
    messages: messages(turns),
    tools: tools?.map(({ parameters, ...tool }) => ({ ...tool, input_schema: parameters })),
    tool_choice: choice === 'required' ? { type: 'any' } : undefined,
    temperature,
    stop_sequences: stop,
    output_config: schema && { format: zodOutputFormat(RECIPE) },
    thinking: thinks && { type: 'enabled', budget_tokens: 2048 },
    ...(stream && { stream }),
  };
}

/** Results stand in a message of the user, in front of what the user says next. */
function messages(turns) {
  const written = [];
  for (const { role, text, images = [], calls = [], results = [] } of turns) {
    const content = [
      ...results.map(({ id, value }) => ({ type: 'tool_result', tool_use_id: id, content: value })),
      ...(text ? [{ type: 'text', text }] : []),
      ...images.map((data) => ({ type: 'image', source: { type: 'base64', media_type: 'image/png', data } })),
      ...calls.map(({ id, name, arguments: input }) => ({ type: 'tool_use', id, name, input })),
    ];
    const speaker = role === 'tool' ? 'user' : role;
    if (written.at(-1)?.role === speaker) written.at(-1).content.push(...content);
    else written.push({ role: speaker, content });
  }
  return written;
}
