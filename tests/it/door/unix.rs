//! A Unix socket: the gateway behind a proxy of the same machine.

use std::os::unix::fs::PermissionsExt;

use tokio::io::AsyncWriteExt;
use tokio::net::UnixStream;

use super::peer::read_until;
use crate::support::{Request, Setup, Upstream, chat, run};

#[tokio::test]
async fn a_stream_comes_through_a_socket_that_goes_with_the_gateway() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("gateway.sock");
    drop(std::os::unix::net::UnixListener::bind(&path).unwrap()); // a stale one
    let mut upstream = Upstream::start().await;
    let lines = format!("listen = \"unix:{}\"\nlisten_mode = 0o600\nworkers = 2", path.display());
    let mut gateway = Setup::new().server(&lines).backend("one", "openai", &upstream.url()).start().await;
    assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    let mut stream = UnixStream::connect(&path).await.unwrap();
    let request = Request::post("/v1/chat/completions", &chat()).header("x-forwarded-for", "198.51.100.7");
    stream.write_all(&request.header("x-request-id", "unix-1").to_bytes("localhost")).await.unwrap();
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    read_until(&mut stream, "Rhine").await;
    drop(stream);
    call.closed().await;
    let line = gateway.access_line("unix-1").await;
    assert!(line.contains("198.51.100.7"), "{line}");
    gateway.signal("TERM");
    assert!(gateway.exit().await.success());
    assert!(!path.exists());
}

#[tokio::test]
async fn a_file_that_is_no_socket_is_left_alone() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("data");
    std::fs::write(&path, "data").unwrap();
    let config = Setup::new().server(&format!("listen = \"unix:{}\"", path.display())).demo().toml();
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let run = run(folder.path(), &["serve"]).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains("not a socket"), "{}", run.all);
    assert_eq!(std::fs::read(&path).unwrap(), b"data");
}
