// What a scripted server says that speaks OpenAI's Responses: items that are added, filled and done.
import { SPENT } from './questions.mjs';
import { CALL, REDACTED, REFUSAL, SUMMARY, TEXT, THOUGHT, place, written } from './responses_items.mjs';

export class ResponsesAnswer {
  static title = 'openai responses';
  static api = 'openai';
  static settings = 'responses = true';
  static path = '/v1/responses';
  static type = 'text/event-stream';
  static spends = ['input', 'cached', 'output', 'reasoned'];
  static takes = ['system', 'limit', 'temperature', 'choice'];

  #events = 0;
  #items = [];
  #open = null;

  constructor(asked) {
    this.asked = asked;
  }

  open() {
    const response = answer(this.asked, 'in_progress', []);
    return [this.#event('response.created', { response }), this.#event('response.in_progress', { response })];
  }

  think(text, seal) {
    return this.#within(SUMMARY, text, { seal });
  }

  /** Reasoning as models with open weights show it: itself, not a summary. */
  thinkAloud(text) {
    return this.#within(THOUGHT, text);
  }

  redact(seal) {
    return [...this.#close(), ...this.#add(REDACTED, { seal }), ...this.#close()];
  }

  say(text) {
    return this.#within(TEXT, text);
  }

  decline(text) {
    return this.#within(REFUSAL, text);
  }

  call(calls) {
    return calls.flatMap((call) => {
      const pieces = halves(JSON.stringify(call.arguments));
      const begun = [...this.#close(), ...this.#add(CALL, { call })];
      return [...begun, ...pieces.map((piece) => this.#fill(this.#open, piece)), ...this.#close()];
    });
  }

  /** The calls at once, a fragment of one after a fragment of the other. */
  interleave(calls) {
    const frames = this.#close();
    const open = calls.map((call) => {
      frames.push(...this.#add(CALL, { call }));
      return { item: this.#open, pieces: halves(JSON.stringify(call.arguments)) };
    });
    for (const at of [0, 1]) for (const { item, pieces } of open) frames.push(this.#fill(item, pieces[at] ?? ''));
    this.#open = null;
    return [...frames, ...open.flatMap(({ item }) => this.#done(item))];
  }

  finish(why) {
    const frames = this.#close();
    const status = statusOf(why);
    const response = answer(this.asked, status, this.#items.map((item) => written(item)), why);
    return [...frames, this.#event(`response.${status}`, { response })];
  }

  fail(message) {
    const error = { type: 'server_error', code: 'server_error', message, param: null };
    const response = { ...answer(this.asked, 'failed', []), error: { code: error.code, message } };
    return [this.#event('error', { ...error, type: 'error', error }), this.#event('response.failed', { response })];
  }

  static whole(asked, { thought, seal, redacted, text, declined, calls }, why) {
    const items = [
      ...(thought ? [{ kind: SUMMARY, text: thought, seal }] : []),
      ...redacted.map((data) => ({ kind: REDACTED, text: '', seal: data })),
      ...(text ? [{ kind: TEXT, text }] : []),
      ...(declined ? [{ kind: REFUSAL, text: declined }] : []),
      ...calls.map((call) => ({ kind: CALL, text: JSON.stringify(call.arguments), call })),
    ];
    return answer(asked, statusOf(why), items.map((item, index) => written({ ...item, index })), why);
  }

  static refusal(message, status) {
    const type = status === 429 ? 'tokens' : status < 500 ? 'invalid_request_error' : 'server_error';
    return { error: { message, type, param: null, code: null } };
  }

  /** Into the open item of this kind, or a new one. */
  #within(kind, text, rest) {
    const begun = this.#open?.kind === kind ? [] : [...this.#close(), ...this.#add(kind, rest)];
    return [...begun, this.#fill(this.#open, text)];
  }

  #add(kind, rest) {
    const item = { kind, index: this.#items.length, text: '', ...rest };
    this.#items.push(item);
    this.#open = item;
    const fresh = { ...written(item, true), status: 'in_progress' };
    const added = this.#event('response.output_item.added', { output_index: item.index, item: fresh });
    if (!kind.part) return [added];
    return [added, this.#event(`${kind.part}.added`, { ...place(item), part: kind.inside('') })];
  }

  #fill(item, delta) {
    item.text += delta;
    return this.#event(`${item.kind.text}.delta`, { ...place(item), delta });
  }

  #close() {
    if (this.#open === null) return [];
    const item = this.#open;
    this.#open = null;
    return this.#done(item);
  }

  #done(item) {
    const { kind, text } = item;
    const frames = [];
    if (kind.text) frames.push(this.#event(`${kind.text}.done`, { ...place(item), [kind.key]: text }));
    if (kind.part) frames.push(this.#event(`${kind.part}.done`, { ...place(item), part: kind.inside(text) }));
    frames.push(this.#event('response.output_item.done', { output_index: item.index, item: written(item) }));
    return frames;
  }

  #event(type, rest) {
    return `event: ${type}\ndata: ${JSON.stringify({ type, sequence_number: this.#events++, ...rest })}\n\n`;
  }
}

function halves(text) {
  return [text.slice(0, 4), text.slice(4)].filter(Boolean);
}

function statusOf(why) {
  return REASONS[why] ? 'incomplete' : 'completed';
}

const REASONS = { length: 'max_output_tokens', filtered: 'content_filter' };

function answer({ model, tools }, status, output, why) {
  const ended = status !== 'in_progress';
  return {
    id: 'resp_quill',
    object: 'response',
    created_at: 1_700_000_000,
    completed_at: ended ? 1_700_000_001 : null,
    status,
    error: null,
    incomplete_details: REASONS[why] ? { reason: REASONS[why] } : null,
    instructions: null,
    max_output_tokens: null,
    model,
    output,
    parallel_tool_calls: true,
    previous_response_id: null,
    reasoning: { effort: null, summary: null },
    store: false,
    temperature: 1,
    text: { format: { type: 'text' } },
    tool_choice: 'auto',
    tools: tools ?? [],
    top_p: 1,
    truncation: 'disabled',
    usage: ended ? spent() : null,
    metadata: {},
  };
}

function spent() {
  return {
    input_tokens: SPENT.input,
    input_tokens_details: { cached_tokens: SPENT.cached },
    output_tokens: SPENT.output,
    output_tokens_details: { reasoning_tokens: SPENT.reasoned },
    total_tokens: SPENT.input + SPENT.output,
  };
}
