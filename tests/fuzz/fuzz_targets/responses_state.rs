//! A Responses request of anybody, on its way to one that stands for itself: what is kept of it and whose history it goes on from
//! is what other readers of the same body see.

#![no_main]

use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use serde_json::value::RawValue;
use streamgate::wire::openai_responses::{
    State, flatten, input_items, joined_items, outline, response_in, sequence_number, stand_alone,
    with_status,
};
use streamgate::wire::{Echo, Envelope, ModelKey};
use streamgate_fuzz::members::Members;

fuzz_target!(|body: &[u8]| {
    flattened(body);
    answered(body);
    let Some(members) = Members::of(body) else {
        assert!(State::of(body).is_err());
        return;
    };
    let Ok(state) = State::of(body) else { return };
    // A body that is read in two ways came no further.
    if Envelope::parse(body, ModelKey::Model, false, 64).is_err() {
        return;
    }
    drop(format!("{:?}", Echo::of(body, state.store)));
    for read in [Members::exact, Members::folded] {
        let flag = |name| read(&members, name).and_then(|value| value.as_bool());
        assert_eq!(state.store, flag("store") != Some(false));
        assert_eq!(state.background, flag("background") == Some(true));
        let previous = read(&members, "previous_response_id").filter(Value::is_string);
        if members.0.iter().all(|(_, value)| !value.get().contains("\\u")) {
            assert_eq!(state.previous.as_deref(), previous.as_ref().and_then(Value::as_str));
        }
    }
    let own = input_items(body);
    let input = joined_items(&["[{\"a\":1}]", " [ ] ", &own, "", "[2]"]);
    let items = list(&input).expect("a list");
    if let Some(own) = list(&own) {
        assert_eq!(items.len(), own.len() + 2);
        assert!(items.iter().zip(["{\"a\":1}"].into_iter().chain(own)).all(|(item, own)| *item == own));
    }
    let whole = stand_alone(body, &input).expect("an object");
    let after = Members::of(&whole).expect("an object");
    assert_eq!(
        after.exact("input"),
        serde_json::from_str(&input).ok().or(Some(Value::String(input.clone())))
    );
    for read in [Members::exact, Members::folded] {
        assert_eq!(read(&after, "previous_response_id"), None);
        assert_eq!(read(&after, "background"), None);
        assert_eq!(read(&after, "store"), read(&members, "store"));
        assert_eq!(read(&after, "model"), read(&members, "model"));
    }
});

/// The elements of a list, as they are written.
fn list(text: &str) -> Option<Vec<&str>> {
    let list: Vec<&RawValue> = serde_json::from_str(text).ok()?;
    Some(list.into_iter().map(RawValue::get).collect())
}

/// The tools of namespaces stand among the others, and nothing else has changed.
fn flattened(body: &[u8]) {
    let flat = flatten(body);
    let (Some(before), Some(after)) = (Members::of(body), Members::of(&flat)) else {
        assert_eq!(flat, body);
        return;
    };
    let moved = ["tools", "input"];
    let on_one_line = |text: &str| text.replace(['\r', '\n'], " ");
    let others = |members: &Members| -> Vec<_> {
        members.without(&moved).into_iter().map(|(key, value)| (key.to_owned(), on_one_line(value))).collect()
    };
    assert_eq!(others(&before), others(&after));
}

/// What a backend said of a response, told again.
fn answered(data: &[u8]) {
    let _ = sequence_number(data);
    let response = response_in(data);
    let Some(text) = response.as_ref().map(|response| response.get()).or(std::str::from_utf8(data).ok())
    else {
        return;
    };
    drop(format!("{:?}", outline(text)));
    let Some(before) = Members::of(text.as_bytes()) else { return };
    for status in ["cancelled", "failed"] {
        let told = with_status(text, status);
        let after = Members::of(told.as_bytes()).expect("an object");
        assert_eq!(after.0.len(), before.0.len());
        assert_eq!(after.exact("status").is_some(), before.0.iter().any(|(key, _)| key == "status"));
        assert!(after.exact("status").is_none_or(|told| told == status));
    }
}
