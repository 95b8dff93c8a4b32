//! The fault matrix: what can go wrong between client, gateway, backend and store, what must be seen then, and the tests that see
//! to it. Faults that no other group of tests makes are made in the files of this one.

mod client;
mod clock;
mod greedy;
mod intermediary;
mod process;
mod resource;
#[cfg(feature = "redis")]
mod store;
mod table;
mod threats;
mod unreachable;
mod upstream;

use std::collections::BTreeSet;
use std::path::Path;

/// One fault or threat.
struct Row {
    id: &'static str,
    /// What goes wrong.
    fault: &'static str,
    /// How the tests make it so.
    made: &'static str,
    /// What must be seen: status, event, metric.
    seen: &'static str,
    by: By,
}

/// What holds a promise.
enum By {
    /// These tests: `cancel::name` stands in `tests/it/cancel.rs`, `clients/file.py::name` below `tests`, `src/file.rs::name` in
    /// the unit tests of that file.
    Tests(&'static [&'static str]),
    /// No test that runs, for this reason.
    NotRun(&'static str),
}

/// Short, so that a row of the table is a few lines.
const fn row(id: &'static str, fault: &'static str, made: &'static str, seen: &'static str, by: By) -> Row {
    Row { id, fault, made, seen, by }
}

/// The text of the file that a test's name points to, and the name of its function.
fn source(test: &str) -> (String, &str) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (path, name) = test.rsplit_once("::").unwrap_or_else(|| panic!("{test:?} names no module"));
    let files = match path.split_once('/') {
        Some(("clients", _)) => vec![root.join("tests").join(path)],
        Some(("src", _)) => vec![root.join(path)],
        _ => {
            let module = root.join("tests/it").join(path.replace("::", "/"));
            vec![module.with_extension("rs"), module.join("mod.rs")]
        }
    };
    let text = files.iter().find_map(|file| std::fs::read_to_string(file).ok());
    (text.unwrap_or_else(|| panic!("{test:?}: no file {files:?}")), name)
}

/// Is there such a test, and is it one?
fn exists(test: &str) -> bool {
    let (text, name) = source(test);
    if test.contains(".py::") {
        return text.contains(&format!("\ndef {name}("));
    }
    let mut above: Vec<&str> = Vec::new();
    for line in text.lines().map(str::trim) {
        let own = line.strip_prefix("async ").unwrap_or(line).strip_prefix("fn ");
        if own.and_then(|rest| rest.strip_prefix(name)).is_some_and(|rest| rest.starts_with('(')) {
            return above.iter().any(|line| line.starts_with("#[tokio::test") || *line == "#[test]");
        }
        if line.starts_with("#[") { above.push(line) } else { above.clear() }
    }
    false
}

/// Every id of these groups is there exactly once, every row says all that it must, and every test that is named exists.
fn assert_whole(rows: &[Row], groups: &[(&str, usize)]) {
    let wanted: BTreeSet<String> = groups
        .iter()
        .flat_map(|(group, last)| (1..=*last).map(move |number| format!("{group}{number}")))
        .collect();
    let there: BTreeSet<String> = rows.iter().map(|row| row.id.to_owned()).collect();
    assert_eq!(there, wanted);
    assert_eq!(rows.len(), wanted.len(), "an id is there twice");
    for row in rows {
        let Row { id, fault, made, seen, by } = row;
        assert!(
            [fault, made, seen].iter().all(|words| !words.is_empty()),
            "{id} does not say what it is about"
        );
        match by {
            By::Tests(tests) => {
                assert!(!tests.is_empty(), "{id} names no test");
                let missing: Vec<_> = tests.iter().filter(|test| !exists(test)).collect();
                assert!(missing.is_empty(), "{id}: no such test: {missing:?}");
            }
            By::NotRun(reason) => assert!(!reason.is_empty(), "{id} is not run, and does not say why"),
        }
    }
}

fn run(rows: &[Row]) -> usize {
    rows.iter().filter(|row| matches!(row.by, By::Tests(_))).count()
}

#[test]
fn every_fault_of_the_matrix_has_its_tests_or_its_reason() {
    let groups = [("C", 22), ("U", 28), ("N", 9), ("S", 10), ("P", 7), ("R", 7)];
    assert_whole(table::ROWS, &groups);
    let run = run(table::ROWS);
    println!("{run} of {} faults are run", table::ROWS.len());
    assert!(run >= 60, "only {run} rows run");
}

#[test]
fn every_threat_has_its_tests_or_its_reason() {
    assert_whole(threats::ROWS, &[("M", 24)]);
    println!("{} of {} threats are run", run(threats::ROWS), threats::ROWS.len());
}

#[test]
fn a_test_that_is_not_there_is_missed() {
    assert!(exists("faults::a_test_that_is_not_there_is_missed"));
    assert!(!exists("faults::nobody_has_written_this"));
    assert!(!exists("faults::exists"), "a function that is no test");
}
