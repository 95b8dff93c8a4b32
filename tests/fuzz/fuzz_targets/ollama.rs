//! A backend that speaks this dialect sends anything at all.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgate::wire::Dialect;
use streamgate_fuzz::translate;

fuzz_target!(|body: &[u8]| translate(Dialect::OllamaChat, body));
