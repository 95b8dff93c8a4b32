// What a scripted server says that speaks Anthropic's Messages: blocks that open and close one after the other.
import { SPENT } from './questions.mjs';

export class AnthropicAnswer {
  static title = 'anthropic';
  static api = 'anthropic';
  static path = '/v1/messages';
  static type = 'text/event-stream';
  static spends = ['input', 'cached', 'output'];
  static takes = ['system', 'limit', 'temperature', 'stop', 'choice'];

  #blocks = 0;
  #open = null;

  constructor(asked) {
    this.asked = asked;
  }

  open() {
    const usage = { ...spent(), output_tokens: 1 };
    const message = { ...HEAD, model: this.asked.model, content: [], ...UNENDED, usage };
    return [event('message_start', { message }), event('ping')];
  }

  think(thinking, seal) {
    const signed = seal ? [this.#delta({ type: 'signature_delta', signature: seal })] : [];
    return [...this.#within('thinking'), this.#delta({ type: 'thinking_delta', thinking }), ...signed];
  }

  redact(data) {
    return [...this.#start({ type: 'redacted_thinking', data }), ...this.#stop()];
  }

  say(text) {
    return [...this.#within('text'), this.#delta({ type: 'text_delta', text })];
  }

  decline(text) {
    return this.say(text);
  }

  call(calls) {
    return calls.flatMap(({ id, name, arguments: given }) => {
      const json = Object.keys(given).length > 0 ? JSON.stringify(given) : '';
      const pieces = json ? ['', json.slice(0, 5), json.slice(5)] : [];
      const deltas = pieces.map((partial_json) => ({ type: 'input_json_delta', partial_json }));
      return [...this.#start({ type: 'tool_use', id, name, input: {} }), ...deltas.map((delta) => this.#delta(delta))];
    });
  }

  finish(why) {
    const delta = { stop_reason: reason(why), stop_sequence: null };
    return [...this.#stop(), event('message_delta', { delta, usage: spent() }), event('message_stop')];
  }

  fail(message) {
    return [event('error', AnthropicAnswer.refusal(message, 500))];
  }

  static whole({ model }, { thought, seal, redacted, text, declined, calls }, why) {
    const content = [
      ...(thought ? [{ type: 'thinking', thinking: thought, signature: seal ?? '' }] : []),
      ...redacted.map((data) => ({ type: 'redacted_thinking', data })),
      ...(text + declined ? [{ type: 'text', text: text + declined }] : []),
      ...calls.map(({ id, name, arguments: input }) => ({ type: 'tool_use', id, name, input })),
    ];
    return { ...HEAD, model, content, stop_reason: reason(why), stop_sequence: null, usage: spent() };
  }

  static refusal(message, status) {
    return { type: 'error', error: { type: KINDS[status], message }, request_id: 'req_quill' };
  }

  /** The block of this kind that is open, or a new one. */
  #within(type) {
    if (this.#open === type) return [];
    return this.#start(type === 'text' ? { type, text: '' } : { type, thinking: '', signature: '' });
  }

  #start(content_block) {
    const closed = this.#stop();
    this.#open = content_block.type;
    return [...closed, event('content_block_start', { index: this.#blocks, content_block })];
  }

  #stop() {
    if (this.#open === null) return [];
    this.#open = null;
    return [event('content_block_stop', { index: this.#blocks++ })];
  }

  #delta(delta) {
    return event('content_block_delta', { index: this.#blocks, delta });
  }
}

const HEAD = { id: 'msg_quill', type: 'message', role: 'assistant' };
const UNENDED = { stop_reason: null, stop_sequence: null };
const REASONS = { end: 'end_turn', tools: 'tool_use', length: 'max_tokens', filtered: 'refusal', declined: 'refusal' };
const KINDS = {
  400: 'invalid_request_error',
  401: 'authentication_error',
  404: 'not_found_error',
  429: 'rate_limit_error',
  500: 'api_error',
  529: 'overloaded_error',
};

function event(type, rest = {}) {
  return `event: ${type}\ndata: ${JSON.stringify({ type, ...rest })}\n\n`;
}

function reason(why) {
  return REASONS[why];
}

function spent() {
  return {
    input_tokens: SPENT.input - SPENT.cached - 1,
    cache_creation_input_tokens: 1,
    cache_read_input_tokens: SPENT.cached,
    output_tokens: SPENT.output,
  };
}
