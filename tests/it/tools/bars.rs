//! Progress bars on a real terminal of 60 columns: they are there while it takes, and nothing of them is left behind.

use std::process::Stdio;

use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::{Gateway, Setup, gateway_over, within};

const COLUMNS: usize = 60;

/// A tool on a terminal that `script` (util-linux) makes for it.
struct Terminal {
    process: Child,
    keys: ChildStdin,
    out: ChildStdout,
    bytes: Vec<u8>,
}

impl Terminal {
    fn start(gateway: &Gateway, arguments: &[&str]) -> Self {
        let binary = env!("CARGO_BIN_EXE_streamgate");
        let line = format!("stty cols {COLUMNS} rows 24; exec {binary} {}", arguments.join(" "));
        let mut command = Command::new("script");
        command.args(["--quiet", "--return", "--flush", "--command", &line, "/dev/null"]);
        command.env("STREAMGATE_SERVER", format!("http://{}", gateway.public)).env("TERM", "xterm");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut process = command.spawn().expect("script of the package util-linux");
        let (keys, out) = (process.stdin.take().unwrap(), process.stdout.take().unwrap());
        Self { process, keys, out, bytes: Vec::new() }
    }

    fn text(&self) -> String {
        String::from_utf8_lossy(&self.bytes).into_owned()
    }

    /// Until this has been on the screen.
    async fn shows(&mut self, words: &str) {
        let reading = async {
            while !self.text().contains(words) {
                assert_ne!(self.out.read_buf(&mut self.bytes).await.unwrap(), 0, "{}", self.text());
            }
        };
        within(words, reading).await;
    }

    async fn press_ctrl_c(&mut self) {
        self.keys.write_all(b"\x03").await.unwrap();
    }

    /// What stands on the screen at the end, and the exit code.
    async fn end(mut self) -> (Vec<String>, Option<i32>, String) {
        within("the terminal to end", self.out.read_to_end(&mut self.bytes)).await.unwrap();
        let status = within("the terminal to end", self.process.wait()).await.unwrap();
        (screen(&self.text()), status.code(), self.text())
    }
}

/// What a terminal makes of this output: line breaks, and the sequences of bars.
fn screen(text: &str) -> Vec<String> {
    let mut lines = vec![Vec::new()];
    let (mut line, mut column) = (0, 0);
    let mut letters = text.chars();
    while let Some(letter) = letters.next() {
        match letter {
            '\r' => column = 0,
            '\n' => line += 1,
            '\u{1b}' => {
                let sequence: String =
                    letters.by_ref().skip(1).take_while(|letter| !letter.is_ascii_alphabetic()).collect();
                // `take_while` has taken the letter: of those that are used here, only 2K has a 2.
                match sequence.as_str() {
                    "2" => lines[line].clear(),
                    other => panic!("a sequence with {other:?} in {text:?}"),
                }
            }
            letter => {
                if column == COLUMNS {
                    (line, column) = (line + 1, 0);
                }
                while lines.len() <= line {
                    lines.push(Vec::new());
                }
                if lines[line].len() <= column {
                    lines[line].resize(column + 1, ' ');
                }
                lines[line][column] = letter;
                column += 1;
            }
        }
        while lines.len() <= line {
            lines.push(Vec::new());
        }
    }
    let lines = lines.into_iter().map(|line| String::from_iter(line).trim_end().to_owned());
    lines.filter(|line| !line.is_empty()).collect()
}

async fn demo() -> (Gateway, String) {
    let gateway = Setup::new().demo().start().await;
    let url = format!("http://{}", gateway.public);
    (gateway, url)
}

const BAR: [char; 2] = ['░', '█'];

#[tokio::test]
async fn a_bench_shows_how_far_it_is_and_then_its_report_alone() {
    let (gateway, url) = demo().await;
    let arguments =
        ["bench", &url, "--requests", "12", "--streams", "4", "--model", "demo:words=10,pace=30ms"];
    let (screen, code, all) = Terminal::start(&gateway, &arguments).end().await;
    assert_eq!(code, Some(0), "{all}");
    assert!(all.contains(BAR) && all.contains("4 running, 4 ended"), "{all:?}");
    assert!(screen[0].starts_with(&url) && screen[1].starts_with("ms "), "{screen:#?}");
    assert!(!screen.concat().contains(BAR), "{screen:#?}");
}

#[tokio::test]
async fn ctrl_c_leaves_nothing_of_the_bar_and_prints_what_was_measured() {
    let (gateway, url) = demo().await;
    let arguments = ["bench", &url, "--streams", "2", "--model", "demo:words=5,pace=10ms"];
    let mut terminal = Terminal::start(&gateway, &arguments);
    terminal.shows("2 running, ").await;
    gateway.metric_reaches("streamgate_stream_ends_total", &[], 2.0).await;
    terminal.press_ctrl_c().await;
    let (screen, code, all) = terminal.end().await;
    assert_eq!(code, Some(130), "{all}");
    assert!(screen[0].starts_with(&url) && screen[1].starts_with("ms "), "{screen:#?}");
    assert!(!screen.concat().contains(BAR) && !screen.concat().contains("^C"), "{screen:#?}");
}

#[tokio::test]
async fn the_doctor_shows_how_long_it_takes_and_pictures_that_are_whole() {
    let (gateway, url) = demo().await;
    let arguments = ["doctor", &url, "--silence", "500ms", "--early", "2100ms", "--pace", "60ms"];
    let (screen, code, all) = Terminal::start(&gateway, &arguments).end().await;
    assert!(matches!(code, Some(0 | 3)), "whatever it finds on a busy machine: {all}");
    assert!(all.contains(BAR) && all.contains('%'), "{all:?}");
    assert!(!screen.concat().contains(BAR), "{screen:#?}");
    let at = screen.iter().position(|line| line.starts_with("  plain  ")).unwrap();
    assert!(screen[at].contains("head ") && screen[at + 1].matches('|').count() > 15, "{screen:#?}");
}

#[tokio::test]
async fn a_pull_shows_what_is_done_and_how_much_there_is() {
    let (gateway, mut upstream) = gateway_over("ollama", &[]).await;
    let mut terminal = Terminal::start(&gateway, &["pull", "m"]);
    let mut call = upstream.call().await;
    call.lines().await;
    call.line(&json!({"status": "pulling manifest"})).await;
    terminal.shows("pulling manifest").await;
    assert!(!terminal.text().contains(BAR), "nobody knows how much there is: {}", terminal.text());
    let layer = |completed: u64| json!({"status": "pulling 6a0746a1ec1a", "digest": "sha256:6a", "total": 4_u64 << 30, "completed": completed});
    call.line(&layer(1 << 30)).await;
    call.line(&layer(2 << 30)).await;
    terminal.shows("2.00 GiB/4.00 GiB").await;
    call.line(&json!({"status": "success"})).await;
    call.finish().await;
    let (screen, code, all) = terminal.end().await;
    assert_eq!((code, screen), (Some(0), vec!["pulled m".to_owned()]), "{all:?}");
    assert!(all.contains(BAR), "{all:?}");
}
