//! The guides of the README: the commands that they tell to type run, or at least are commands that there are.

use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use super::super::support::run;

/// The sections whose commands are tried.
const GUIDES: [&str; 6] = ["Snippets", "Behind a CDN", "In a browser", "Docker", "systemd", "Kubernetes"];

/// The shell commands of a section's code blocks; what ends with a backslash goes on.
fn commands(section: &str) -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let (_, text) =
        readme.split_once(&format!("\n### {section}\n")).unwrap_or_else(|| panic!("no {section}"));
    let text = text.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let lines: Vec<String> = blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

#[tokio::test]
async fn their_commands_of_streamgate_run() {
    let folder = TempDir::new().unwrap();
    let config =
        "[[backend]]\nname = \"demo\"\napi = \"demo\"\n[[route]]\nmodel = \"*\"\nbackends = [\"demo\"]\n";
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let (mut tried, root) = (0, Path::new(env!("CARGO_MANIFEST_DIR")));
    for command in GUIDES.iter().flat_map(|section| commands(section)) {
        let words: Vec<&str> =
            command.split_whitespace().take_while(|word| !matches!(*word, ">" | "|" | "#")).collect();
        let words: Vec<&str> = words.into_iter().skip_while(|word| *word == "sudo").collect();
        let [program, arguments @ ..] = words.as_slice() else {
            continue;
        };
        if *program != "streamgate" {
            continue;
        }
        // In the repository where they name its files.
        let here = if command.contains("docker/") { root } else { folder.path() };
        let run = run(here, arguments).await;
        assert_eq!(run.code, Some(0), "{command}: {}", run.all);
        tried += 1;
    }
    assert!(tried >= 5, "{tried} commands");
}

#[test]
fn their_commands_are_shell() {
    for section in GUIDES {
        for command in commands(section) {
            let parsed = Command::new("bash").args(["-n", "-c", &command]).status().unwrap();
            assert!(parsed.success(), "{command}");
        }
    }
}

#[test]
fn the_files_that_they_name_are_there() {
    for section in GUIDES {
        for command in commands(section) {
            for word in command.split_whitespace().filter(|word| word.starts_with("docker/")) {
                let made = word.starts_with("docker/tls");
                let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(word).exists();
                assert!(made || there, "{word} of {command}");
            }
        }
    }
}
