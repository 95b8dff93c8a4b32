//! A client asks for anything at all: what is read is written for every backend, as JSON.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgate::wire::{Frame, Style, parse_request, write_request};
use streamgate_fuzz::DIALECTS;

fuzz_target!(|body: &[u8]| {
    for from in DIALECTS {
        let Ok(request) = parse_request(from, body) else { continue };
        for to in DIALECTS {
            if let Ok(written) = write_request(to, &request, "m", Style::default()) {
                let data = written.body;
                assert!(Frame { raw: data.clone(), event: None, data }.is_complete(), "{from:?} to {to:?}");
            }
        }
    }
});
