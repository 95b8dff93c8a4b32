//! Listening: one TCP socket per worker on the same address, so that the kernel spreads the connections (`SO_REUSEPORT`), or one
//! Unix socket for all of them.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use serde::Deserialize;
use socket2::{Domain, Protocol, Socket, Type};

use crate::server::transport::Transport;

/// Where to listen: `127.0.0.1:8080`, or `unix:/run/streamgate.sock`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub enum Listen {
    Tcp(SocketAddr),
    Unix(PathBuf),
}

/// Sockets that listen, one for each worker.
#[derive(Debug)]
pub struct Bound {
    /// With the port that was free, if any would do.
    pub listen: Listen,
    pub listeners: Vec<Unstarted>,
    /// Removed with this.
    _file: Option<SocketFile>,
}

/// A listener that belongs to no runtime yet.
#[derive(Debug)]
pub enum Unstarted {
    Tcp(std::net::TcpListener),
    Unix(std::os::unix::net::UnixListener),
}

/// A listener of a worker's runtime.
#[derive(Debug)]
pub(super) enum Listener {
    Tcp(tokio::net::TcpListener),
    Unix(tokio::net::UnixListener),
}

/// How many connections may wait to be accepted.
const BACKLOG: i32 = 1024;
const UNIX: &str = "unix:";

impl Default for Listen {
    fn default() -> Self {
        Self::Tcp(SocketAddr::from(([127, 0, 0, 1], 8080)))
    }
}

impl Listen {
    /// Can it be reached from other machines?
    pub fn is_public(&self) -> bool {
        self.ip().is_some_and(|ip| !ip.is_loopback())
    }

    /// The address listened on; a Unix socket has none.
    pub fn ip(&self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip()),
            Self::Unix(_) => None,
        }
    }

    /// Binds `count` listeners; port 0 picks a free one for all of them. `mode` is that of a Unix socket's file.
    pub fn bind(&self, count: usize, mode: u32) -> io::Result<Bound> {
        match self {
            Self::Tcp(address) => {
                let (address, listeners) = bind_tcp(*address, count)?;
                let listeners = listeners.into_iter().map(Unstarted::Tcp).collect();
                Ok(Bound { listen: Self::Tcp(address), listeners, _file: None })
            }
            Self::Unix(path) => {
                let (listener, file) = bind_unix(path, mode)?;
                let clones = (0..count.max(1)).map(|_| listener.try_clone().map(Unstarted::Unix));
                let listeners = clones.collect::<io::Result<_>>()?;
                Ok(Bound { listen: self.clone(), listeners, _file: Some(file) })
            }
        }
    }
}

impl FromStr for Listen {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.strip_prefix(UNIX) {
            Some("") => Err("`unix:` needs the path of a socket behind it".into()),
            Some(path) => Ok(Self::Unix(path.into())),
            None => text.parse().map(Self::Tcp).map_err(|_| {
                format!("\"{text}\" is neither an address with a port, like 127.0.0.1:8080, nor unix:/path")
            }),
        }
    }
}

impl TryFrom<String> for Listen {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tcp(address) => address.fmt(f),
            Self::Unix(path) => write!(f, "{UNIX}{}", path.display()),
        }
    }
}

impl Unstarted {
    /// Registers it with the runtime that this is called on.
    pub(super) fn start(self) -> io::Result<Listener> {
        match self {
            Self::Tcp(listener) => tokio::net::TcpListener::from_std(listener).map(Listener::Tcp),
            Self::Unix(listener) => tokio::net::UnixListener::from_std(listener).map(Listener::Unix),
        }
    }
}

impl Listener {
    /// The next connection, and the address it comes from. Cancel safe.
    pub(super) async fn accept(&self) -> io::Result<(Transport, Option<IpAddr>)> {
        match self {
            Self::Tcp(listener) => {
                let (stream, peer) = listener.accept().await?;
                Ok((Transport::Tcp(stream), Some(peer.ip().to_canonical())))
            }
            Self::Unix(listener) => {
                let (stream, _) = listener.accept().await?;
                Ok((Transport::Unix(stream), None))
            }
        }
    }
}

fn bind_tcp(address: SocketAddr, count: usize) -> io::Result<(SocketAddr, Vec<std::net::TcpListener>)> {
    // Alone first: with `SO_REUSEPORT` a second gateway on the same port would get half of the first one's clients.
    let alone = socket(address, false)?;
    let address = alone.local_addr()?;
    if count <= 1 {
        return Ok((address, vec![alone]));
    }
    drop(alone);
    let listeners = (0..count).map(|_| socket(address, true)).collect::<io::Result<_>>()?;
    Ok((address, listeners))
}

fn socket(address: SocketAddr, shared: bool) -> io::Result<std::net::TcpListener> {
    let socket = Socket::new(Domain::for_address(address), Type::STREAM, Some(Protocol::TCP))?;
    socket.set_reuse_address(true)?;
    socket.set_reuse_port(shared)?;
    socket.set_nonblocking(true)?;
    socket.bind(&address.into())?;
    socket.listen(BACKLOG)?;
    Ok(socket.into())
}

/// The file of a Unix socket, which its process takes along when it ends.
#[derive(Debug)]
struct SocketFile {
    path: PathBuf,
    inode: u64,
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        // Another gateway may have its own there by now.
        if std::fs::symlink_metadata(&self.path).is_ok_and(|file| file.ino() == self.inode) {
            drop(std::fs::remove_file(&self.path)); // it is found stale by the next one otherwise
        }
    }
}

fn bind_unix(path: &Path, mode: u32) -> io::Result<(std::os::unix::net::UnixListener, SocketFile)> {
    check_free(path)?;
    // Under another name first, so that nobody connects before the mode is right; the rename also replaces a stale socket.
    let mut name = path.as_os_str().to_owned();
    name.push(format!(".{}", std::process::id()));
    let own = PathBuf::from(name);
    match std::fs::remove_file(&own) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    socket.bind(&socket2::SockAddr::unix(&own)?)?;
    let renamed = std::fs::set_permissions(&own, std::fs::Permissions::from_mode(mode))
        .and_then(|()| socket.listen(BACKLOG))
        .and_then(|()| std::fs::rename(&own, path));
    if let Err(error) = renamed {
        drop(std::fs::remove_file(&own)); // the first error is the one to tell
        return Err(error);
    }
    let inode = std::fs::symlink_metadata(path)?.ino();
    Ok((socket.into(), SocketFile { path: path.to_owned(), inode }))
}

/// Nothing is at the path, or a socket on which nobody listens any more.
fn check_free(path: &Path) -> io::Result<()> {
    match std::fs::symlink_metadata(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
        Ok(file) if !file.file_type().is_socket() => {
            Err(io::Error::new(io::ErrorKind::AlreadyExists, "there is a file that is not a socket"))
        }
        Ok(_) => match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(()),
            Err(error) => Err(error),
            Ok(_) => Err(io::ErrorKind::AddrInUse.into()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_and_paths_are_told_apart() {
        for text in ["127.0.0.1:80", "[::]:8080", "unix:/run/a.sock"] {
            assert_eq!(text.parse::<Listen>().unwrap().to_string(), text);
        }
        for text in ["localhost:80", "127.0.0.1", "unix:", "/run/a.sock"] {
            assert!(text.parse::<Listen>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_or_a_file_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("s");
        let listen = Listen::Unix(path.clone());
        let stale = std::os::unix::net::UnixListener::bind(&path).unwrap();
        assert_eq!(listen.bind(1, 0o600).unwrap_err().kind(), io::ErrorKind::AddrInUse);
        drop(stale);
        let bound = listen.bind(2, 0o640).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o640);
        assert_eq!(bound.listeners.len(), 2);
        drop(bound);
        assert!(!path.exists());
        std::fs::write(&path, "data").unwrap();
        assert_eq!(listen.bind(1, 0o600).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(std::fs::read(&path).unwrap(), b"data");
    }
}
