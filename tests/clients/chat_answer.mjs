// What a scripted server says that speaks OpenAI's chat completions.
import { SPENT } from './questions.mjs';

export class ChatAnswer {
  static title = 'openai chat';
  static api = 'openai';
  static path = '/v1/chat/completions';
  static type = 'text/event-stream';
  static spends = ['input', 'cached', 'output', 'reasoned'];
  static takes = ['system', 'limit', 'temperature', 'stop', 'choice'];

  constructor(asked) {
    this.asked = asked;
    this.calls = 0;
  }

  open() {
    return [this.#chunk({ role: 'assistant', content: '' })];
  }

  think(text) {
    return [this.#chunk({ reasoning_content: text })];
  }

  say(text) {
    return [this.#chunk({ content: text })];
  }

  decline(text) {
    return [this.#chunk({ refusal: text })];
  }

  call(calls) {
    return this.#fragments(calls).flat();
  }

  /** The calls at once, a fragment of one after a fragment of the other. */
  interleave(calls) {
    const rows = this.#fragments(calls);
    const longest = Math.max(...rows.map((row) => row.length));
    return Array.from({ length: longest }, (_, at) => rows.flatMap((row) => row.slice(at, at + 1))).flat();
  }

  finish(why) {
    const usage = this.asked.stream_options?.include_usage ? [this.#event({ choices: [], usage: spent() })] : [];
    return [this.#chunk({}, reason(why)), ...usage, 'data: [DONE]\n\n'];
  }

  fail(message) {
    return [event(ChatAnswer.refusal(message, 500))];
  }

  static whole({ model }, { thought, text, declined, calls }, why) {
    const message = {
      role: 'assistant',
      content: text || null,
      refusal: declined || null,
      ...(thought && { reasoning_content: thought }),
      ...(calls.length > 0 && { tool_calls: calls.map((call) => toolCall(call, JSON.stringify(call.arguments))) }),
    };
    const choices = [{ index: 0, message, finish_reason: reason(why) }];
    return { ...HEAD, object: 'chat.completion', model, choices, usage: spent() };
  }

  static refusal(message, status) {
    const type = status === 429 ? 'tokens' : status < 500 ? 'invalid_request_error' : 'server_error';
    return { error: { message, type, param: null, code: null } };
  }

  static embeddings(asked, vectors) {
    const coded = (vector) => Buffer.from(Float32Array.from(vector).buffer).toString('base64');
    const embedding = (vector) => (asked.encoding_format === 'base64' ? coded(vector) : vector);
    const data = vectors.map((vector, index) => ({ object: 'embedding', index, embedding: embedding(vector) }));
    return { object: 'list', model: asked.model, data, usage: { prompt_tokens: 4, total_tokens: 4 } };
  }

  /** The fragments of each call: its head, and its arguments in three pieces. */
  #fragments(calls) {
    return calls.map((call) => {
      const index = this.calls++;
      const given = JSON.stringify(call.arguments);
      const pieces = [given.slice(0, 4), given.slice(4, 9), given.slice(9)].filter(Boolean);
      const fragments = pieces.map((piece) => ({ index, function: { arguments: piece } }));
      return [{ index, ...toolCall(call, '') }, ...fragments].map((part) => this.#chunk({ tool_calls: [part] }));
    });
  }

  #chunk(delta, finish_reason = null) {
    return this.#event({ choices: [{ index: 0, delta, finish_reason }] });
  }

  #event(rest) {
    return event({ ...HEAD, object: 'chat.completion.chunk', model: this.asked.model, ...rest });
  }
}

const HEAD = { id: 'chatcmpl-quill', created: 1_700_000_000 };
const REASONS = { end: 'stop', declined: 'stop', tools: 'tool_calls', length: 'length', filtered: 'content_filter' };

function event(object) {
  return `data: ${JSON.stringify(object)}\n\n`;
}

function reason(why) {
  return REASONS[why];
}

function toolCall({ id, name }, given) {
  return { id, type: 'function', function: { name, arguments: given } };
}

function spent() {
  return {
    prompt_tokens: SPENT.input,
    completion_tokens: SPENT.output,
    total_tokens: SPENT.input + SPENT.output,
    prompt_tokens_details: { cached_tokens: SPENT.cached },
    completion_tokens_details: { reasoning_tokens: SPENT.reasoned },
  };
}
