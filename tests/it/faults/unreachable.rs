//! Clients whose network is gone: no FIN, no reset, no answer.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncBufReadExt, BufReader};

use crate::support::{Namespace, Setup, Upstream, chat, within};

/// What the kernel of the gateway waits for a client that acknowledges nothing, and some seconds for what is between two keep-alives
/// and two tries of the kernel.
const NOTICED: Duration = Duration::from_secs(60 + 15);

#[tokio::test]
async fn a_client_whose_network_is_gone_ends_its_backends_work_after_a_minute() {
    let Some(phone) = Namespace::new() else {
        eprintln!("not run: only root may make network namespaces");
        return;
    };
    let mut upstream = Upstream::start().await;
    let setup = Setup::new()
        .server(&format!("listen = \"{}:0\"\nallow_anonymous = true", phone.here()))
        .stream("keep_alive = \"1s\"");
    let gateway = setup.backend("one", "openai", &upstream.url()).start().await;
    let url = format!("http://{}/v1/chat/completions", gateway.public);
    let mut curl = phone.command("curl");
    curl.args(["-sN", "-H", "content-type: application/json", "-d", &chat().to_string(), &url]);
    let mut curl = curl.stdout(Stdio::piped()).spawn().unwrap();
    let mut call = upstream.call().await;
    call.say(&["Aare"]).await;
    let mut lines = BufReader::new(curl.stdout.take().unwrap()).lines();
    while !within("a word", lines.next_line()).await.unwrap().expect("the stream goes on").contains("Aare") {}
    phone.cut();
    call.closed_in(NOTICED).await;
    gateway.metric_reaches("streamgate_stream_ends_total", &["reason=\"client_gone\""], 1.0).await;
}
