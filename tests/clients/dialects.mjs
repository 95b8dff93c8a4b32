// The dialects that a backend may speak.
import { AnthropicAnswer } from './anthropic_answer.mjs';
import { ChatAnswer } from './chat_answer.mjs';
import { OllamaAnswer } from './ollama_answer.mjs';
import { ResponsesAnswer } from './responses_answer.mjs';

export const [chat, responses, anthropic, ollama] = [ChatAnswer, ResponsesAnswer, AnthropicAnswer, OllamaAnswer];
export const DIALECTS = [chat, responses, anthropic, ollama];
