//! A hop that holds streams up in a way of its own, between a client and the gateway. One request to a connection.

use std::collections::HashSet;
use std::io::{self, Write as _};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep, sleep_until, timeout};

use super::super::pieces::find;

/// What it does.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Habit {
    Nothing,
    /// Gathers the whole answer and says how long it is.
    Gathers,
    /// The same where GET was asked.
    GathersGet,
    /// Hands on when so many bytes are there.
    Fills(usize),
    /// Hands on what is there at every turn of a clock.
    Ticks(Duration),
    /// Hands on everything so much later.
    Lags(Duration),
    /// The same with what it is asked for the first time.
    Stumbles(Duration),
    /// Hands on what is there when the next comes.
    Trails,
    /// Keeps the head until there is an event.
    HidesHead,
    /// Cuts off where nothing came for so long.
    CutsIdle(Duration),
    /// Cuts off so long after the beginning.
    CutsAfter(Duration),
    /// Reads on when its client has left.
    ReadsOn,
    /// Ends well what broke off.
    HidesCut,
    /// Keeps the connection of what broke off.
    HangsAtCut,
    /// Drops what it had read shortly before the end of what broke off.
    DropsTail,
    /// Answers with a page of its own in place of what broke off.
    ReplacesCut,
    /// Compresses every piece by itself for who accepts gzip.
    Members,
}

pub(crate) struct Scripted {
    pub(crate) address: SocketAddr,
    _server: JoinSet<()>,
}

impl Scripted {
    pub(crate) async fn start(target: SocketAddr, habit: Habit) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let mut server = JoinSet::new();
        let known = Known::default();
        server.spawn(async move {
            let mut connections = JoinSet::new();
            while let Ok((client, _)) = listener.accept().await {
                let known = Arc::clone(&known);
                connections.spawn(async move { drop(serve(client, target, habit, &known).await) });
            }
        });
        Self { address, _server: server }
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }
}

/// The requests that were passed on before.
type Known = Arc<Mutex<HashSet<Vec<u8>>>>;

/// One request, passed on in HTTP/1.0 so that the answer's body ends with its connection.
async fn serve(mut client: TcpStream, target: SocketAddr, habit: Habit, known: &Known) -> io::Result<()> {
    let began = Instant::now();
    let mut request = Vec::new();
    let head = loop {
        if let Some(end) = find(&request, b"\r\n\r\n") {
            break end + 4;
        }
        if client.read_buf(&mut request).await? == 0 {
            return Ok(());
        }
    };
    let text = String::from_utf8_lossy(&request[..head]).into_owned();
    let length = text.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>().unwrap())
    });
    while request.len() < head + length.unwrap_or(0) {
        client.read_buf(&mut request).await?;
    }
    let is_new = known.lock().insert(request.clone());
    let mut gateway = TcpStream::connect(target).await?;
    gateway.write_all(text.replacen("HTTP/1.1", "HTTP/1.0", 1).as_bytes()).await?;
    gateway.write_all(&request[head..]).await?;
    let mut answer = Vec::new();
    let end = loop {
        if let Some(end) = find(&answer, b"\r\n\r\n") {
            break end;
        }
        if gateway.read_buf(&mut answer).await? == 0 {
            return Ok(());
        }
    };
    let body = answer.split_off(end + 4);
    let head = String::from_utf8_lossy(&answer[..end]).replacen("HTTP/1.0", "HTTP/1.1", 1);
    let is_stream = head.contains("event-stream");
    let gzip = matches!(habit, Habit::Members) && text.contains("accept-encoding: gzip") && is_stream;
    let passing = Passing { client, gateway, head, seen: body.clone(), body, began, gzip };
    if matches!(habit, Habit::ReplacesCut) && is_stream && text.starts_with("POST") {
        return passing.replace().await;
    }
    let gathers = matches!(habit, Habit::Gathers)
        || matches!(habit, Habit::GathersGet) && text.starts_with("GET")
        || !is_stream;
    if gathers {
        passing.gather().await
    } else if let Habit::Lags(time) = habit {
        passing.lag(time).await
    } else if let (Habit::Stumbles(time), true) = (habit, is_new) {
        passing.lag(time).await
    } else {
        passing.pass(habit).await
    }
}

/// An answer on its way.
struct Passing {
    client: TcpStream,
    gateway: TcpStream,
    head: String,
    /// What has come and was not handed on.
    body: Vec<u8>,
    /// All that has come.
    seen: Vec<u8>,
    began: Instant,
    /// Is every piece compressed?
    gzip: bool,
}

impl Passing {
    async fn gather(mut self) -> io::Result<()> {
        read_whole(&mut self.gateway, &mut self.body).await;
        let lines = self.head.lines().filter(|line| !line.to_ascii_lowercase().starts_with("content-length"));
        let head: Vec<&str> = lines.collect();
        let length = self.body.len();
        let head = format!("{}\r\nContent-Length: {length}\r\n\r\n", head.join("\r\n"));
        self.client.write_all(&[head.as_bytes(), &self.body].concat()).await
    }

    /// Everything so much later, the head among it.
    async fn lag(self, time: Duration) -> io::Result<()> {
        let Self { mut client, mut gateway, head, body, mut seen, .. } = self;
        let (queue, mut due) = mpsc::channel(1000);
        let head = format!("{head}\r\nConnection: close\r\n\r\n").into_bytes();
        queue.send((Instant::now(), [head, body].concat())).await.unwrap();
        let read = async move {
            let mut piece = Vec::new();
            while read_some(&mut gateway, &mut piece).await > 0 {
                seen.extend_from_slice(&piece);
                queue.send((Instant::now(), std::mem::take(&mut piece))).await.unwrap();
            }
            io::Result::Ok(is_broken(&seen))
        };
        let write = async {
            while let Some((came, piece)) = due.recv().await {
                sleep_until(came + time).await;
                client.write_all(&piece).await?;
            }
            Ok(())
        };
        let (broken, ()) = tokio::try_join!(read, write)?;
        if broken {
            // Without chunks only a reset is no end.
            sleep(UNREAD).await;
            client.set_zero_linger()?;
        }
        Ok(())
    }

    /// The answer as it came, behind its end, or a page where that was none.
    async fn replace(mut self) -> io::Result<()> {
        read_whole(&mut self.gateway, &mut self.body).await;
        if is_broken(&self.body) {
            let page = "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\nContent-Length: 3\r\n\r\n502";
            return self.client.write_all(page.as_bytes()).await;
        }
        let head = format!("{}\r\nTransfer-Encoding: chunked\r\n\r\n", self.head);
        self.client.write_all(head.as_bytes()).await?;
        self.hand_on(Habit::Nothing).await?;
        self.client.write_all(b"0\r\n\r\n").await
    }

    async fn pass(mut self, habit: Habit) -> io::Result<()> {
        let coding = if self.gzip { "\r\nContent-Encoding: gzip" } else { "" };
        let head = format!("{}{coding}\r\nTransfer-Encoding: chunked\r\n\r\n", self.head);
        if matches!(habit, Habit::HidesHead) {
            while find(&self.body, b"data:").is_none()
                && read_some(&mut self.gateway, &mut self.body).await > 0
            {}
        }
        self.client.write_all(head.as_bytes()).await?;
        let (mut more, mut gone) = (true, [0; 1]);
        while more {
            let waiting = matches!(habit, Habit::Fills(size) if self.body.len() < size)
                || matches!(habit, Habit::Ticks(_) | Habit::Trails | Habit::DropsTail);
            if !waiting {
                self.hand_on(habit).await?;
            }
            let kept = self.body.len();
            let drops = matches!(habit, Habit::DropsTail) && kept > 0;
            tokio::select! {
                biased;
                read = self.client.read(&mut gone), if !matches!(habit, Habit::ReadsOn) => return read.map(drop),
                () = limit(habit, self.began) => return Ok(()),
                () = turn(habit, self.began) => self.hand_on(habit).await?,
                read = read_some(&mut self.gateway, &mut self.body) => more = read > 0,
                () = sleep(TAIL), if drops && !is_broken(&self.body) => self.hand_on(habit).await?,
            }
            self.seen.extend_from_slice(self.body.get(kept..).unwrap_or_default());
            if matches!(habit, Habit::Trails) && kept > 0 && self.body.len() > kept {
                let next = self.body.split_off(kept);
                self.hand_on(habit).await?;
                self.body = next;
            }
        }
        match (is_broken(&self.seen), habit) {
            (true, Habit::DropsTail) => return Ok(()),
            (true, Habit::HangsAtCut) => {
                self.hand_on(habit).await?;
                return self.client.read(&mut gone).await.map(drop);
            }
            (true, Habit::HidesCut) | (false, _) => {}
            (true, _) => return self.hand_on(habit).await,
        }
        self.hand_on(habit).await?;
        self.client.write_all(b"0\r\n\r\n").await
    }

    async fn hand_on(&mut self, habit: Habit) -> io::Result<()> {
        let mut body = std::mem::take(&mut self.body);
        if body.is_empty() {
            return Ok(());
        }
        if self.gzip {
            let mut member = GzEncoder::new(Vec::new(), Compression::default());
            member.write_all(&body)?;
            body = member.finish()?;
        }
        let chunk = [format!("{:x}\r\n", body.len()).as_bytes(), &body, b"\r\n"].concat();
        match self.client.write_all(&chunk).await {
            Err(_) if matches!(habit, Habit::ReadsOn) => Ok(()),
            written => written,
        }
    }
}

/// How much more has come; nothing behind an end or a reset.
async fn read_some(gateway: &mut TcpStream, body: &mut Vec<u8>) -> usize {
    gateway.read_buf(body).await.unwrap_or(0)
}

async fn read_whole(gateway: &mut TcpStream, body: &mut Vec<u8>) {
    while read_some(gateway, body).await > 0 {}
}

/// What breaks off says so before its end.
fn is_broken(body: &[u8]) -> bool {
    find(body, b"\"error\":").is_some()
}

/// A reset takes what was not read.
const UNREAD: Duration = Duration::from_millis(100);
/// What came so shortly before the end is dropped with it.
const TAIL: Duration = Duration::from_millis(20);

/// When it has had enough.
async fn limit(habit: Habit, began: Instant) {
    if let Habit::CutsIdle(time) = habit {
        sleep(time).await;
    } else if let Habit::CutsAfter(time) = habit {
        sleep_until(began + time).await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// When its clock turns.
async fn turn(habit: Habit, began: Instant) {
    let Habit::Ticks(time) = habit else { return std::future::pending().await };
    let turns = began.elapsed().as_millis() / time.as_millis();
    let next = time * u32::try_from(turns + 1).unwrap();
    drop(timeout(next.saturating_sub(began.elapsed()), std::future::pending::<()>()).await);
}
