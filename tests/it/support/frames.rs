//! Requests and events of our own making, in both dialects.

use serde_json::{Value, json};

/// A streamed chat, good at both dialects' doors.
pub(crate) fn chat() -> Value {
    prompt("m", true)
}

/// A chat request.
pub(crate) fn prompt(model: &str, stream: bool) -> Value {
    json!({"model": model, "stream": stream, "messages": [{"role": "user", "content": "Name a river."}]})
}

/// A streamed request for Ollama's `/api/generate`.
pub(crate) fn generate() -> Value {
    json!({"model": "m", "stream": true, "prompt": "Name a river."})
}

/// Chunks of an OpenAI chat stream.
pub(crate) mod openai {
    use super::{Value, json};

    pub(crate) fn chunk(delta: &Value, finish: &Value) -> Value {
        let choice = json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish});
        with(&json!([choice]), &Value::Null)
    }

    pub(crate) fn delta(delta: &Value) -> Value {
        chunk(delta, &Value::Null)
    }

    pub(crate) fn role() -> Value {
        delta(&json!({"role": "assistant", "content": ""}))
    }

    pub(crate) fn text(text: &str) -> Value {
        delta(&json!({"content": text}))
    }

    pub(crate) fn thought(text: &str) -> Value {
        delta(&json!({"reasoning_content": text}))
    }

    /// The first fragment of a tool call.
    pub(crate) fn tool(index: usize, id: &str, name: &str, arguments: &str) -> Value {
        let function = json!({"name": name, "arguments": arguments});
        delta(&json!({"tool_calls": [{"index": index, "id": id, "type": "function", "function": function}]}))
    }

    /// A further fragment of a tool call.
    pub(crate) fn arguments(index: usize, fragment: &str) -> Value {
        delta(&json!({"tool_calls": [{"index": index, "function": {"arguments": fragment}}]}))
    }

    pub(crate) fn finish(reason: &str) -> Value {
        chunk(&json!({}), &json!(reason))
    }

    pub(crate) fn usage(input: u64, output: u64) -> Value {
        with(
            &json!([]),
            &json!({"prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output}),
        )
    }

    /// A chunk of the legacy completions.
    pub(crate) fn completion(text: &str) -> Value {
        json!({
            "id": "cmpl-it7", "object": "text_completion", "created": 1_790_000_000, "model": "m-2026",
            "choices": [{"index": 0, "text": text, "logprobs": null, "finish_reason": null}]
        })
    }

    pub(crate) fn error(message: &str) -> Value {
        json!({"error": {"message": message, "type": "server_error", "param": null, "code": 500}})
    }

    /// A whole answer.
    pub(crate) fn whole(text: &str) -> Value {
        json!({
            "id": "chatcmpl-it7", "object": "chat.completion", "created": 1_790_000_000, "model": "m-2026",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
        })
    }

    fn with(choices: &Value, usage: &Value) -> Value {
        json!({
            "id": "chatcmpl-it7", "object": "chat.completion.chunk", "created": 1_790_000_000, "model": "m-2026",
            "choices": choices, "usage": usage
        })
    }
}

/// Lines of an Ollama stream.
pub(crate) mod ollama {
    use super::{Value, json};

    pub(crate) fn message(message: &Value) -> Value {
        json!({"model": "m", "created_at": "2026-10-01T08:30:00.123456789Z", "message": message, "done": false})
    }

    pub(crate) fn text(text: &str) -> Value {
        message(&json!({"role": "assistant", "content": text}))
    }

    pub(crate) fn thought(text: &str) -> Value {
        message(&json!({"role": "assistant", "content": "", "thinking": text}))
    }

    pub(crate) fn tool(name: &str, arguments: &Value) -> Value {
        let call = json!({"function": {"name": name, "arguments": arguments}});
        message(&json!({"role": "assistant", "content": "", "tool_calls": [call]}))
    }

    /// A line of `/api/generate`.
    pub(crate) fn response(text: &str) -> Value {
        json!({"model": "m", "created_at": "2026-10-01T08:30:00.5Z", "response": text, "done": false})
    }

    /// The last line of `/api/generate`.
    pub(crate) fn generated() -> Value {
        json!({
            "model": "m", "created_at": "2026-10-01T08:30:01.5Z", "response": "", "done": true, "done_reason": "stop",
            "context": [1, 2, 3], "total_duration": 900_000_000, "prompt_eval_count": 11, "eval_count": 4
        })
    }

    pub(crate) fn done(reason: &str) -> Value {
        json!({
            "model": "m", "created_at": "2026-10-01T08:30:01.5Z", "message": {"role": "assistant", "content": ""},
            "done": true, "done_reason": reason, "total_duration": 900_000_000, "load_duration": 100_000_000,
            "prompt_eval_count": 11, "prompt_eval_duration": 200_000_000, "eval_count": 4, "eval_duration": 600_000_000
        })
    }
}
