//! Who may name whom in `src/`, and the rules of the house that no compiler holds.

use std::path::{Path, PathBuf};

/// Every module of the crate's root, and the others that it may name.
const MAY_NAME: &[(&str, &[&str])] = &[
    ("wire", &[]),
    ("telemetry", &[]),
    ("journal", &["telemetry"]),
    ("upstream", &["telemetry", "wire"]),
    ("edge", &["telemetry", "wire"]),
    ("server", &["telemetry"]),
    ("relay", &["journal", "telemetry", "upstream", "wire"]),
    ("downstream", &["journal", "telemetry", "wire"]),
    ("api", LOWER),
    ("config", &["api", "downstream", "edge", "journal", "relay", "server", "telemetry", "upstream", "wire"]),
    ("doctor", &["client", "wire"]),
    (
        "app",
        &[
            "api",
            "config",
            "doctor",
            "downstream",
            "edge",
            "journal",
            "relay",
            "server",
            "telemetry",
            "upstream",
            "wire",
        ],
    ),
    ("client", &["wire"]),
    ("snippet", &["config"]),
    ("cli", &["app", "client", "config", "doctor", "snippet"]),
    ("main", &["cli"]),
    ("lib", &[]),
];

const LOWER: &[&str] = &["downstream", "edge", "journal", "relay", "server", "telemetry", "upstream", "wire"];

/// Lines of code that a file may have, tests not counted.
const LIMIT: usize = 350;

struct Source {
    /// Below `src`, for messages.
    name: String,
    text: String,
}

impl Source {
    /// The module of the crate's root that this file belongs to.
    fn module(&self) -> &str {
        self.name.split('/').next().unwrap().trim_end_matches(".rs")
    }

    /// What is compiled outside tests: no comments, nothing from the first `#[cfg(test)]` on.
    fn code(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().map(str::trim).take_while(|line| *line != "#[cfg(test)]");
        lines.filter(|line| !line.is_empty() && !line.starts_with("//"))
    }

    /// The modules of the crate's root that are named anywhere outside comments, tests included.
    fn named(&self) -> impl Iterator<Item = &str> {
        let lines = self.text.lines().map(str::trim).filter(|line| !line.starts_with("//"));
        let names = lines.flat_map(|line| {
            let own = line.split("crate::").skip(1);
            own.chain(line.split("streamgate::").skip(1))
        });
        names.filter_map(|rest| {
            rest.split(|letter: char| !letter.is_ascii_lowercase() && letter != '_').next()
        })
    }
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut folders = vec![root.clone()];
    let mut found: Vec<PathBuf> = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    assert!(!found.is_empty());
    found.sort();
    let read = |path: PathBuf| Source {
        name: path.strip_prefix(&root).unwrap().to_str().unwrap().to_owned(),
        text: std::fs::read_to_string(&path).unwrap(),
    };
    found.into_iter().map(read).collect()
}

#[test]
fn modules_name_only_what_stands_below_them() {
    let mut breaches = Vec::new();
    for source in sources() {
        let module = source.module();
        let Some((_, allowed)) = MAY_NAME.iter().find(|(name, _)| *name == module) else {
            breaches.push(format!("{}: the module `{module}` has no place in the layers", source.name));
            continue;
        };
        for named in source.named() {
            let known = MAY_NAME.iter().any(|(name, _)| *name == named);
            if known && named != module && !allowed.contains(&named) {
                breaches.push(format!("{}: `{module}` may not name `{named}`", source.name));
            }
        }
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}

/// The files below `folder` whose code has one of these words.
fn having(folder: &str, words: &[&str]) -> Vec<String> {
    let mut found = Vec::new();
    for source in sources().iter().filter(|source| source.module() == folder) {
        for line in source.code() {
            found.extend(
                words
                    .iter()
                    .filter(|word| line.contains(**word))
                    .map(|word| format!("{}: `{word}` in `{line}`", source.name)),
            );
        }
    }
    found
}

#[test]
fn wire_knows_no_runtime_no_client_and_no_clock() {
    let words = [
        "tokio",
        "hyper",
        "reqwest",
        "async ",
        ".await",
        "Instant",
        "SystemTime",
        "getrandom",
        "std::net",
        "std::fs",
    ];
    let found = having("wire", &words);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn the_journal_knows_no_json_and_no_http() {
    let found = having("journal", &["serde_json", "http::", "hyper", "reqwest"]);
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn every_file_says_first_what_stands_in_it() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|source| !source.text.starts_with("//! "))
        .map(|source| source.name)
        .collect();
    assert!(silent.is_empty(), "{silent:#?}");
}

#[test]
fn no_file_is_too_long() {
    let counted = sources().into_iter().map(|source| (source.code().count(), source.name));
    let long: Vec<(usize, String)> = counted.filter(|(lines, _)| *lines > LIMIT).collect();
    assert!(long.is_empty(), "{long:#?}");
}

#[test]
fn every_module_has_a_noun() {
    let nameless = ["util", "utils", "common", "helper", "helpers", "misc", "manager", "handler", "handlers"];
    let found: Vec<String> = sources()
        .into_iter()
        .map(|source| source.name)
        .filter(|name| name.split('/').any(|part| nameless.contains(&part.trim_end_matches(".rs"))))
        .collect();
    assert!(found.is_empty(), "{found:#?}");
}

#[test]
fn a_module_with_parts_is_a_folder() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let twins: Vec<String> = sources()
        .into_iter()
        .map(|source| source.name)
        .filter(|name| root.join(name.trim_end_matches(".rs")).is_dir())
        .collect();
    assert!(twins.is_empty(), "{twins:#?}");
}

#[test]
fn imports_name_one_module_of_the_crate_a_line() {
    let mut breaches = Vec::new();
    for source in sources() {
        breaches.extend(
            source
                .code()
                .filter(|line| line.starts_with("use crate::{"))
                .map(|line| format!("{}: {line}", source.name)),
        );
    }
    assert!(breaches.is_empty(), "{breaches:#?}");
}
