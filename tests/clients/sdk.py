"""Sdk: the vendors' clients and those of LangChain, at the address of a gateway."""

import anthropic
import ollama
import openai
from langchain_anthropic import ChatAnthropic
from langchain_ollama import ChatOllama
from langchain_openai import ChatOpenAI

import environment  # noqa: F401  for its effect on every client that is made
from marks import GUARD
from questions import MODEL


def openai_client(url):
    return openai.OpenAI(base_url=f"{url}/v1", api_key="unused", max_retries=0, timeout=GUARD)


def anthropic_client(url):
    return anthropic.Anthropic(base_url=url, api_key="unused", max_retries=0, timeout=GUARD)


def ollama_client(url):
    return ollama.Client(url, timeout=GUARD)


def chat_openai(url, **options):
    limits = {"max_retries": 0, "timeout": GUARD, "http_socket_options": ()}
    return ChatOpenAI(base_url=f"{url}/v1", api_key="unused", model=MODEL, stream_usage=True, **limits, **options)


def chat_openai_responses(url, **options):
    return chat_openai(url, use_responses_api=True, output_version="responses/v1", **options)


def chat_anthropic(url, **options):
    limits = {"max_retries": 0, "timeout": GUARD, "max_tokens": 2048}
    return ChatAnthropic(base_url=url, api_key="unused", model=MODEL, **limits | options)


def chat_ollama(url, **options):
    return ChatOllama(base_url=url, model=MODEL, client_kwargs={"timeout": GUARD}, **options)
