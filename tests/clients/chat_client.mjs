// openai-node as a client of chat completions: streamed, with its stream helper, and whole.
import OpenAI from 'openai';
import { zodResponseFormat } from 'openai/helpers/zod';

import { chat } from './dialects.mjs';
import { RECIPE } from './questions.mjs';

const SDK = { dialect: chat, asks: chat.takes, spends: chat.spends, reasons: true, isRefusal, isFailure };

export const CHAT_CLIENTS = [
  { ...SDK, title: 'openai-node chat', streams: true, ask: askStream },
  { ...SDK, title: 'openai-node chat.stream()', streams: true, ask: askHelper },
  { ...SDK, title: 'openai-node chat, whole', streams: false, ask: askWhole },
];

export function openai(url, options) {
  return new OpenAI({ baseURL: `${url}/v1`, apiKey: 'unused', maxRetries: 0, ...options });
}

/** Was the request refused with this status? */
export function isRefusal(error, status) {
  const kinds = {
    400: OpenAI.BadRequestError,
    401: OpenAI.AuthenticationError,
    404: OpenAI.NotFoundError,
    429: OpenAI.RateLimitError,
    500: OpenAI.InternalServerError,
    503: OpenAI.InternalServerError,
  };
  return error instanceof kinds[status] && error.status === status;
}

/** Was the SDK told that the answer failed, rather than left with a broken connection? */
export function isFailure(error) {
  return error instanceof OpenAI.APIError && !(error instanceof OpenAI.APIConnectionError);
}

async function* askStream(url, question, { signal, ...options }) {
  const [calls, seen] = [[], {}];
  for await (const chunk of await openai(url, options).chat.completions.create(params(question, true), { signal })) {
    if (chunk.usage) yield { spent: spent(chunk.usage) };
    const [choice] = chunk.choices;
    if (!choice) continue;
    yield pieces(choice.delta, seen);
    for (const { index, id, function: called } of choice.delta.tool_calls ?? []) {
      calls[index] ??= { id, name: called.name, arguments: '' };
      calls[index].arguments += called.arguments ?? '';
    }
    if (choice.finish_reason) yield { ended: ended(choice.finish_reason, seen) };
  }
  for (const call of calls) yield { call: { ...call, arguments: JSON.parse(call.arguments) } };
  if (question.schema) yield { parsed: RECIPE.parse(JSON.parse(seen.text)) };
}

async function* askHelper(url, question, { signal, ...options }) {
  const stream = openai(url, options).chat.completions.stream(params(question, true), { signal });
  const seen = {};
  for await (const chunk of stream) for (const { delta } of chunk.choices) yield pieces(delta, seen);
  yield* last(await stream.finalChatCompletion());
}

async function* askWhole(url, question, { signal, ...options }) {
  const { completions } = openai(url, options).chat;
  const ask = question.schema ? completions.parse : completions.create;
  const answer = await ask.call(completions, params(question), { signal });
  yield pieces(answer.choices[0].message, {});
  yield* last(answer);
}

function pieces({ content, refusal, reasoning_content }, seen) {
  const text = (content ?? '') + (refusal ?? '');
  seen.text = (seen.text ?? '') + text;
  seen.refusal ||= Boolean(refusal);
  return { text, thought: reasoning_content ?? '' };
}

function* last({ choices: [{ message, finish_reason }], usage }) {
  for (const { id, function: called } of message.tool_calls ?? []) {
    yield { call: { id, name: called.name, arguments: JSON.parse(called.arguments) } };
  }
  yield { ended: ended(finish_reason, message), spent: usage && spent(usage), parsed: message.parsed ?? undefined };
}

function ended(reason, { refusal }) {
  const reasons = { tool_calls: 'tools', length: 'length', content_filter: 'filtered', stop: 'end' };
  return refusal ? 'filtered' : reasons[reason];
}

function spent({ prompt_tokens, completion_tokens, prompt_tokens_details, completion_tokens_details }) {
  return {
    input: prompt_tokens,
    output: completion_tokens,
    cached: prompt_tokens_details?.cached_tokens ?? 0,
    reasoned: completion_tokens_details?.reasoning_tokens ?? 0,
  };
}

function params(question, stream = false) {
  const { model, system, turns, tools, choice, limit, temperature, stop, schema, thinks } = question;
  return {
    model,
    messages: [...(system ? [{ role: 'system', content: system }] : []), ...turns.flatMap(messages)],
    tools: tools?.map((tool) => ({ type: 'function', function: tool })),
    tool_choice: choice,
    max_completion_tokens: limit,
    temperature,
    stop,
    response_format: schema && zodResponseFormat(RECIPE, 'recipe'),
    reasoning_effort: thinks && 'high',
    ...(stream && { stream, stream_options: { include_usage: true } }),
  };
}

function messages({ role, text, images, calls, results }) {
  if (results) return results.map(({ id, value }) => ({ role, tool_call_id: id, content: value }));
  const pictures = images?.map((png) => ({ type: 'image_url', image_url: { url: `data:image/png;base64,${png}` } }));
  return [
    {
      role,
      content: pictures ? [{ type: 'text', text }, ...pictures] : text,
      tool_calls: calls?.map((call) => ({
        id: call.id,
        type: 'function',
        function: { name: call.name, arguments: JSON.stringify(call.arguments) },
      })),
    },
  ];
}
