// openai-node as a client of Responses: streamed, with its stream helper, and whole.
import { zodTextFormat } from 'openai/helpers/zod';

import { isFailure, isRefusal, openai } from './chat_client.mjs';
import { responses } from './dialects.mjs';
import { RECIPE } from './questions.mjs';

const { takes: asks, spends } = responses;
const SDK = { dialect: responses, asks, spends, reasons: true, isRefusal, isFailure };

export const RESPONSES_CLIENTS = [
  { ...SDK, title: 'openai-node responses', streams: true, ask: askStream },
  { ...SDK, title: 'openai-node responses.stream()', streams: true, ask: askHelper },
  { ...SDK, title: 'openai-node responses, whole', streams: false, ask: askWhole },
];

async function* askStream(url, question, { signal, ...options }) {
  let text = '';
  for await (const event of await openai(url, options).responses.create(params(question, true), { signal })) {
    const said = pieces(event);
    text += said.text ?? '';
    yield said;
    if (event.type === 'response.output_item.done' && event.item.type === 'function_call') yield call(event.item);
    if (/^response\.(completed|incomplete)$/.test(event.type)) yield* last(event.response);
  }
  if (question.schema) yield { parsed: RECIPE.parse(JSON.parse(text)) };
}

async function* askHelper(url, question, { signal, ...options }) {
  const stream = openai(url, options).responses.stream(params(question, true), { signal });
  for await (const event of stream) yield pieces(event);
  const answer = await stream.finalResponse();
  yield* answer.output.filter((item) => item.type === 'function_call').map(call);
  yield* last(answer);
}

async function* askWhole(url, question, { signal, ...options }) {
  const sdk = openai(url, options).responses;
  const answer = await (question.schema ? sdk.parse : sdk.create).call(sdk, params(question), { signal });
  for (const item of answer.output) {
    if (item.type === 'function_call') yield call(item);
    if (item.type === 'reasoning') {
      for (const part of [...item.summary, ...(item.content ?? [])]) yield { thought: part.text };
    }
    if (item.type === 'message') for (const part of item.content) yield { text: part.text ?? part.refusal };
  }
  yield* last(answer);
}

function pieces({ type, delta }) {
  if (type === 'response.output_text.delta' || type === 'response.refusal.delta') return { text: delta };
  if (type === 'response.reasoning_summary_text.delta') return { thought: delta };
  if (type === 'response.reasoning_text.delta') return { thought: delta };
  return {};
}

function call({ call_id, name, arguments: given }) {
  return { call: { id: call_id, name, arguments: JSON.parse(given) } };
}

function* last({ status, incomplete_details, output, usage, output_parsed }) {
  const parts = output.flatMap((item) => (item.type === 'message' ? item.content : [item]));
  const has = (type) => parts.some((part) => part.type === type);
  const reasons = { max_output_tokens: 'length', content_filter: 'filtered' };
  const completed = has('function_call') ? 'tools' : has('refusal') ? 'filtered' : 'end';
  yield { ended: status === 'completed' ? completed : reasons[incomplete_details?.reason] };
  yield { spent: usage && spent(usage), parsed: output_parsed ?? undefined };
}

function spent({ input_tokens, input_tokens_details, output_tokens, output_tokens_details }) {
  return {
    input: input_tokens,
    output: output_tokens,
    cached: input_tokens_details.cached_tokens,
    reasoned: output_tokens_details.reasoning_tokens,
  };
}

function params(question, stream = false) {
  const { model, system, turns, tools, choice, limit, temperature, schema, thinks } = question;
  return {
    model,
    store: false,
    instructions: system,
    input: turns.flatMap(items),
    tools: tools?.map((tool) => ({ type: 'function', strict: false, ...tool })),
    tool_choice: choice,
    max_output_tokens: limit,
    temperature,
    text: schema && { format: zodTextFormat(RECIPE, 'recipe') },
    reasoning: thinks && { effort: 'high', summary: 'auto' },
    ...(stream && { stream }),
  };
}

function items({ role, text, images, calls = [], results }) {
  if (results) return results.map(({ id, value }) => ({ type: 'function_call_output', call_id: id, output: value }));
  const pictures = images?.map((png) => ({ type: 'input_image', image_url: `data:image/png;base64,${png}` }));
  const content = pictures ? [{ type: 'input_text', text }, ...pictures] : text;
  return [
    { role, content },
    ...calls.map(({ id, name, arguments: given }) => ({
      type: 'function_call',
      call_id: id,
      name,
      arguments: JSON.stringify(given),
    })),
  ];
}
