// The clients: every SDK, in each of the ways in which it reads an answer.
import { AI_CLIENTS } from './ai_client.mjs';
import { ANTHROPIC_CLIENTS } from './anthropic_client.mjs';
import { CHAT_CLIENTS } from './chat_client.mjs';
import { OLLAMA_CLIENTS } from './ollama_client.mjs';
import { RESPONSES_CLIENTS } from './responses_client.mjs';

export const CLIENTS = [
  ...CHAT_CLIENTS,
  ...RESPONSES_CLIENTS,
  ...ANTHROPIC_CLIENTS,
  ...OLLAMA_CLIENTS,
  ...AI_CLIENTS,
];
