//! A way from the gateway to whom it calls, which goes wrong as a test says: late, slow, silent, cut, reset or half closed.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{broadcast, watch};
use tokio::task::JoinSet;
use tokio::time::sleep;

/// What is wrong with every connection until the test says otherwise.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Fault {
    /// Every piece comes later by so much, and by up to half of it again.
    pub(crate) delay: Duration,
    /// Bytes a second, in either direction; 0: as fast as it goes.
    pub(crate) rate: u32,
    /// Bytes are neither passed on nor refused.
    pub(crate) silent: bool,
}

/// How all connections of the moment end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Break {
    /// FIN to both sides.
    Cut,
    /// RST to both sides.
    Reset,
    /// FIN to the caller, which is still heard.
    HalfClose,
}

/// The way. Dropping it cuts it.
pub(crate) struct Link {
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    breaks: broadcast::Sender<Break>,
    _tasks: JoinSet<()>,
}

impl Link {
    /// A way to this address.
    pub(crate) async fn to(address: SocketAddr) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let own = listener.local_addr().unwrap();
        let (fault, breaks) = (watch::Sender::default(), broadcast::Sender::new(4));
        let mut tasks = JoinSet::new();
        tasks.spawn(accept(listener, address, fault.clone(), breaks.clone()));
        Self { address: own, fault, breaks, _tasks: tasks }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on this is wrong.
    pub(crate) fn suffer(&self, fault: Fault) {
        self.fault.send_replace(fault);
    }

    /// Ends all connections that there are; new ones are as good as ever.
    pub(crate) fn end(&self, how: Break) {
        drop(self.breaks.send(how)); // there may be none
    }
}

async fn accept(
    listener: TcpListener,
    address: SocketAddr,
    fault: watch::Sender<Fault>,
    breaks: broadcast::Sender<Break>,
) {
    let mut ways = JoinSet::new();
    while let Ok((near, _)) = listener.accept().await {
        let (fault, breaks) = (fault.subscribe(), breaks.subscribe());
        ways.spawn(async move {
            if let Ok(far) = TcpStream::connect(address).await {
                Box::pin(carry(near, far, fault, breaks)).await;
            }
        });
        while ways.try_join_next().is_some() {}
    }
}

async fn carry(
    mut near: TcpStream,
    mut far: TcpStream,
    fault: watch::Receiver<Fault>,
    mut breaks: broadcast::Receiver<Break>,
) {
    near.set_nodelay(true).unwrap();
    far.set_nodelay(true).unwrap();
    let mut how = {
        let ((near_in, near_out), (far_in, far_out)) = (near.split(), far.split());
        // Where the caller has ended its side, what it asked is still answered.
        let both = async {
            tokio::join!(pass(near_in, far_out, fault.clone()), pass(far_in, near_out, fault.clone()))
        };
        tokio::select! {
            _ = both => Break::Cut,
            how = breaks.recv() => how.unwrap_or(Break::Cut),
        }
    };
    if how == Break::HalfClose {
        drop(near.shutdown().await); // it may be gone
        let ((near_in, _), (_, far_out)) = (near.split(), far.split());
        tokio::select! {
            () = pass(near_in, far_out, fault) => {}
            next = breaks.recv() => how = next.unwrap_or(Break::Cut),
        }
    }
    if how == Break::Reset {
        near.set_zero_linger().unwrap();
        far.set_zero_linger().unwrap();
    }
}

/// Passes on what comes until its end.
async fn pass(
    mut from: impl AsyncRead + Unpin,
    mut to: impl AsyncWrite + Unpin,
    mut fault: watch::Receiver<Fault>,
) {
    let mut bytes = [0; 4096];
    let mut jitter = 0;
    loop {
        let length = from.read(&mut bytes).await.unwrap_or(0);
        let Ok(Fault { delay, rate, .. }) = fault.wait_for(|fault| !fault.silent).await.map(|fault| *fault)
        else {
            return;
        };
        if length == 0 {
            drop(to.shutdown().await); // it may be gone
            return;
        }
        jitter = (jitter + 3) % 8;
        sleep(delay + delay * jitter / 16).await;
        if let Some(time) =
            u32::try_from(length).unwrap().checked_mul(1000).and_then(|bytes| bytes.checked_div(rate))
        {
            sleep(Duration::from_millis(time.into())).await;
        }
        if to.write_all(&bytes[..length]).await.is_err() {
            return;
        }
    }
}
