//! A machine behind a wire of its own, which can be cut: a network namespace (ip-netns(8)) with a virtual cable to this one.

use std::net::Ipv4Addr;
use std::process::Output;

use tokio::process::Command;

/// It is gone when this is dropped.
pub(crate) struct Namespace {
    name: String,
    here: Ipv4Addr,
}

impl Namespace {
    /// `None` where an ordinary user may make none.
    pub(crate) fn new() -> Option<Self> {
        // Other tests that run at the same time are other processes.
        let process = std::process::id();
        let [_, _, high, low] = (process << 2).to_be_bytes();
        let (here, there) = (Ipv4Addr::new(10, 231, high, low | 1), Ipv4Addr::new(10, 231, high, low | 2));
        let name = format!("sg{process}");
        if !ip(&format!("netns add {name}")).status.success() {
            return None;
        }
        let made = Self { name: name.clone(), here };
        for line in [
            format!("link add {name}h type veth peer name {name}t netns {name}"),
            format!("addr add {here}/30 dev {name}h"),
            format!("link set {name}h up"),
            format!("-n {name} addr add {there}/30 dev {name}t"),
            format!("-n {name} link set {name}t up"),
        ] {
            let done = ip(&line);
            assert!(done.status.success(), "ip {line}: {}", String::from_utf8_lossy(&done.stderr));
        }
        Some(made)
    }

    /// The address at which this side can be reached from there.
    pub(crate) fn here(&self) -> Ipv4Addr {
        self.here
    }

    /// A program that runs there, and no longer than the test.
    pub(crate) fn command(&self, program: &str) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name, program]).kill_on_drop(true);
        command
    }

    /// From now on nothing comes through, and nobody is told.
    pub(crate) fn cut(&self) {
        let name = &self.name;
        assert!(ip(&format!("-n {name} link set {name}t down")).status.success());
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A connection that is not over yet would keep both for a while.
        drop(ip(&format!("link del {}h", self.name)));
        drop(ip(&format!("netns del {}", self.name)));
    }
}

fn ip(line: &str) -> Output {
    let mut command = std::process::Command::new("ip");
    command.args(line.split_whitespace()).output().expect("ip is there: tests/setup installs it")
}
