//! Sampling options: carried where the other API has them, named where it has not.

use serde_json::{Value, json};

use crate::support::{Api, Bench, Sent, question};

/// A question with these options of sampling, in the place where this API has them.
fn sampled(client: Api, options: &Value) -> Value {
    if client == Api::Ollama {
        question(client, &json!({"options": options}))
    } else {
        question(client, options)
    }
}

/// An option that the backend was told.
fn told<'s>(backend: Api, sent: &'s Sent, name: &str) -> Option<&'s Value> {
    if backend == Api::Ollama { sent.json["options"].get(name) } else { sent.json.get(name) }
}

/// Neither told nor kept quiet about.
#[track_caller]
fn named(backend: Api, sent: &Sent, name: &str) {
    assert_eq!(told(backend, sent, name), None, "{name} to {backend:?}");
    let fits = |dropped: &String| dropped == name || dropped.ends_with(&format!(".{name}"));
    assert!(sent.dropped.iter().any(fits), "{name} to {backend:?}: {:?}", sent.dropped);
}

#[tokio::test]
async fn temperature_and_top_p_are_known_everywhere() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent =
            bench.ask(client, backend, &sampled(client, &json!({"temperature": 0.25, "top_p": 0.5}))).await;
        let case = format!("{client:?} to {backend:?}");
        assert_eq!(told(backend, &sent, "temperature"), Some(&json!(0.25)), "{case}");
        if backend == Api::Anthropic {
            named(backend, &sent, "top_p"); // its newest models take only one of the two
            continue;
        }
        assert_eq!(told(backend, &sent, "top_p"), Some(&json!(0.5)), "{case}");
        assert!(sent.dropped.is_empty(), "{case}: {:?}", sent.dropped);
    }
}

#[tokio::test]
async fn numbers_stay_as_they_were_written() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let request = sampled(client, &json!({"temperature": 0.5})).to_string().replace("0.5", "0.70");
        let sent = bench.ask_text(client, backend, &request).await;
        assert!(sent.text.contains("\"temperature\":0.70"), "{client:?} to {backend:?}: {}", sent.text);
    }
}

#[tokio::test]
async fn a_temperature_above_what_anthropic_takes_is_lowered_and_named() {
    let mut bench = Bench::start().await;
    for client in Api::Anthropic.others() {
        for hot in [1.7, 2.0, 1.01] {
            let sent =
                bench.ask(client, Api::Anthropic, &sampled(client, &json!({"temperature": hot}))).await;
            assert_eq!(sent.json["temperature"].as_f64(), Some(1.0), "{client:?}");
            assert_eq!(sent.dropped, ["temperature"], "{client:?}");
        }
        for fair in [0.0, 0.5, 1.0] {
            let sent =
                bench.ask(client, Api::Anthropic, &sampled(client, &json!({"temperature": fair}))).await;
            assert_eq!(sent.json["temperature"].as_f64(), Some(fair), "{client:?}");
            assert!(sent.dropped.is_empty(), "{client:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn top_k_is_told_to_those_who_know_it() {
    let mut bench = Bench::start().await;
    for (client, backend) in [
        (Api::Ollama, Api::Anthropic),
        (Api::Anthropic, Api::Ollama),
        (Api::Chat, Api::Anthropic),
        (Api::Chat, Api::Ollama),
    ] {
        let sent = bench.ask(client, backend, &sampled(client, &json!({"top_k": 7}))).await;
        assert_eq!(told(backend, &sent, "top_k"), Some(&json!(7)), "{client:?} to {backend:?}");
    }
    for client in [Api::Anthropic, Api::Ollama] {
        for backend in [Api::Chat, Api::Responses] {
            let sent = bench.ask(client, backend, &sampled(client, &json!({"top_k": 7}))).await;
            named(backend, &sent, "top_k");
        }
    }
}

#[tokio::test]
async fn a_chat_backend_with_extensions_is_told_them() {
    let mut bench = Bench::with(Api::Chat, "sampling_extensions = true").await;
    let options = json!({"top_k": 7, "min_p": 0.05, "repeat_penalty": 1.1});
    let sent = bench.ask(Api::Ollama, Api::Chat, &sampled(Api::Ollama, &options)).await;
    assert_eq!((&sent.json["top_k"], &sent.json["min_p"]), (&json!(7), &json!(0.05)));
    // llama.cpp's word and vLLM's
    assert_eq!((&sent.json["repeat_penalty"], &sent.json["repetition_penalty"]), (&json!(1.1), &json!(1.1)));
    assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    let sent = bench.ask(Api::Anthropic, Api::Chat, &sampled(Api::Anthropic, &json!({"top_k": 7}))).await;
    assert_eq!(sent.json["top_k"], 7);
}

#[tokio::test]
async fn what_openai_has_no_word_for_is_named() {
    let mut bench = Bench::start().await;
    for backend in [Api::Chat, Api::Responses] {
        for name in ["top_k", "min_p", "repeat_penalty"] {
            let sent = bench.ask(Api::Ollama, backend, &sampled(Api::Ollama, &json!({name: 1}))).await;
            named(backend, &sent, name);
        }
    }
}

#[tokio::test]
async fn seed_and_penalties_pass_between_ollama_and_chat() {
    let mut bench = Bench::start().await;
    let options = json!({"seed": 42, "frequency_penalty": 0.5, "presence_penalty": -0.5});
    for (client, backend) in [(Api::Ollama, Api::Chat), (Api::Chat, Api::Ollama)] {
        let sent = bench.ask(client, backend, &sampled(client, &options)).await;
        for (name, value) in options.as_object().unwrap() {
            assert_eq!(told(backend, &sent, name), Some(value), "{client:?}: {name}");
        }
        assert!(sent.dropped.is_empty(), "{:?}", sent.dropped);
    }
    let sent =
        bench.ask(Api::Chat, Api::Ollama, &sampled(Api::Chat, &json!({"repetition_penalty": 1.1}))).await;
    assert_eq!(told(Api::Ollama, &sent, "repeat_penalty"), Some(&json!(1.1)));
}

#[tokio::test]
async fn seed_and_penalties_are_named_where_the_backend_has_none() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Ollama] {
        for backend in [Api::Anthropic, Api::Responses] {
            for name in ["seed", "frequency_penalty", "presence_penalty", "repeat_penalty", "min_p"] {
                let sent = bench.ask(client, backend, &sampled(client, &json!({name: 1}))).await;
                named(backend, &sent, name);
            }
        }
    }
}

/// A question with these stop sequences.
fn stopped(client: Api, stop: &Value) -> Value {
    let name = if client == Api::Anthropic { "stop_sequences" } else { "stop" };
    sampled(client, &json!({name: stop}))
}

#[tokio::test]
async fn stop_sequences_are_a_list_everywhere_but_in_responses() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Anthropic, Api::Ollama] {
        for backend in client.others().filter(|backend| *backend != Api::Responses) {
            let wanted = json!(["END", "\n\n\"x\""]);
            let sent = bench.ask(client, backend, &stopped(client, &wanted)).await;
            let name = if backend == Api::Anthropic { "stop_sequences" } else { "stop" };
            assert_eq!(told(backend, &sent, name), Some(&wanted), "{client:?} to {backend:?}");
        }
    }
    for (client, backend, name) in [
        (Api::Chat, Api::Anthropic, "stop_sequences"),
        (Api::Chat, Api::Ollama, "stop"),
        (Api::Ollama, Api::Chat, "stop"),
    ] {
        let sent = bench.ask(client, backend, &stopped(client, &json!("END"))).await;
        assert_eq!(told(backend, &sent, name), Some(&json!(["END"])), "{client:?} to {backend:?}");
    }
}

#[tokio::test]
async fn stop_sequences_of_blanks_are_kept_from_anthropic_and_named() {
    let mut bench = Bench::start().await;
    for client in [Api::Chat, Api::Ollama] {
        let sent = bench.ask(client, Api::Anthropic, &stopped(client, &json!(["\n", "END", "  "]))).await;
        assert_eq!(sent.json["stop_sequences"], json!(["END"]), "{client:?}");
        assert_eq!(sent.dropped, ["stop"], "{client:?}");
        let sent = bench.ask(client, Api::Anthropic, &stopped(client, &json!(["\n\n"]))).await;
        assert_eq!(sent.json.get("stop_sequences"), None, "{client:?}");
    }
}

#[tokio::test]
async fn what_only_a_chat_has_is_dropped_and_named() {
    let mut bench = Bench::start().await;
    let more = json!({
        "seed_of_next_year": 7, "store": true, "prediction": {"type": "content", "content": "x"}
    });
    for backend in Api::Chat.others() {
        let sent = bench.ask(Api::Chat, backend, &question(Api::Chat, &more)).await;
        for name in more.as_object().unwrap().keys() {
            assert!(sent.dropped.contains(name), "{name} to {backend:?}: {:?}", sent.dropped);
        }
    }
}

#[tokio::test]
async fn what_only_ollama_has_is_dropped_and_named() {
    let mut bench = Bench::start().await;
    let more = json!({"keep_alive": "5m", "truncate": false, "options": {"num_ctx": 8192, "mirostat": 1, "typical_p": 0.5}});
    for backend in Api::Ollama.others() {
        let sent = bench.ask(Api::Ollama, backend, &question(Api::Ollama, &more)).await;
        for name in ["keep_alive", "truncate", "options.num_ctx", "options.mirostat", "options.typical_p"] {
            assert!(
                sent.dropped.iter().any(|dropped| dropped == name),
                "{name} to {backend:?}: {:?}",
                sent.dropped
            );
        }
    }
}

#[tokio::test]
async fn an_option_that_is_null_is_none() {
    let mut bench = Bench::start().await;
    for (client, backend) in Api::pairs() {
        let sent =
            bench.ask(client, backend, &sampled(client, &json!({"temperature": null, "top_p": null}))).await;
        assert_eq!(told(backend, &sent, "temperature"), None, "{client:?} to {backend:?}");
        assert!(sent.dropped.is_empty(), "{client:?} to {backend:?}: {:?}", sent.dropped);
    }
}
