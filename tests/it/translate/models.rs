//! What models refuse: known by their names, set in the configuration, or found when they do. Only what was translated is changed.

use serde_json::{Value, json};

use crate::support::{Api, Call, Client, Gateway, Setup, Upstream, question};

/// A gateway before one backend, which is asked for whatever model a client names.
struct One {
    gateway: Gateway,
    backend: Upstream,
}

/// What a backend was asked, and what the client was told was left out.
#[derive(Debug)]
struct Asked {
    json: Value,
    dropped: Vec<String>,
}

impl One {
    async fn start(kind: &str, lines: &str) -> Self {
        let backend = Upstream::start().await;
        let setup = Setup::new().backend_with("one", kind, &backend.url(), lines);
        Self { gateway: setup.start().await, backend }
    }

    async fn send(&mut self, client: Api, model: &str, more: &Value) -> (Client, Call) {
        let mut request = question(client, more);
        request["model"] = json!(model);
        request["stream"] = json!(true);
        let asked = self.gateway.ask_post(client.door(), &request).await;
        (asked, self.backend.call().await)
    }

    async fn ask(&mut self, client: Api, model: &str, more: &Value) -> Asked {
        let (asked, call) = self.send(client, model, more).await;
        let json = call.json();
        Asked { json, dropped: answered(asked, call).await }
    }
}

/// Lets the call succeed; gives what the client is told was left out.
async fn answered(asked: Client, mut call: Call) -> Vec<String> {
    call.say(&["Tisza"]).await;
    call.end().await;
    let answer = asked.answer().await;
    assert_eq!(answer.status, 200);
    let dropped = answer.header("x-dropped-fields").unwrap_or_default();
    dropped.split(", ").filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

fn sampled() -> Value {
    json!({"temperature": 0.3, "top_p": 0.9, "top_k": 40})
}

#[tokio::test]
async fn a_new_model_of_anthropics_is_not_told_what_it_refuses() {
    let mut one = One::start("anthropic", "").await;
    for model in ["claude-opus-4-7", "anthropic/claude-sonnet-5.5", "claude-haiku-5-5-20261007"] {
        let asked = one.ask(Api::Chat, model, &sampled()).await;
        for name in ["temperature", "top_p", "top_k"] {
            assert!(asked.json.get(name).is_none(), "{model}: {}", asked.json);
            assert!(asked.dropped.iter().any(|dropped| dropped == name), "{model}: {:?}", asked.dropped);
        }
        let asked = one.ask(Api::Chat, model, &json!({"temperature": 1, "top_p": 1.0})).await;
        assert!(asked.json.get("temperature").is_none() && asked.dropped.is_empty(), "{model}: {asked:?}");
    }
    for model in ["claude-opus-4-6", "claude-haiku-4-5-20251001", "kimi-k2"] {
        let asked = one.ask(Api::Chat, model, &json!({"temperature": 0.3})).await;
        assert_eq!((&asked.json["temperature"], asked.dropped.len()), (&json!(0.3), 0), "{model}");
    }
}

#[tokio::test]
async fn a_new_model_of_anthropics_thinks_by_a_level() {
    let mut one = One::start("anthropic", "").await;
    for (client, more) in [
        (Api::Chat, json!({"reasoning_effort": "xhigh"})),
        (Api::Responses, json!({"reasoning": {"effort": "xhigh"}})),
        (Api::Ollama, json!({"think": "max"})),
    ] {
        let level = if client == Api::Ollama { "max" } else { "xhigh" };
        let asked = one.ask(client, "claude-opus-5", &more).await;
        assert_eq!(asked.json["thinking"], json!({"type": "adaptive"}), "{client:?}");
        assert_eq!(asked.json["output_config"], json!({"effort": level}), "{client:?}");
        let asked = one.ask(client, "claude-sonnet-4-5", &more).await;
        assert_eq!(asked.json["thinking"]["type"], "enabled", "{client:?}");
    }
    let mut set = One::start("anthropic", "thinking = \"budget\"").await;
    let asked = set.ask(Api::Chat, "claude-opus-5", &json!({"reasoning_effort": "low"})).await;
    assert_eq!(asked.json["thinking"]["type"], "enabled", "the configuration says so");
}

#[tokio::test]
async fn a_model_that_always_thinks_is_asked_for_little_in_place_of_none() {
    let mut one = One::start("anthropic", "").await;
    let tool = json!({"type": "function", "function": {"name": "depth", "parameters": {"type": "object"}}});
    let more = json!({"reasoning_effort": "none", "tools": [tool], "tool_choice": "required"});
    for model in ["claude-opus-5-5", "claude-fable-5-1"] {
        let asked = one.ask(Api::Chat, model, &more).await;
        assert_eq!(asked.json["output_config"]["effort"], "low", "{model}: {}", asked.json);
        assert_ne!(asked.json["thinking"]["type"], "disabled", "{model}");
        assert_eq!(asked.json["tool_choice"]["type"], "auto", "{model}");
        assert_eq!(asked.dropped, ["reasoning_effort", "tool_choice"], "{model}");
    }
    let asked = one.ask(Api::Chat, "claude-opus-5", &more).await;
    assert_eq!(asked.json["thinking"]["type"], "disabled", "{}", asked.json);
    assert_eq!(asked.json["tool_choice"]["type"], "any", "{}", asked.json);
}

#[tokio::test]
async fn a_reasoning_model_of_openais_is_not_told_what_it_refuses() {
    let more = |effort: Option<&str>| {
        let mut more =
            json!({"options": {"temperature": 0.3, "presence_penalty": 0.5, "num_predict": 99, "seed": 7}});
        more["think"] = json!(effort);
        more
    };
    for kind in ["openai", "responses"] {
        let mut one = One::start(kind, "").await;
        for (model, effort, refuses) in [
            ("o3", None, true),
            ("gpt-5-mini", None, true),
            ("gpt-5.2", Some("low"), true),
            ("gpt-5.2", None, false),
            ("gpt-4o", Some("low"), false),
            ("llama3.2", None, false),
        ] {
            let asked = one.ask(Api::Ollama, model, &more(effort)).await;
            let what = format!("{kind}, {model}: {asked:?}");
            assert_eq!(asked.json.get("temperature").is_none(), refuses, "{what}");
            assert_eq!(asked.dropped.iter().any(|name| name == "temperature"), refuses, "{what}");
            if kind == "openai" {
                let newer = model.starts_with("o3") || model.starts_with("gpt-5");
                let limit = if newer { "max_completion_tokens" } else { "max_tokens" };
                assert_eq!((&asked.json[limit], &asked.json["seed"]), (&json!(99), &json!(7)), "{what}");
            }
        }
    }
}

#[tokio::test]
async fn the_configuration_says_what_is_refused() {
    let mut one =
        One::start("openai", "refuses = [\"top_p\", \"seed\"]\nmax_tokens_field = \"max_tokens\"").await;
    let more = json!({"options": {"temperature": 0.3, "top_p": 0.5, "seed": 7, "num_predict": 9}});
    let asked = one.ask(Api::Ollama, "o3", &more).await;
    assert_eq!(asked.dropped, ["top_p", "seed"]);
    assert_eq!((&asked.json["temperature"], &asked.json["max_tokens"]), (&json!(0.3), &json!(9)));
    let mut one = One::start("anthropic", "refuses = []").await;
    assert_eq!(one.ask(Api::Chat, "claude-opus-5", &sampled()).await.json["top_k"], 40);
}

#[tokio::test]
async fn the_version_of_anthropics_api_and_the_header_of_the_key_are_settings() {
    let key = "api_key = { file = \"KEY\" }\n";
    let file = std::env::temp_dir().join(format!("streamgate-key-{}", std::process::id()));
    std::fs::write(&file, "sk-one").unwrap();
    let key = key.replace("KEY", file.to_str().unwrap());
    let mut usual = One::start("anthropic", &key).await;
    let (asked, call) = usual.send(Api::Chat, "m", &sampled()).await;
    assert_eq!(
        (call.header("anthropic-version"), call.header("x-api-key")),
        (Some("2023-06-01"), Some("sk-one"))
    );
    assert_eq!(call.json()["temperature"], 0.3);
    answered(asked, call).await;
    let lines = format!("{key}anthropic_version = \"2026-10-21\"\nkey_header = \"authorization\"");
    let mut newer = One::start("anthropic", &lines).await;
    let (asked, call) = newer.send(Api::Chat, "m", &sampled()).await;
    assert_eq!(call.header("anthropic-version"), Some("2026-10-21"));
    assert_eq!((call.header("authorization"), call.header("x-api-key")), (Some("Bearer sk-one"), None));
    assert!(call.json().get("temperature").is_none(), "this version takes it for no model");
    assert!(answered(asked, call).await.contains(&"temperature".to_owned()));
    let mut azure = One::start("openai", &format!("{key}key_header = \"api-key\"")).await;
    let (asked, call) = azure.send(Api::Ollama, "m", &json!({})).await;
    assert_eq!((call.header("api-key"), call.header("authorization")), (Some("sk-one"), None));
    answered(asked, call).await;
    std::fs::remove_file(file).unwrap();
}

async fn refuse(call: Call, words: &str) {
    let error = json!({"type": "invalid_request_error", "message": words});
    call.answer(400, &json!({"type": "error", "error": error})).await;
}

#[tokio::test]
async fn what_is_refused_by_name_is_left_out_one_thing_after_the_other() {
    let mut one = One::start("anthropic", "").await;
    let more = json!({"temperature": 0.3, "top_k": 40, "reasoning_effort": "none"});
    let (asked, call) = one.send(Api::Chat, "m", &more).await;
    refuse(call, "`temperature` is deprecated for this model.").await;
    let call = one.backend.call().await;
    assert!(call.json().get("temperature").is_none() && call.json()["top_k"] == 40, "{}", call.json());
    refuse(call, "top_k: Extra inputs are not permitted").await;
    let call = one.backend.call().await;
    assert!(call.json().get("top_k").is_none(), "{}", call.json());
    refuse(call, "\"thinking.type.disabled\" is not supported for this model.").await;
    let call = one.backend.call().await;
    assert!(call.json().get("thinking").is_none(), "{}", call.json());
    assert_eq!(answered(asked, call).await, ["temperature", "top_k", "reasoning_effort"]);
}

#[tokio::test]
async fn a_budget_that_is_refused_becomes_a_level() {
    let mut one = One::start("anthropic", "").await;
    let (asked, call) = one.send(Api::Chat, "m", &json!({"reasoning_effort": "medium"})).await;
    assert_eq!(call.json()["thinking"]["budget_tokens"], 2048);
    refuse(call, "\"thinking.type.enabled\" is not supported for this model. Use \"thinking.type.adaptive\" and \"output_config.effort\".").await;
    let call = one.backend.call().await;
    assert_eq!(call.json()["thinking"], json!({"type": "adaptive"}));
    assert_eq!(call.json()["output_config"], json!({"effort": "medium"}));
    assert!(answered(asked, call).await.is_empty());
}

#[tokio::test]
async fn a_limit_is_told_under_the_name_that_a_model_asks_for() {
    let mut one = One::start("openai", "").await;
    let (asked, call) = one.send(Api::Anthropic, "my-deployment", &json!({})).await;
    assert_eq!(call.json()["max_tokens"], 500);
    refuse(call, "Unsupported parameter: 'max_tokens' is not supported with this model. Use 'max_completion_tokens' instead.").await;
    let call = one.backend.call().await;
    assert_eq!((&call.json()["max_completion_tokens"], call.json().get("max_tokens")), (&json!(500), None));
    assert!(answered(asked, call).await.is_empty());
}

#[tokio::test]
async fn a_value_that_is_wrong_is_its_clients_affair() {
    let mut one = One::start("openai", "").await;
    let (asked, call) = one.send(Api::Ollama, "m", &json!({"options": {"temperature": 7}})).await;
    refuse(call, "temperature must be between 0 and 2").await;
    assert_eq!(asked.answer().await.status, 400);
    assert_eq!(one.backend.calls_seen(), 1);
}

#[tokio::test]
async fn a_client_of_the_same_api_hears_it_as_it_is() {
    let mut one = One::start("anthropic", "").await;
    let (asked, call) = one.send(Api::Anthropic, "claude-opus-5", &json!({"temperature": 0.3})).await;
    assert_eq!(call.json()["temperature"], 0.3);
    refuse(call, "`temperature` is deprecated for this model.").await;
    assert_eq!(asked.answer().await.status, 400);
    assert_eq!(one.backend.calls_seen(), 1);
}

/// A call of a tool without any thinking before it, and its result.
fn called(thinking: Option<&str>) -> Value {
    let mut said = vec![json!({"type": "tool_use", "id": "toolu_1", "name": "depth", "input": {}})];
    said.splice(0..0, thinking.map(|text| json!({"type": "thinking", "thinking": text, "signature": ""})));
    json!({"messages": [
        {"role": "user", "content": "How deep?"},
        {"role": "assistant", "content": said},
        {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "toolu_1", "content": "9 m"}]}
    ]})
}

#[tokio::test]
async fn a_call_without_thinking_is_told_with_some_to_models_that_insist_on_it() {
    let mut one = One::start("openai", "").await;
    let told = |asked: &Asked| asked.json["messages"][1].get("reasoning_content").cloned();
    for model in ["kimi-k2.5", "moonshotai/kimi-k2-thinking", "deepseek-v4-pro", "deepseek-ai/DeepSeek-V4"] {
        let asked = one.ask(Api::Anthropic, model, &called(None)).await;
        assert_eq!(told(&asked), Some(json!(" ")), "{model}");
        assert_eq!(asked.json["messages"][2]["role"], "tool");
        let asked = one.ask(Api::Anthropic, model, &called(Some("Hm."))).await;
        assert_eq!(told(&asked), Some(json!("Hm.")), "{model}");
    }
    let mut off = called(None);
    off["thinking"] = json!({"type": "disabled"});
    assert_eq!(told(&one.ask(Api::Anthropic, "kimi-k2.5", &off).await), None, "it does not think");
    assert_eq!(told(&one.ask(Api::Anthropic, "moonshot-v1-8k", &called(None)).await), None);
    let mut set = One::start("openai", "reasoned_calls = true\nreasoning_field = \"reasoning\"").await;
    let asked = set.ask(Api::Anthropic, "m", &called(None)).await;
    assert_eq!(asked.json["messages"][1]["reasoning"], " ");
}

#[tokio::test]
async fn unsigned_thinking_goes_back_to_a_backend_that_wrote_it() {
    let mut one = One::start("anthropic", "unsigned_thinking = true").await;
    let asked = one.ask(Api::Anthropic, "kimi-k2", &called(Some("Hm."))).await;
    assert_eq!((&asked.json["messages"], asked.dropped.len()), (&called(Some("Hm."))["messages"], 0));
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "depth", "arguments": "{}"}});
    let chat = json!({"messages": [
        {"role": "user", "content": "How deep?"},
        {"role": "assistant", "reasoning_content": "Hm.", "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "call_1", "content": "9 m"}
    ]});
    let asked = one.ask(Api::Chat, "kimi-k2", &chat).await;
    let block = json!({"type": "thinking", "thinking": "Hm.", "signature": ""});
    assert_eq!((&asked.json["messages"][1]["content"][0], asked.dropped.len()), (&block, 0));
    let mut signed = called(Some("Hm."));
    signed["messages"][1]["content"][0]["signature"] = json!("sg1:openai:AAAA");
    let asked = one.ask(Api::Anthropic, "kimi-k2", &signed).await;
    assert_eq!(asked.dropped, ["reasoning"], "what another vendor sealed is nobody else's");
    let mut usual = One::start("anthropic", "").await;
    let asked = usual.ask(Api::Anthropic, "m", &called(Some("Hm."))).await;
    assert_eq!(asked.dropped, ["reasoning"]);
    assert_eq!(asked.json["messages"][1]["content"][0]["type"], "tool_use");
}

const BILL: &str = "x-anthropic-billing-header: cc_version=2.1.332.de8; cch=3fa09;";

#[tokio::test]
async fn the_line_for_anthropics_accounts_is_told_to_nobody_else() {
    let hint = json!({"type": "ephemeral"});
    let bill = json!({"type": "text", "text": BILL});
    let brief = json!({"type": "text", "text": "Be brief.", "cache_control": hint});
    let both = json!({"type": "text", "text": format!("{BILL}\n\nBe brief.")});
    let mut other = One::start("anthropic", "").await;
    let mut own = One::start("anthropic", "billing_header = true").await;
    for (system, left) in [
        (json!([bill, brief]), json!([brief])),
        (json!([brief, bill]), json!([brief])),
        (json!([both]), json!([{"type": "text", "text": "Be brief."}])),
        (json!(format!("{BILL}\nBe brief.")), json!("Be brief.")),
        (json!([brief]), json!([brief])),
        (json!(format!("Never say {BILL}")), json!(format!("Never say {BILL}"))),
    ] {
        let more = json!({"system": system});
        assert_eq!(other.ask(Api::Anthropic, "m", &more).await.json["system"], left, "{system}");
        assert_eq!(own.ask(Api::Anthropic, "m", &more).await.json["system"], system);
    }
}
