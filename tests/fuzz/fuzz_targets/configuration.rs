//! Any text is the configuration: it is taken, or what is wrong with it is told with the lines that it stands in.

#![no_main]

use libfuzzer_sys::fuzz_target;
use streamgate::config::{Config, Overrides, Problem};

fuzz_target!(|text: &str| {
    // It may name files, and some have no end.
    if text.contains("/dev") || text.contains("/proc") || text.contains("/sys") || text.contains("..") {
        return;
    }
    let text = text.trim_start_matches('\u{feff}'); // a byte order mark is none behind a comment
    let below = format!("# a comment\n{text}");
    match (Config::parse(text, Overrides::default()), Config::parse(&below, Overrides::default())) {
        (Ok(config), Ok(same)) => {
            assert_eq!(config.serves_demo(), same.serves_demo());
            assert_eq!(format!("{config:?}"), format!("{same:?}"));
        }
        (Err(problems), Err(same)) => {
            assert!(!problems.is_empty());
            let lines = text.split('\n').count();
            for Problem { line, message, .. } in &problems {
                assert!((1..=lines).contains(line), "line {line}: {message}");
                assert!(!message.is_empty());
            }
            let moved: Vec<Problem> =
                problems.into_iter().map(|problem| Problem { line: problem.line + 1, ..problem }).collect();
            assert_eq!(moved, same);
        }
        (one, other) => panic!("a comment changes it: {one:?}, {other:?}"),
    }
});
