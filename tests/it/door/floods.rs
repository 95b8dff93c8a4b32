//! Clients of HTTP/2 that send frames for their own sake are cut off, and others do not feel it.

use std::net::SocketAddr;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::peer::Http2;
use crate::support::{Setup, Upstream, chat, openai, within};

const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0";
/// Makes the n-th frame of a flood.
type Make = fn(u32) -> Vec<u8>;

const GOAWAY: u8 = 7;
const ENHANCE_YOUR_CALM: u8 = 11;

fn frame(kind: u8, flags: u8, stream: u32, payload: &[u8]) -> Vec<u8> {
    let length = u32::try_from(payload.len()).unwrap().to_be_bytes();
    [&length[1..], &[kind, flags], &stream.to_be_bytes(), payload].concat()
}

/// `:method GET, :scheme http, :path /, :authority localhost` in HPACK.
const HEAD: &[u8] = b"\x82\x86\x84\x41\x09localhost";

/// Sends this again and again until the gateway closes, and says whether it took leave before.
async fn flood(address: SocketAddr, make: impl Fn(u32) -> Vec<u8>) -> bool {
    let stream = TcpStream::connect(address).await.unwrap();
    let (mut reader, mut writer) = stream.into_split();
    let heard = async {
        let mut heard = Vec::new();
        let mut buffer = vec![0; 65536];
        while let Ok(read @ 1..) = reader.read(&mut buffer).await {
            heard.extend_from_slice(&buffer[..read]);
        }
        heard
    };
    let writing = async {
        writer.write_all(PREFACE).await.unwrap();
        for round in 0..2000 {
            let burst: Vec<u8> = (0..50).flat_map(|n| make(round * 50 + n)).collect();
            if writer.write_all(&burst).await.is_err() {
                return; // it was closed upon
            }
        }
    };
    let both = async { tokio::join!(heard, writing) };
    let (heard, ()) = within("the gateway to end a flood", both).await;
    let mut rest = &heard[..];
    while let [a, b, c, kind, _, _, _, _, _, payload @ ..] = rest {
        let length = u32::from_be_bytes([0, *a, *b, *c]) as usize;
        if *kind == GOAWAY && payload.get(7) == Some(&ENHANCE_YOUR_CALM) {
            return true;
        }
        rest = payload.get(length..).unwrap_or_default();
    }
    false
}

#[tokio::test]
async fn floods_are_ended_and_a_good_client_goes_on() {
    let mut upstream = Upstream::start().await;
    let setup = Setup::new().server("h2c = true\nworkers = 1").backend("one", "openai", &upstream.url());
    let gateway = setup.start().await;
    let mut good = Http2::connect(gateway.public).await;
    let (answer, _) = good.post(&chat()).await;
    let mut call = upstream.call().await;
    call.say(&["Rhine"]).await;
    let mut body = within("an answer", answer).await.unwrap().into_body();
    let before = gateway.resident();
    let floods: [(&str, Make); 6] = [
        ("PING", |n| frame(6, 0, 0, &u64::from(n).to_be_bytes())),
        ("SETTINGS", |_| frame(4, 0, 0, b"")),
        ("PRIORITY", |n| frame(2, 0, n * 2 + 1, b"\0\0\0\0\x10")),
        ("unknown frames", |_| frame(0xbb, 0, 0, b"")),
        ("rapid reset", |n| [frame(1, 5, n * 2 + 1, HEAD), frame(3, 0, n * 2 + 1, b"\0\0\0\x08")].concat()),
        ("CONTINUATION", |n| if n == 0 { frame(1, 0, 1, HEAD) } else { frame(9, 0, 1, b"") }),
    ];
    for (name, make) in floods {
        // A client that is cut off in the middle of its writing may be told of a reset before it has read why.
        let calm = flood(gateway.public, make).await;
        println!("{name}: told to calm down: {calm}");
        call.sse(&openai::text(name)).await;
        let mut heard = String::new();
        while !heard.contains(name) {
            heard += &super::peer::piece(&mut body).await.unwrap().unwrap();
        }
    }
    let counted = gateway.metric("streamgate_connections_refused_total", &["reason=\"flood\""]).await;
    assert!(counted >= 4.0, "{counted}");
    let grown = gateway.resident().saturating_sub(before);
    assert!(grown < 20 * 1024, "{grown} KiB more");
}
