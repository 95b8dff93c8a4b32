// What a backend was asked, from its own dialect back into the words of the tests (questions.mjs).
import { anthropic, chat, ollama, responses } from './dialects.mjs';

/** The request as a question: without what it did not say. */
export function read(dialect, asked) {
  const question = READERS.get(dialect)(asked);
  return Object.fromEntries(Object.entries({ model: asked.model, ...question }).filter(([, value]) => value != null));
}

const READERS = new Map([
  [chat, readChat],
  [responses, readResponses],
  [anthropic, readAnthropic],
  [ollama, readOllama],
]);

function readChat(asked) {
  const history = new History();
  for (const { role, content, tool_calls, tool_call_id } of asked.messages) {
    if (role === 'system' || role === 'developer') history.system(textOf(content));
    else if (role === 'tool') history.result(tool_call_id, textOf(content));
    else history.say(role, textOf(content), imagesOf(content, (part) => part.image_url?.url));
    for (const { id, function: called } of tool_calls ?? []) history.call(id, called.name, called.arguments);
  }
  return {
    ...history.read(),
    tools: asked.tools?.map(({ function: tool }) => toolOf(tool, tool.parameters)),
    choice: asked.tool_choice,
    limit: asked.max_completion_tokens ?? asked.max_tokens,
    temperature: asked.temperature,
    stop: asked.stop,
    schema: asked.response_format?.json_schema?.schema,
    thinks: asked.reasoning_effort && asked.reasoning_effort !== 'none',
  };
}

function readResponses(asked) {
  const history = new History();
  if (asked.instructions) history.system(asked.instructions);
  const input = typeof asked.input === 'string' ? [{ role: 'user', content: asked.input }] : asked.input;
  for (const item of input) {
    const { role, content } = item;
    if (item.type === 'function_call') history.call(item.call_id, item.name, item.arguments);
    else if (item.type === 'function_call_output') history.result(item.call_id, textOf(item.output));
    else if (item.type === 'reasoning') continue;
    else if (role === 'system' || role === 'developer') history.system(textOf(content));
    else history.say(role, textOf(content), imagesOf(content, (part) => part.image_url));
  }
  return {
    ...history.read(),
    tools: asked.tools?.map((tool) => toolOf(tool, tool.parameters)),
    choice: asked.tool_choice,
    limit: asked.max_output_tokens,
    temperature: asked.temperature,
    schema: asked.text?.format?.schema,
    thinks: asked.reasoning?.effort && asked.reasoning.effort !== 'none',
  };
}

function readAnthropic(asked) {
  const history = new History();
  if (asked.system) history.system(textOf(asked.system));
  for (const { role, content } of asked.messages) {
    const blocks = typeof content === 'string' ? [{ type: 'text', text: content }] : content;
    for (const block of blocks) {
      if (block.type === 'tool_result') history.result(block.tool_use_id, textOf(block.content));
    }
    const said = blocks.filter((block) => block.type === 'text' || block.type === 'image');
    if (said.length > 0) history.say(role, textOf(said), imagesOf(said, (block) => block.source?.data));
    for (const block of blocks) {
      if (block.type === 'tool_use') history.call(block.id, block.name, JSON.stringify(block.input));
    }
  }
  const choices = { any: 'required' };
  return {
    ...history.read(),
    tools: asked.tools?.map((tool) => toolOf(tool, tool.input_schema)),
    choice: choices[asked.tool_choice?.type] ?? asked.tool_choice?.type,
    limit: asked.max_tokens,
    temperature: asked.temperature,
    stop: asked.stop_sequences,
    schema: asked.output_config?.format?.schema,
    thinks: (asked.thinking && asked.thinking.type !== 'disabled') || asked.output_config?.effort,
  };
}

function readOllama(asked) {
  const history = new History();
  for (const { role, content, images, tool_calls, tool_name } of asked.messages) {
    if (role === 'system') history.system(content);
    else if (role === 'tool') history.result(tool_name, content);
    else history.say(role, content, images ?? []);
    for (const { function: called } of tool_calls ?? []) {
      history.call(called.name, called.name, JSON.stringify(called.arguments));
    }
  }
  return {
    ...history.read(),
    tools: asked.tools?.map(({ function: tool }) => toolOf(tool, tool.parameters)),
    limit: asked.options?.num_predict,
    temperature: asked.options?.temperature,
    stop: asked.options?.stop,
    schema: asked.format,
    thinks: asked.think,
  };
}

/** A history as turns, whatever messages it is cut into: results stand together, and so do a text and its calls. */
class History {
  #system = [];
  #turns = [];
  #names = new Map();

  system(text) {
    this.#system.push(text);
  }

  say(role, text, images) {
    this.#turns.push({ role, text, ...(images.length > 0 && { images }) });
  }

  call(id, name, given) {
    this.#names.set(id, name);
    if (this.#turns.at(-1)?.role !== 'assistant') this.say('assistant', '', []);
    const turn = this.#turns.at(-1);
    turn.calls = [...(turn.calls ?? []), { name, arguments: JSON.parse(given) }];
  }

  result(id, value) {
    if (this.#turns.at(-1)?.role !== 'tool') this.#turns.push({ role: 'tool', results: [] });
    this.#turns.at(-1).results.push({ name: this.#names.get(id), value });
  }

  read() {
    return { system: this.#system.join('\n') || undefined, turns: this.#turns };
  }
}

function textOf(content) {
  if (content == null || typeof content === 'string') return content ?? '';
  return content.map((part) => part.text ?? part.refusal ?? '').join('');
}

function imagesOf(content, urlOf) {
  if (content == null || typeof content === 'string') return [];
  return content.map(urlOf).filter(Boolean).map((url) => url.replace('data:image/png;base64,', ''));
}

function toolOf({ name, description }, parameters) {
  return { name, description, parameters };
}
