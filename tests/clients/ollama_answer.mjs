// What a scripted Ollama server says: one JSON object a line.
import { SPENT } from './questions.mjs';

export class OllamaAnswer {
  static title = 'ollama';
  static api = 'ollama';
  static path = '/api/chat';
  static type = 'application/x-ndjson';
  static streamsByDefault = true;
  /** What this dialect has words for: of what is spent, and of what is asked. */
  static spends = ['input', 'output'];
  static takes = ['system', 'limit', 'temperature', 'stop'];

  constructor(asked) {
    this.asked = asked;
  }

  open() {
    return [];
  }

  think(thinking) {
    return [line(this.asked, { content: '', thinking })];
  }

  say(content) {
    return [line(this.asked, { content })];
  }

  decline(text) {
    return this.say(text);
  }

  call(calls) {
    return calls.map((call) => line(this.asked, { content: '', tool_calls: [toolCall(call)] }));
  }

  finish(why) {
    return [line(this.asked, { content: '' }, closing(why))];
  }

  fail(message) {
    return [`${JSON.stringify(OllamaAnswer.refusal(message))}\n`];
  }

  static whole(asked, { thought, text, calls }, why) {
    const message = {
      content: text,
      ...(thought && { thinking: thought }),
      ...(calls.length > 0 && { tool_calls: calls.map(toolCall) }),
    };
    return JSON.parse(line(asked, message, closing(why)));
  }

  static refusal(message) {
    return { error: message };
  }

  static embeddings(asked, vectors) {
    return { model: asked.model, embeddings: vectors, prompt_eval_count: SPENT.input };
  }
}

function line({ model }, message, rest = { done: false }) {
  const said = { role: 'assistant', ...message };
  return `${JSON.stringify({ model, created_at: '2026-03-01T12:00:00.5Z', message: said, ...rest })}\n`;
}

function toolCall({ id, name, arguments: given }) {
  return { id, function: { name, arguments: given } };
}

function closing(why) {
  const done_reason = why === 'length' ? 'length' : 'stop';
  return { done: true, done_reason, prompt_eval_count: SPENT.input, eval_count: SPENT.output };
}
