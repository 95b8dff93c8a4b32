//! A replica that Redis cannot be reached from, though the others can reach it.

use std::net::{Ipv4Addr, SocketAddr};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinSet;

use super::super::support::redis::{Redis, url};
use super::super::support::{Ending, Upstream, until};
use super::{begin, code, id, read, replica, say};

/// A way to Redis on which, while it is closed, bytes are neither passed on nor refused.
struct Way {
    port: u16,
    open: watch::Sender<bool>,
    _tasks: JoinSet<()>,
}

impl Way {
    async fn to(redis: &Redis) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let port = listener.local_addr().unwrap().port();
        let open = watch::Sender::new(true);
        let mut tasks = JoinSet::new();
        tasks.spawn(pass_all(listener, (Ipv4Addr::LOCALHOST, redis.port()).into(), open.subscribe()));
        Self { port, open, _tasks: tasks }
    }
}

async fn pass_all(listener: TcpListener, redis: SocketAddr, open: watch::Receiver<bool>) {
    let mut ways = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let far = TcpStream::connect(redis).await.unwrap();
        let ((near_in, near_out), (far_in, far_out)) = (near.into_split(), far.into_split());
        ways.spawn(pass(near_in, far_out, open.clone()));
        ways.spawn(pass(far_in, near_out, open.clone()));
    }
}

async fn pass(
    mut from: impl AsyncReadExt + Unpin,
    mut to: impl AsyncWriteExt + Unpin,
    mut open: watch::Receiver<bool>,
) {
    let mut bytes = [0; 4096];
    loop {
        let length = from.read(&mut bytes).await.unwrap_or(0);
        let passes = open.wait_for(|open| *open).await.is_ok();
        if length == 0 || !passes || to.write_all(bytes.get(..length).unwrap()).await.is_err() {
            return;
        }
    }
}

#[tokio::test]
async fn a_replica_that_is_cut_off_loses_its_stream_to_the_others_and_learns_so_when_it_is_back() {
    let redis = Redis::start().await;
    let way = Way::to(&redis).await;
    let mut upstream = Upstream::start().await;
    let a = replica(&url(way.port)).backend("one", "openai", &upstream.url()).start().await;
    let b = replica(&redis.url()).backend("one", "openai", &upstream.url()).start().await;
    let mut begun = begin(&a, &mut upstream, "c").await;
    let mut elsewhere = b.send(&read(&begun.id)).await;
    assert_eq!(id(&elsewhere.next_event().await), id(&begun.first));
    way.open.send_replace(false);
    say(&mut begun.call, "Elbe").await;
    assert!(begun.answer.next_event().await.data.contains("Elbe"), "its own readers notice nothing");
    let (events, ending) = elsewhere.events().await;
    assert_eq!((ending, events.len(), code(&events[0])), (Ending::Aborted, 1, "producer_lost".into()));
    until("the cut to be noticed", async || a.metric("streamgate_store_up", &[]).await == 0.0).await;
    way.open.send_replace(true);
    begun.call.closed().await;
    let (events, ending) = begun.answer.events().await;
    assert_eq!((ending, code(events.last().unwrap())), (Ending::Aborted, "producer_lost".into()));
    assert_eq!(redis.ask(&["XLEN", &format!("sg:{{{}}}:frames", begun.id)]), "1", "nothing came to it");
    // What it begins now is everybody's again.
    a.metric_reaches("streamgate_store_up", &[], 1.0).await;
    let begun = begin(&a, &mut upstream, "d").await;
    assert_eq!(begun.answer.header("stream-durability"), None);
    assert_eq!(b.send(&read(&begun.id)).await.status, 200);
}

#[tokio::test]
async fn many_readers_of_many_streams_share_three_connections() {
    let mut pair = super::Pair::start().await;
    let (mut begun, mut readers) = (Vec::new(), Vec::new());
    for number in 0..8 {
        let stream = begin(&pair.a, &mut pair.upstream, &format!("c{number}")).await;
        for _ in 0..3 {
            let mut reader = pair.b.send(&read(&stream.id)).await;
            reader.next_event().await;
            readers.push((number, reader));
        }
        begun.push(stream);
    }
    for stream in &mut begun {
        say(&mut stream.call, "Elbe").await;
    }
    for (number, reader) in &mut readers {
        let event = reader.next_event().await;
        assert!(event.data.contains("Elbe") && id(&event).unwrap().starts_with(&begun[*number].id));
    }
    let clients = pair.redis.ask(&["CLIENT", "LIST"]);
    let gateways = clients.lines().filter(|line| !line.contains("cmd=client")).count();
    assert_eq!(gateways, 6, "three of each replica: {clients}");
}
