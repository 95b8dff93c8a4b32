//! The commands that the README shows under "Command line" do what it says.

use std::path::Path;
use std::process::Stdio;

use serde_json::json;
use tempfile::TempDir;
use tokio::process::Command;

use crate::support::{Gateway, Request, Setup, Upstream, prompt, until, within};

fn readme() -> String {
    std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/README.md")).unwrap()
}

/// The lines of the section's first block.
fn shown() -> Vec<String> {
    let readme = readme();
    let section = readme.split("\n## Command line\n").nth(1).expect("the section");
    let block = section.split("```sh\n").nth(1).unwrap().split("```").next().unwrap();
    block.lines().map(|line| line.split("  #").next().unwrap().trim().to_owned()).collect()
}

/// Runs a line in a shell that has the program, at this gateway.
async fn run(folder: &Path, gateway: &Gateway, id: &str, line: &str) -> std::process::Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_streamgate")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var_os("PATH").unwrap().to_str().unwrap());
    let line = line.replace("127.0.0.1:8080", &gateway.public.to_string()).replace("30s", "1s");
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(folder).env("PATH", path).env("ID", id).env("KEY", "sk-it-key");
    command.env("STREAMGATE_SERVER", format!("http://{}", gateway.public));
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    within(&line, command.output()).await.unwrap()
}

#[tokio::test]
async fn every_command_that_is_shown_works() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().demo().backend("ollama", "ollama", &upstream.url());
    let setup = setup.route("model = \"demo*\"\nbackends = [\"demo\"]");
    let gateway = setup.route("model = \"*\"\nbackends = [\"ollama\"]").start().await;
    let talk = Request::post("/v1/chat/completions", &prompt("demo:words=5,pace=5ms", true));
    let mut answer = gateway.send(&talk.header("x-conversation-id", "my-chat")).await;
    answer.rest().await;
    let id = answer.header("stream-id").unwrap().to_owned();
    gateway.post("/v1/channels/job-7", &json!({"data": "one"})).await;
    let folder = TempDir::new().unwrap();
    let lines = shown();
    for word in ["key ", "key hash", "tail ", "pull ", "bench ", "--against"] {
        assert!(lines.iter().any(|line| line.contains(word)), "{word} in {lines:?}");
    }
    for line in lines {
        let driver = async {
            if line.contains("pull") {
                let mut call = upstream.call().await;
                call.lines().await;
                call.line(&json!({"status": "success"})).await;
                call.finish().await;
            } else if line.contains("channel:") {
                // Whenever the reader comes: one deletion finds it.
                until("the reader to end", async || {
                    gateway.send(&Request::new("DELETE", "/v1/channels/job-7")).await;
                    false
                })
                .await;
            }
            std::future::pending::<()>().await;
        };
        let output = tokio::select! {
            biased;
            output = run(folder.path(), &gateway, &id, &line) => output,
            () = driver => unreachable!(),
        };
        assert_eq!(output.status.code(), Some(0), "{line}: {}", String::from_utf8_lossy(&output.stderr));
    }
}

#[test]
fn every_method_that_is_named_is_one_of_http() {
    let readme = readme();
    let options = readme.split("curl -X ").skip(1);
    let doors = readme.split('`').skip(1).step_by(2).filter(|code| code.contains(" /"));
    let letters = |text: &str| text.split(' ').next().unwrap_or_default().to_owned();
    let mut methods: Vec<String> = options.chain(doors).map(letters).collect();
    methods.retain(|word| word.bytes().all(|byte| byte.is_ascii_uppercase()));
    assert!(methods.len() > 20, "{methods:?}");
    methods.retain(|method| !["GET", "HEAD", "POST", "DELETE"].contains(&method.as_str()));
    assert_eq!(methods, [""; 0]);
}
