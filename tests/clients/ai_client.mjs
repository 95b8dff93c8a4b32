// The AI SDK as a client, with each of its providers, streamed and whole.
import { createAnthropic } from '@ai-sdk/anthropic';
import { createOpenAI } from '@ai-sdk/openai';
import { createOpenAICompatible } from '@ai-sdk/openai-compatible';
import { APICallError, generateText, jsonSchema, Output, streamText, tool } from 'ai';

import { anthropic, chat, responses } from './dialects.mjs';
import { RECIPE } from './questions.mjs';

globalThis.AI_SDK_LOG_WARNINGS = false;

/** Of each provider: its model behind a gateway, and its options. */
const PROVIDERS = [
  {
    name: '@ai-sdk/openai chat',
    dialect: chat,
    reasons: false, // it has no eye for `reasoning_content`
    modelOf: (url, model, options) => createOpenAI({ ...options, baseURL: `${url}/v1` }).chat(model),
    optionsFor: ({ thinks }) => ({ openai: thinks ? { forceReasoning: true, reasoningEffort: 'high' } : {} }),
  },
  {
    name: '@ai-sdk/openai responses',
    dialect: responses,
    reasons: true,
    modelOf: (url, model, options) => createOpenAI({ ...options, baseURL: `${url}/v1` }).responses(model),
    optionsFor: ({ thinks }) => ({
      openai: {
        store: false,
        ...(thinks && { forceReasoning: true, reasoningEffort: 'high', reasoningSummary: 'auto' }),
      },
    }),
  },
  {
    name: '@ai-sdk/openai-compatible',
    dialect: chat,
    reasons: true,
    modelOf: (url, model, options) => {
      const settings = { name: 'gateway', includeUsage: true, supportsStructuredOutputs: true };
      return createOpenAICompatible({ ...options, ...settings, baseURL: `${url}/v1` })(model);
    },
    optionsFor: ({ thinks }) => ({ gateway: thinks ? { reasoningEffort: 'high' } : {} }),
  },
  {
    name: '@ai-sdk/anthropic',
    dialect: anthropic,
    reasons: true,
    modelOf: (url, model, options) => createAnthropic({ ...options, baseURL: `${url}/v1` })(model),
    optionsFor: ({ thinks }) => ({
      anthropic: {
        structuredOutputMode: 'outputFormat',
        ...(thinks && { thinking: { type: 'enabled', budgetTokens: 2048 } }),
      },
    }),
  },
];

export const AI_CLIENTS = PROVIDERS.flatMap((provider) => {
  const { name, dialect, reasons } = provider;
  const sdk = { provider, dialect, asks: dialect.takes, spends: dialect.spends, reasons, isRefusal, isFailure };
  return [
    { ...sdk, title: name, streams: true, ask: (...asked) => askStream(provider, ...asked) },
    { ...sdk, title: `${name}, whole`, streams: false, ask: (...asked) => askWhole(provider, ...asked) },
  ];
});

/** What `streamText` and `generateText` take to ask this question. */
export function settings({ modelOf, optionsFor }, url, question, { signal, maxRetries = 0, fetch }) {
  const { model, system, turns, tools, choice, limit, temperature, stop, schema } = question;
  return {
    model: modelOf(url, model, { apiKey: 'unused', fetch }),
    system,
    messages: turns.map(message),
    tools: tools && Object.fromEntries(tools.map(toolOf)),
    toolChoice: choice,
    maxOutputTokens: limit,
    temperature,
    stopSequences: stop,
    output: schema && Output.object({ schema: RECIPE, name: 'recipe' }),
    providerOptions: optionsFor(question),
    abortSignal: signal,
    maxRetries,
  };
}

function isRefusal(error, status) {
  return APICallError.isInstance(error) && error.statusCode === status;
}

function isFailure(error) {
  return !/terminated|fetch failed|socket/.test(String(error.message));
}

async function* askStream(provider, url, question, options) {
  const stream = streamText({ ...settings(provider, url, question, options), onError() {} });
  for await (const part of stream.fullStream) {
    if (part.type === 'error') throw part.error;
    if (part.type === 'text-delta') yield { text: part.text };
    if (part.type === 'reasoning-delta') yield { thought: part.text };
    if (part.type === 'tool-call') yield call(part);
    if (part.type === 'finish') yield { ended: ended(part.finishReason), spent: spent(part.totalUsage) };
  }
  if (question.schema) yield { parsed: await stream.output };
}

async function* askWhole(provider, url, question, options) {
  const answer = await generateText(settings(provider, url, question, options));
  yield { text: answer.text, thought: answer.reasoningText };
  yield* answer.toolCalls.map(call);
  yield { ended: ended(answer.finishReason), spent: spent(answer.totalUsage) };
  if (question.schema) yield { parsed: answer.output };
}

function call({ toolCallId, toolName, input }) {
  return { call: { id: toolCallId, name: toolName, arguments: input } };
}

function ended(reason) {
  const reasons = { stop: 'end', 'tool-calls': 'tools', length: 'length', 'content-filter': 'filtered' };
  return reasons[reason];
}

function spent({ inputTokens, inputTokenDetails, outputTokens, outputTokenDetails }) {
  return {
    input: inputTokens,
    output: outputTokens,
    cached: inputTokenDetails.cacheReadTokens ?? 0,
    reasoned: outputTokenDetails.reasoningTokens ?? 0,
  };
}

function toolOf({ name, description, parameters }) {
  return [name, tool({ description, inputSchema: jsonSchema(parameters) })];
}

function message({ role, text, images = [], calls = [], results }) {
  if (results) {
    const content = results.map(({ id, name, value }) => ({
      type: 'tool-result',
      toolCallId: id,
      toolName: name,
      output: { type: 'text', value },
    }));
    return { role, content };
  }
  const pictures = images.map((image) => ({ type: 'image', image, mediaType: 'image/png' }));
  const called = calls.map(({ id, name, arguments: input }) => ({
    type: 'tool-call',
    toolCallId: id,
    toolName: name,
    input,
  }));
  return { role, content: [{ type: 'text', text }, ...pictures, ...called] };
}
