//! Conversations that move from one vendor to another: what the tools of the first left in them is told as text or named, and
//! never a reason to refuse.

use serde_json::{Value, json};

use crate::support::script::events;
use crate::support::{Api, Bench, Event, Pairs, Request, addressed, anthropic, openai, question, told};

/// A conversation of Responses with these items between the question and the answer.
fn with_items(items: &[Value]) -> Value {
    let mut input = vec![json!({"role": "user", "content": "When does the tide turn?"})];
    input.extend_from_slice(items);
    input.push(json!({"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "At nine."}]}));
    input.push(json!({"role": "user", "content": "And tomorrow?"}));
    json!({"input": input})
}

/// A conversation of Anthropic's with these blocks before the answer.
fn with_blocks(blocks: &[Value]) -> Value {
    let mut said = blocks.to_vec();
    said.push(json!({"type": "text", "text": "At nine."}));
    json!({"max_tokens": 99, "messages": [
        {"role": "user", "content": "When does the tide turn?"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": "And tomorrow?"}
    ]})
}

/// The lines of a conversation whose answer has these texts before it.
fn lines(before: &[&str], backend: Api) -> Vec<String> {
    let mut lines = vec!["user: When does the tide turn?".to_owned()];
    if matches!(backend, Api::Chat | Api::Ollama) {
        let texts: Vec<&str> = before.iter().copied().chain(["At nine."]).collect();
        lines.push(format!("assistant: {}", texts.join("\n")));
    } else {
        lines.extend(before.iter().map(|text| format!("assistant: {text}")));
        lines.push("assistant: At nine.".into());
    }
    lines.push("user: And tomorrow?".into());
    lines
}

#[tokio::test]
async fn items_that_openai_alone_knows_are_named_and_their_words_are_told() {
    let found = json!([{"filename": "tides.md", "text": "Nine.", "score": 0.9, "file_id": "file_1"}]);
    let ran = json!([{"type": "logs", "logs": "9.0"}]);
    let cases: [(Value, &[&str]); 12] = [
        (
            json!({"type": "web_search_call", "id": "ws_1", "status": "completed", "action": {"type": "search", "query": "tide"}}),
            &[],
        ),
        (
            json!({"type": "file_search_call", "id": "fs_1", "queries": ["tide"], "results": found}),
            &["tides.md", "Nine."],
        ),
        (
            json!({"type": "code_interpreter_call", "id": "ci_1", "code": "print(9.0)", "container_id": "c", "outputs": ran}),
            &["9.0"],
        ),
        (
            json!({"type": "image_generation_call", "id": "ig_1", "status": "completed", "result": "iVBORw0KGgo="}),
            &[],
        ),
        (json!({"type": "ghost_snapshot", "ghost_commit": {"id": "a1", "parent": "b2"}}), &[]),
        (
            json!({"type": "mcp_list_tools", "id": "mcpl_1", "server_label": "sea", "tools": [{"name": "tide", "input_schema": {}}]}),
            &[],
        ),
        (
            json!({"type": "mcp_call", "id": "mcp_1", "server_label": "sea", "name": "tide", "arguments": "{}", "output": "Nine."}),
            &["Nine."],
        ),
        (
            json!({"type": "mcp_approval_request", "id": "mcpr_1", "server_label": "sea", "name": "tide", "arguments": "{}"}),
            &[],
        ),
        (json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "gAAAA"}), &[]),
        (
            json!({"type": "tool_search_call", "id": "tsc_1", "execution": "server", "call_id": null, "arguments": {"paths": ["sea"]}}),
            &[],
        ),
        (json!({"type": "program", "id": "prog_1", "code": "tide()", "fingerprint": "x"}), &[]),
        (json!({"type": "something_of_next_year", "id": "x_1", "payload": {"text": "?"}}), &[]),
    ];
    let mut bench = Bench::start().await;
    for (item, texts) in cases {
        let kind = item["type"].as_str().unwrap();
        for backend in Api::Responses.others() {
            let sent = bench.ask(Api::Responses, backend, &with_items(std::slice::from_ref(&item))).await;
            assert_eq!(told(backend, &sent.json), lines(texts, backend), "{kind} to {backend:?}");
            assert!(
                sent.dropped.contains(&format!("input.{kind}")),
                "{kind} to {backend:?}: {:?}",
                sent.dropped
            );
        }
    }
}

#[tokio::test]
async fn blocks_that_anthropic_alone_knows_are_named_and_their_words_are_told() {
    let page = json!({"type": "web_search_result", "title": "Harbour", "url": "https://h.example", "encrypted_content": "b3Bh"});
    let text = json!({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "Nine."}, "title": "Tides"});
    let fetched = json!({"type": "web_fetch_result", "url": "https://h.example", "content": text});
    let ran = json!({"type": "bash_code_execution_result", "stdout": "9", "stderr": "", "return_code": 0, "content": []});
    let failed = json!({"type": "web_search_tool_result_error", "error_code": "max_uses_exceeded"});
    let cases: [(Value, &[&str]); 11] = [
        (
            json!({"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "tide"}}),
            &[],
        ),
        (
            json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [page]}),
            &["Harbour", "https://h.example"],
        ),
        (json!({"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": failed}), &[]),
        (
            json!({"type": "web_fetch_tool_result", "tool_use_id": "srvtoolu_1", "content": fetched}),
            &["Nine.", "Tides", "https://h.example"],
        ),
        (
            json!({"type": "bash_code_execution_tool_result", "tool_use_id": "srvtoolu_1", "content": ran}),
            &["9"],
        ),
        (
            json!({"type": "mcp_tool_use", "id": "mcptoolu_1", "name": "tide", "server_name": "sea", "input": {}}),
            &[],
        ),
        (
            json!({"type": "mcp_tool_result", "tool_use_id": "mcptoolu_1", "is_error": false, "content": [{"type": "text", "text": "Nine."}]}),
            &["Nine."],
        ),
        (json!({"type": "container_upload", "file_id": "file_1"}), &[]),
        (
            json!({"type": "fallback", "from": {"model": "a"}, "to": {"model": "b"}, "trigger": "refusal"}),
            &[],
        ),
        (json!({"type": "compaction", "content": null, "encrypted_content": "b3Bh"}), &[]),
        (
            json!({"type": "advisor_tool_result", "tool_use_id": "srvtoolu_1", "content": {"type": "advisor_result", "text": "Look."}}),
            &["Look."],
        ),
    ];
    let mut bench = Bench::start().await;
    for (block, texts) in cases {
        let kind = block["type"].as_str().unwrap();
        for backend in Api::Anthropic.others() {
            let sent = bench.ask(Api::Anthropic, backend, &with_blocks(std::slice::from_ref(&block))).await;
            assert_eq!(told(backend, &sent.json), lines(texts, backend), "{kind} to {backend:?}");
            assert!(
                sent.dropped.contains(&format!("messages.{kind}")),
                "{kind} to {backend:?}: {:?}",
                sent.dropped
            );
        }
    }
}

#[tokio::test]
async fn what_the_client_ran_for_openai_is_told_as_calls_with_their_results() {
    let shell = json!([{"stdout": "a.py\n", "stderr": "", "outcome": {"type": "exit", "exit_code": 0}}]);
    let cases = [
        (
            json!([
                {"type": "local_shell_call", "id": "lsh_1", "call_id": "c1", "status": "completed", "action": {"type": "exec", "command": ["ls"]}},
                {"type": "function_call_output", "call_id": "c1", "output": "a.py\n"}
            ]),
            ("local_shell", json!({"type": "exec", "command": ["ls"]})),
        ),
        (
            json!([
                {"type": "shell_call", "call_id": "c1", "action": {"commands": ["ls"]}},
                {"type": "shell_call_output", "call_id": "c1", "output": shell}
            ]),
            ("shell", json!({"commands": ["ls"]})),
        ),
        (
            json!([
                {"type": "apply_patch_call", "call_id": "c1", "operation": {"type": "delete_file", "path": "b.py"}},
                {"type": "apply_patch_call_output", "call_id": "c1", "status": "completed", "output": "a.py\n"}
            ]),
            ("apply_patch", json!({"type": "delete_file", "path": "b.py"})),
        ),
    ];
    let mut bench = Bench::start().await;
    for (items, (name, arguments)) in cases {
        let items = items.as_array().unwrap();
        for backend in Api::Responses.others() {
            let sent = bench.ask(Api::Responses, backend, &with_items(items)).await;
            let lines = told(backend, &sent.json);
            let call =
                lines[1].strip_prefix(&format!("call c1 {name} ")).unwrap_or_else(|| panic!("{lines:?}"));
            assert_eq!(serde_json::from_str::<Value>(call).unwrap(), arguments, "{backend:?}");
            assert_eq!(lines[2], "result c1: a.py\n", "{backend:?}");
            let kind = items[0]["type"].as_str().unwrap();
            assert!(sent.dropped.contains(&format!("input.{kind}")), "{backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn a_screenshot_that_the_client_took_is_shown() {
    let url = format!("data:image/png;base64,{}", super::PNG);
    let items = [
        json!({"type": "computer_call", "call_id": "c1", "action": {"type": "screenshot"}, "pending_safety_checks": []}),
        json!({"type": "computer_call_output", "call_id": "c1", "output": {"type": "computer_screenshot", "image_url": url}}),
    ];
    let mut bench = Bench::start().await;
    for backend in Api::Responses.others() {
        let sent = bench.ask(Api::Responses, backend, &with_items(&items)).await;
        assert!(sent.text.contains(super::PNG), "{backend:?}: {}", sent.text);
    }
}

#[tokio::test]
async fn a_reference_to_a_tool_is_its_name_and_loads_it() {
    let tool = |name: &str, deferred: bool| json!({"name": name, "input_schema": {"type": "object"}, "defer_loading": deferred});
    let request = json!({
        "max_tokens": 99,
        "tools": [tool("ToolSearch", false), tool("WebFetch", true), tool("DeferredToolPlaceholder", true)],
        "messages": [
            {"role": "user", "content": "Fetch it."},
            {"role": "assistant", "content": [{"type": "tool_use", "id": "t1", "name": "ToolSearch", "input": {"query": "fetch"}}]},
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": [{"type": "tool_reference", "tool_name": "WebFetch"}]}]}
        ]
    });
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let sent = bench.ask(Api::Anthropic, backend, &request).await;
        assert_eq!(told(backend, &sent.json).last().unwrap(), "result t1: WebFetch", "{backend:?}");
        assert_eq!(offered(backend, &sent.json), ["ToolSearch", "WebFetch"], "{backend:?}");
        assert_eq!(sent.dropped, ["tools.defer_loading"], "{backend:?}");
    }
}

/// The names of the tools that a backend is offered.
fn offered(backend: Api, sent: &Value) -> Vec<String> {
    let tools = sent["tools"].as_array().into_iter().flatten();
    let name = |tool: &Value| match backend {
        Api::Chat | Api::Ollama => tool["function"]["name"].as_str().unwrap().to_owned(),
        Api::Responses | Api::Anthropic => tool["name"].as_str().unwrap().to_owned(),
    };
    tools.map(name).collect()
}

#[tokio::test]
async fn deferred_tools_are_told_where_only_the_vendor_would_have_searched_them() {
    let tools = json!([
        {"type": "tool_search_tool_regex_20251119", "name": "tool_search_tool_regex"},
        {"name": "now", "input_schema": {"type": "object"}},
        {"name": "depth", "input_schema": {"type": "object"}, "defer_loading": true}
    ]);
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let sent =
            bench.sent(Api::Anthropic, backend, &question(Api::Anthropic, &json!({"tools": tools}))).await;
        assert_eq!(offered(backend, &sent), ["now", "depth"], "{backend:?}");
    }
}

#[tokio::test]
async fn tools_that_a_history_has_loaded_are_offered() {
    let tool = |name: &str| json!({"type": "function", "name": name, "parameters": {"type": "object"}});
    let mut bench = Bench::start().await;
    for items in [
        vec![json!({"type": "additional_tools", "role": "developer", "tools": [tool("depth")]})],
        vec![
            json!({"type": "tool_search_call", "call_id": "s1", "execution": "client", "arguments": {"goal": "depth"}}),
            json!({"type": "tool_search_output", "call_id": "s1", "execution": "client", "tools": [tool("depth")]}),
        ],
        vec![
            json!({"type": "tool_search_call", "call_id": null, "execution": "server", "arguments": {}}),
            json!({"type": "tool_search_output", "call_id": null, "execution": "server", "tools": [tool("depth")]}),
        ],
    ] {
        let mut request = with_items(&items);
        request["tools"] = json!([tool("now")]);
        for backend in Api::Responses.others() {
            let sent = bench.sent(Api::Responses, backend, &request).await;
            assert_eq!(offered(backend, &sent), ["now", "depth"], "{items:?} to {backend:?}");
        }
    }
    for backend in Api::Anthropic.others() {
        let mut request = question(Api::Anthropic, &json!({"tools": [{"name": "now", "input_schema": {}}]}));
        let added = json!({"type": "tool_addition", "tool": {"name": "depth", "input_schema": {}}});
        let removed = json!({"type": "tool_removal", "tool": {"name": "now"}});
        request["messages"][0]["content"] = json!([{"type": "text", "text": "Hi"}, added, removed]);
        let sent = bench.sent(Api::Anthropic, backend, &request).await;
        assert_eq!(offered(backend, &sent), ["depth"], "{backend:?}");
    }
}

#[tokio::test]
async fn a_tool_of_a_namespace_that_a_search_has_loaded_keeps_its_own_name() {
    let inner = json!({"type": "function", "name": "depth", "parameters": {"type": "object"}});
    let sea = json!({"type": "namespace", "name": "mcp__sea__", "description": "The sea.", "tools": [inner]});
    let mut request = with_items(&[
        json!({"type": "tool_search_call", "call_id": "s1", "execution": "client", "arguments": {"goal": "depth"}}),
        json!({"type": "tool_search_output", "call_id": "s1", "execution": "client", "tools": [sea]}),
    ]);
    request["tools"] = json!([{"type": "function", "name": "now", "parameters": {}}]);
    let mut bench = Bench::start().await;
    let body = addressed(Api::Chat, &request.to_string());
    let (mut call, mut asked) = bench.call(Api::Chat, &Request::raw("/v1/responses", body.as_bytes())).await;
    assert_eq!(offered(Api::Chat, &call.json()), ["now", "mcp__sea__depth"]);
    call.stream().await;
    call.sse(&openai::tool(0, "c1", "mcp__sea__depth", "{}")).await;
    call.sse(&openai::finish("tool_calls")).await;
    call.done().await;
    let (events, _) = asked.head().await.events().await;
    let response = events.last().unwrap().json()["response"].clone();
    let item = &response["output"][0];
    assert_eq!((&item["namespace"], &item["name"]), (&json!("mcp__sea__"), &json!("depth")), "{response}");
}

#[tokio::test]
async fn a_summary_stands_for_all_that_was_said_before_it() {
    let request = json!({"max_tokens": 99, "system": "Be brief.", "messages": [
        {"role": "user", "content": "A very long story."},
        {"role": "assistant", "content": [
            {"type": "text", "text": "Yes."},
            {"type": "compaction", "content": "A story was told.", "encrypted_content": "b3Bh"},
            {"type": "text", "text": "Go on."}
        ]},
        {"role": "user", "content": "And then?"}
    ]});
    let mut bench = Bench::start().await;
    for backend in Api::Anthropic.others() {
        let sent = bench.ask(Api::Anthropic, backend, &request).await;
        assert!(sent.text.contains("A story was told.") && sent.text.contains("Go on."), "{}", sent.text);
        assert!(!sent.text.contains("A very long story."), "{backend:?}: {}", sent.text);
        assert!(sent.text.contains("Be brief."), "{backend:?}: {}", sent.text);
        assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    }
}

#[tokio::test]
async fn a_compaction_is_asked_for_in_words_and_without_tools() {
    let mut request = with_items(&[]);
    request["tools"] =
        json!([{"type": "function", "name": "depth", "parameters": {}}, {"type": "web_search"}]);
    request["tool_choice"] = json!("auto");
    request["parallel_tool_calls"] = json!(true);
    request["input"].as_array_mut().unwrap().push(json!({"type": "compaction_trigger"}));
    let mut bench = Bench::start().await;
    for backend in Api::Responses.others() {
        let sent = bench.sent(Api::Responses, backend, &request).await;
        let lines = told(backend, &sent);
        assert!(lines.last().unwrap().contains("Sum up this conversation"), "{backend:?}: {lines:?}");
        assert!(offered(backend, &sent).is_empty(), "{backend:?}: {sent}");
        // one that was answered before is none any more
        let mut later = request.clone();
        later["input"].as_array_mut().unwrap().push(json!({"role": "user", "content": "Go on."}));
        let sent = bench.sent(Api::Responses, backend, &later).await;
        assert!(!sent.to_string().contains("Sum up this conversation"), "{backend:?}: {sent}");
        assert_eq!(offered(backend, &sent), ["depth"], "{backend:?}");
    }
}

#[tokio::test]
async fn the_summary_that_was_asked_for_is_one_item_and_comes_back() {
    let mut request = with_items(&[]);
    request["input"].as_array_mut().unwrap().push(json!({"type": "compaction_trigger"}));
    let mut bench = Bench::start().await;
    for backend in Api::Responses.others() {
        for stream in [true, false] {
            let body = addressed(backend, &request.to_string())
                .replace("\"stream\":true", &format!("\"stream\":{stream}"));
            let asked = Request::raw("/v1/responses", body.as_bytes());
            let (mut call, mut asked) = bench.call(backend, &asked).await;
            call.say(&["The tide was ", "asked for."]).await;
            call.end().await;
            let answer = asked.head().await;
            let response = if stream {
                let (events, _) = answer.events().await;
                let done: Vec<Value> = events.iter().map(Event::json).collect();
                let items = done.iter().filter(|event| event["type"] == "response.output_item.done");
                assert_eq!(items.count(), 1, "{backend:?}: {done:?}");
                done.last().unwrap()["response"].clone()
            } else {
                answer.json().await
            };
            let output = response["output"].as_array().unwrap();
            assert_eq!(
                (output.len(), &output[0]["type"]),
                (1, &json!("compaction")),
                "{backend:?}: {response}"
            );
            assert!(output[0]["id"].as_str().unwrap().starts_with("cmp_"), "{response}");
            let next = json!({"input": [output[0], {"role": "user", "content": "Go on."}]});
            let lines = told(backend, &bench.sent(Api::Responses, backend, &next).await).join(" ");
            assert!(lines.contains("The tide was asked for."), "{backend:?}: {lines}");
        }
    }
}

#[tokio::test]
async fn a_summary_in_several_blocks_is_one_item_and_none_at_all_is_no_success() {
    let mut pairs = Pairs::start(&[]).await;
    let mut ask = async |said: &[Value]| {
        let input = json!([{"role": "user", "content": "Q"}, {"type": "compaction_trigger"}]);
        let request = json!({"model": "anthropic", "stream": true, "input": input});
        let frames = events(&anthropic::stream(said, "end_turn"));
        let (asked, call) = pairs.ask(Api::Responses.door(), &request).await;
        call.play(&frames).await;
        asked.answer().await.events().await.0.iter().map(Event::json).collect::<Vec<Value>>()
    };
    let text =
        |at: usize, text: &str| [anthropic::open_text(at), anthropic::text(at, text), anthropic::close(at)];
    let thought = [anthropic::open_thinking(0), anthropic::thinking(0, "Hm."), anthropic::close(0)];
    let said = [&thought[..], &text(1, "The tide"), &text(2, " is \"high\".")].concat();
    let heard = ask(&said).await;
    let output = heard.last().unwrap()["response"]["output"].as_array().unwrap();
    let kinds: Vec<&Value> = output.iter().map(|item| &item["type"]).collect();
    assert_eq!(kinds, ["reasoning", "compaction"], "{heard:?}");
    assert_eq!(output[1]["encrypted_content"], "sg1:summary:The tide is \"high\".");
    for nothing in [&[][..], &thought] {
        let heard = ask(nothing).await;
        assert_eq!(heard.last().unwrap()["type"], "response.failed", "{heard:?}");
    }
}

#[tokio::test]
async fn a_summary_of_the_gateways_own_comes_back_as_text_to_every_backend() {
    let item = json!({"type": "compaction", "id": "cmp_1", "encrypted_content": "sg1:summary:The tide was \"asked\" for.\nTwice."});
    let request = with_items(&[item]);
    let mut bench = Bench::start().await;
    for backend in Api::Responses.others() {
        let sent = bench.ask(Api::Responses, backend, &request).await;
        let lines = told(backend, &sent.json);
        assert!(lines.iter().any(|line| line.ends_with("The tide was \"asked\" for.\nTwice.")), "{lines:?}");
        assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    }
    let body = addressed(Api::Responses, &request.to_string());
    let sent = bench.pass(Api::Responses, &Request::raw("/v1/responses", body.as_bytes())).await;
    let item = &sent.json["input"][1];
    assert_eq!((&item["type"], &item["role"]), (&json!("message"), &json!("user")), "{}", sent.text);
    assert!(item["content"].as_str().unwrap().ends_with("The tide was \"asked\" for.\nTwice."), "{item}");
}

#[tokio::test]
async fn a_function_of_the_older_chat_api_is_a_call_with_its_result() {
    let request = json!({"messages": [
        {"role": "user", "content": "How deep?"},
        {"role": "assistant", "content": null, "function_call": {"name": "depth", "arguments": "{}"}},
        {"role": "function", "name": "depth", "content": "9 m"}
    ]});
    let mut bench = Bench::start().await;
    for backend in Api::Chat.others() {
        let lines = told(backend, &bench.sent(Api::Chat, backend, &request).await);
        assert!(lines[1].contains("depth {}") && lines[2].ends_with(": 9 m"), "{backend:?}: {lines:?}");
    }
}

#[tokio::test]
async fn a_turn_in_which_nothing_was_said_is_left_out() {
    let thinking = json!({"type": "thinking", "thinking": "Hm.", "signature": ""});
    let redacted = json!({"type": "redacted_thinking", "data": "b3Bh"});
    let mut bench = Bench::start().await;
    for blocks in
        [json!([redacted]), json!([thinking]), json!([thinking, redacted, {"type": "text", "text": ""}])]
    {
        let request = json!({"max_tokens": 99, "messages": [
            {"role": "user", "content": "Hi"},
            {"role": "assistant", "content": blocks},
            {"role": "user", "content": "Are you there?"}
        ]});
        for backend in Api::Anthropic.others() {
            let sent = bench.ask(Api::Anthropic, backend, &request).await;
            assert_eq!(
                told(backend, &sent.json),
                ["user: Hi", "user: Are you there?"],
                "{blocks} to {backend:?}"
            );
            assert_eq!(sent.dropped, ["reasoning"], "{blocks} to {backend:?}");
        }
    }
    let empty = json!({"messages": [
        {"role": "user", "content": "Hi"}, {"role": "assistant", "content": ""}, {"role": "user", "content": "Hello?"}
    ]});
    for (client, backend) in [(Api::Chat, Api::Ollama), (Api::Ollama, Api::Chat), (Api::Chat, Api::Anthropic)]
    {
        let lines = told(backend, &bench.sent(client, backend, &empty).await);
        assert_eq!(lines, ["user: Hi", "user: Hello?"], "{client:?} to {backend:?}");
    }
}
