//! The command line: what it says about a configuration, and how it exits.

use std::net::SocketAddr;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::Command;

use crate::support::port::free_port;
use crate::support::{Client, Gateway, Request, Run, Setup, Upstream, chat, run, run_with, until};

/// What `check` says about this file.
async fn check(config: &str) -> Run {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    run(folder.path(), &["check", "--config", "proxy.toml"]).await
}

/// The words in which a place in the file is named, whatever follows.
fn place(config: &str, text: &str) -> String {
    let line = config.lines().position(|line| line.contains(text)).expect("a line of the file") + 1;
    format!("proxy.toml:{line}")
}

const GOOD: &str = "\
[[backend]]
name = \"one\"
api = \"openai\"
url = \"http://127.0.0.1:9\"

[[route]]
model = \"*\"
backends = [\"one\"]
";

#[tokio::test]
async fn a_good_file_passes() {
    let run = check(GOOD).await;
    assert_eq!(run.code, Some(0), "{}", run.all);
}

#[tokio::test]
async fn the_file_of_the_repository_passes() {
    let run = run(Path::new(env!("CARGO_MANIFEST_DIR")), &["check", "--config", "proxy.toml"]).await;
    assert_eq!(run.code, Some(0), "{}", run.all);
}

#[tokio::test]
async fn proxy_toml_in_the_working_directory_is_the_default() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("proxy.toml"), GOOD).unwrap();
    let run = run(folder.path(), &["check"]).await;
    assert_eq!(run.code, Some(0), "{}", run.all);
}

#[tokio::test]
async fn every_problem_is_told_at_once_with_its_place() {
    let config = format!(
        "{GOOD}\n[[backend]]\nname = \"two\"\napi = \"openai\"\nurl = \"not a url\"\n\n\
         [[route]]\nmodel = \"a\"\nbackends = [\"nobody\"]\n\n[[route]]\nmodel = \"b\"\nbackends = [\"noone\"]\n"
    );
    let run = check(&config).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    for wrong in ["not a url", "nobody", "noone"] {
        assert!(run.all.contains(wrong), "{wrong} in\n{}", run.all);
        assert!(run.all.contains(&place(&config, wrong)), "{} in\n{}", place(&config, wrong), run.all);
    }
}

#[tokio::test]
async fn a_problem_comes_with_a_hint() {
    let config = GOOD.replace("[\"one\"]", "[\"ome\"]");
    let run = check(&config).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("hint") && run.all.contains("one"), "{}", run.all);
}

#[tokio::test]
async fn an_unknown_key_is_told_with_the_nearest_known_one() {
    let config = format!("[stream]\nkeep_alvie = \"10s\"\n{GOOD}");
    let run = check(&config).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("keep_alvie") && run.all.contains("`keep_alive`"), "{}", run.all);
    assert!(run.all.contains(&place(&config, "keep_alvie")), "{}", run.all);
}

#[tokio::test]
async fn an_unknown_table_is_told_with_the_nearest_known_one() {
    let run = check(&format!("[steam]\nkeep_alive = \"10s\"\n{GOOD}")).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("steam") && run.all.contains("`stream`"), "{}", run.all);
}

#[tokio::test]
async fn a_value_of_the_wrong_kind_is_told_with_its_place() {
    for line in ["keep_alive = \"10 parsecs\"", "keep_alive = true", "on_disconnect = \"sometimes\""] {
        let config = format!("[stream]\n{line}\n{GOOD}");
        let run = check(&config).await;
        assert_eq!(run.code, Some(2), "{line}: {}", run.all);
        assert!(run.all.contains("proxy.toml:2"), "{line}: {}", run.all);
    }
}

#[tokio::test]
async fn memory_for_bodies_that_has_no_room_for_one_is_a_problem() {
    for line in ["max_body_memory = \"19MiB\"", "max_body_memory_per_key = \"19MiB\""] {
        let run = check(&format!("[server]\n{line}\n{GOOD}")).await;
        assert_eq!(run.code, Some(2), "{line}: {}", run.all);
        assert!(run.all.contains("proxy.toml:2") && run.all.contains("20.0 MiB"), "{line}: {}", run.all);
    }
    let run = check(&format!("[server]\nmax_body_bytes = \"200MiB\"\n{GOOD}")).await;
    assert_eq!(run.code, Some(0), "the share of a key follows: {}", run.all);
}

#[tokio::test]
async fn a_keep_alive_of_nothing_is_a_problem_of_a_route_too() {
    let config = format!("{GOOD}keep_alive = \"0s\"\n");
    let run = check(&config).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("keep_alive"), "{}", run.all);
    assert!(run.all.contains(&place(&config, "keep_alive")), "{}", run.all);
}

#[tokio::test]
async fn two_keys_with_one_digest_are_a_problem() {
    let digest = "ab".repeat(32);
    let key = |name: &str, digest: &str| format!("[[key]]\nname = \"{name}\"\nsha256 = \"{digest}\"\n\n");
    for second in [&digest, &digest.to_uppercase()] {
        let run = check(&format!("{}{}{GOOD}", key("alice", &digest), key("bob", second))).await;
        assert_eq!(run.code, Some(2), "{}", run.all);
        assert!(run.all.contains("proxy.toml:7"), "the second `sha256`: {}", run.all);
        assert!(!run.all.contains(&digest), "{}", run.all);
    }
}

#[tokio::test]
async fn a_file_that_is_no_toml_is_told_with_its_place() {
    let run = check("[server\nlisten = \"127.0.0.1:0\"\n").await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("proxy.toml:1"), "{}", run.all);
}

#[tokio::test]
async fn a_file_that_is_not_there_is_told_by_its_name() {
    let folder = TempDir::new().unwrap();
    for command in ["check", "serve"] {
        let run = run(folder.path(), &[command, "--config", "nowhere.toml"]).await;
        assert_eq!(run.code, Some(2), "{command}: {}", run.all);
        assert!(run.all.contains("nowhere.toml"), "{command}: {}", run.all);
    }
}

#[tokio::test]
async fn serve_refuses_what_check_refuses() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("proxy.toml"), GOOD.replace("[\"one\"]", "[\"nobody\"]")).unwrap();
    let run = run(folder.path(), &["serve", "--config", "proxy.toml"]).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("nobody"), "{}", run.all);
}

#[tokio::test]
async fn a_key_that_the_environment_lacks_is_told_by_its_name() {
    let config = GOOD.replace("api = \"openai\"", "api = \"openai\"\napi_key = { env = \"IT_NOT_THERE\" }");
    let run = check(&config).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("IT_NOT_THERE"), "{}", run.all);
}

#[tokio::test]
async fn the_version_is_told() {
    let run = run(Path::new("/"), &["--version"]).await;
    assert_eq!((run.code, run.stdout.trim()), (Some(0), concat!("streamgate ", env!("CARGO_PKG_VERSION"))));
}

#[tokio::test]
async fn completions_are_written_for_the_shell() {
    let run = run(Path::new("/"), &["completions", "bash"]).await;
    assert_eq!(run.code, Some(0), "{}", run.all);
    assert!(run.stdout.contains("complete") && run.stdout.contains("streamgate"), "{}", run.stdout);
}

#[tokio::test]
async fn an_unknown_command_is_a_usage_error() {
    let run = run(Path::new("/"), &["sevre"]).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
}

#[tokio::test]
async fn a_port_that_is_taken_is_told_by_its_address() {
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let folder = TempDir::new().unwrap();
    let config = Setup::new().server(&format!("listen = \"{address}\"")).demo().toml();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let run = run(folder.path(), &["serve", "--config", "proxy.toml"]).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains(&address), "{}", run.all);
    assert_eq!(run.all.matches("in use").count(), 1, "{}", run.all);
}

#[tokio::test]
async fn a_port_that_another_gateway_has_is_taken_too() {
    let first = Gateway::start(&Setup::new().demo().toml()).await;
    let address = first.public.to_string();
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("proxy.toml"), Setup::new().demo().toml()).unwrap();
    let run = run(folder.path(), &["serve", "--config", "proxy.toml", "--listen", &address]).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains(&address), "{}", run.all);
}

#[tokio::test]
async fn the_start_says_what_runs_and_what_to_try() {
    let config = Setup::new().demo().toml();
    let gateway = Gateway::start(&config).await;
    let said = gateway.said();
    assert!(said.starts_with(concat!("streamgate ", env!("CARGO_PKG_VERSION"), "\n")), "{said}");
    assert!(said.contains(&format!("listening on http://{}\n", gateway.public)), "{said}");
}

#[tokio::test]
async fn the_listener_of_the_command_line_goes_before_the_files() {
    let folder = TempDir::new().unwrap();
    let config = Setup::new().server("listen = \"127.0.0.1:1\"").demo().toml();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let holder = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = holder.local_addr().unwrap().to_string();
    let run = run(folder.path(), &["serve", "--config", "proxy.toml", "--listen", &address]).await;
    assert_eq!(run.code, Some(1), "the port is taken: {}", run.all);
    assert!(run.all.contains(&address), "{}", run.all);
}

#[tokio::test]
async fn a_gateway_whose_greeting_nobody_reads_serves_all_the_same() {
    let folder = TempDir::new().unwrap();
    let port = free_port();
    let config = Setup::new().server(&format!("listen = \"127.0.0.1:{port}\"")).demo().toml();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_streamgate"));
    command.args(["serve", "--config", "proxy.toml"]).current_dir(folder.path()).kill_on_drop(true);
    let mut process = command.stdout(Stdio::piped()).stderr(Stdio::null()).spawn().unwrap();
    drop(process.stdout.take());
    let address = SocketAddr::from(([127, 0, 0, 1], port));
    until("the gateway to listen", async || TcpStream::connect(&address).await.is_ok()).await;
    let mut client = Client::connect(address).await;
    client.ask(&Request::get("/healthz")).await;
    assert_eq!(client.answer().await.status, 200);
    assert!(process.try_wait().unwrap().is_none(), "it ended");
}

/// An environment in which no CA certificates are found.
const WITHOUT_CERTIFICATES: [(&str, &str); 2] = [("SSL_CERT_FILE", "/nowhere"), ("SSL_CERT_DIR", "/nowhere")];

#[tokio::test]
async fn backends_by_plain_http_need_no_certificates() {
    let mut upstream = Upstream::start().await;
    let setup =
        WITHOUT_CERTIFICATES.iter().fold(Setup::new(), |setup, (name, value)| setup.environment(name, value));
    let gateway = setup
        .demo()
        .backend("one", "openai", &upstream.url())
        .route("model = \"*\"\nbackends = [\"one\"]")
        .start()
        .await;
    let asked = gateway.ask_post("/v1/chat/completions", &chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    assert_eq!(asked.answer().await.status, 200);
}

#[tokio::test]
async fn a_backend_by_https_without_certificates_is_told_with_what_to_install() {
    let folder = TempDir::new().unwrap();
    let config = Setup::new().backend("far", "openai", "https://127.0.0.1:9").toml();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let run = run_with(folder.path(), &["serve", "--config", "proxy.toml"], &WITHOUT_CERTIFICATES).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    for words in ["`far`", "CA certificates", "`ca-certificates`", "SSL_CERT_FILE"] {
        assert!(run.all.contains(words), "{words}: {}", run.all);
    }
}

#[tokio::test]
async fn an_operators_listener_beyond_loopback_needs_a_key_or_the_word_for_none() {
    let config = |more: &str| format!("[admin]\nlisten = \"0.0.0.0:9090\"\n{more}\n{GOOD}");
    let run = check(&config("")).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("proxy.toml:2") && run.all.contains("allow_anonymous"), "{}", run.all);
    let digest = "0".repeat(64);
    for more in [format!("sha256 = \"{digest}\""), "allow_anonymous = true".to_owned()] {
        let run = check(&config(&more)).await;
        assert_eq!(run.code, Some(0), "{}", run.all);
    }
    let run = check(&config("sha256 = \"abc\"")).await;
    assert_eq!(run.code, Some(2), "{}", run.all);
    assert!(run.all.contains("proxy.toml:3"), "{}", run.all);
}

#[tokio::test]
async fn the_address_of_the_store_may_be_named_as_secrets_are_and_is_never_told() {
    let folder = TempDir::new().unwrap();
    std::fs::write(folder.path().join("store"), "redis://:canary@127.0.0.1:6379\n").unwrap();
    let environment = [("IT_STORE", "redis://:canary@127.0.0.1:6379"), ("IT_WRONG", "http://:canary@there")];
    let check = async |url: &str| {
        let config = format!("[journal]\nstore = \"redis\"\nurl = {url}\n{GOOD}");
        let file = folder.path().join("proxy.toml");
        std::fs::write(&file, config).unwrap();
        let run = run_with(folder.path(), &["check"], &environment).await;
        assert!(!run.all.contains("canary"), "{}", run.all);
        (run.code, run.all)
    };
    for url in ["{ env = \"IT_STORE\" }", "{ file = \"store\" }"] {
        let (code, said) = check(url).await;
        assert!(code == Some(0) && !said.contains("password"), "{said}");
    }
    let wrong = [
        ("{ env = \"IT_WRONG\" }", "is not one"),
        ("{ env = \"IT_NONE\" }", "IT_NONE"),
        ("{ file = \"nowhere\" }", "nowhere"),
        ("{ text = \"redis://:canary@127.0.0.1\" }", "an address, { env"),
        ("5", "an address, { env"),
    ];
    for (url, words) in wrong {
        let (code, said) = check(url).await;
        assert!(code == Some(2) && said.contains("proxy.toml:3") && said.contains(words), "{said}");
    }
    let (code, said) = check("\"redis://:canary@127.0.0.1:6379\"").await;
    assert!(code == Some(0) && said.contains("everybody on this machine can read"), "{said}");
}

#[tokio::test]
async fn what_stands_in_a_backends_address_is_not_repeated() {
    for url in [
        "http://user:canary@127.0.0.1:9",
        "htp://:canary@there",
        "http://127.0.0.1:9/v1?key=canary",
        "user:canary@",
    ] {
        let run = check(&GOOD.replace("http://127.0.0.1:9", url)).await;
        assert_eq!(run.code, Some(2), "{}", run.all);
        assert!(run.all.contains("proxy.toml:4") && !run.all.contains("canary"), "{}", run.all);
    }
}

#[tokio::test]
async fn a_secret_that_was_written_where_it_is_to_be_named_is_not_repeated() {
    let lines = [
        ("[journal]\n", "seal_key = \"canary\""),
        ("[journal]\n", "seal_key = { text = \"canary\" }"),
        ("[journal]\n", "seal_key = { env = \"A\", file = \"canary\" }"),
        (
            "[[backend]]\nname = \"two\"\napi = \"openai\"\nurl = \"http://127.0.0.1:9\"\n",
            "api_key = \"sk-canary\"",
        ),
        ("[[key]]\nname = \"a\"\n", "sha256 = \"sk-canary\""),
        ("[admin]\n", "sha256 = \"sk-canary\""),
    ];
    for (section, line) in lines {
        let config = format!("{GOOD}\n{section}{line}\n");
        let run = check(&config).await;
        assert_eq!(run.code, Some(2), "{}", run.all);
        assert!(run.all.contains(&place(&config, line)) && !run.all.contains("canary"), "{}", run.all);
        let named = run.all.contains("expected { env = \"NAME\" }") || line.starts_with("sha256");
        assert!(named, "{}", run.all);
    }
}
