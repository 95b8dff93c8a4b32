//! The programs under test: how each is configured, started on a free port, and stopped.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::Result;
use clap::ValueEnum;
use tokio::net::TcpListener;
use tokio::process::Command;

use crate::load::Door;
use crate::load::Target;
use crate::procfs::Processes;
use crate::program::Program;

/// What stands between client and origin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Subject {
    /// Nothing
    Direct,
    /// nginx with one worker, without buffering, with kept upstream connections
    Nginx,
    /// The gateway with one worker, the same API on both sides
    Passthrough,
    /// The gateway with one worker, translating to the Ollama API
    ToOllama,
    /// The gateway with one worker, translating to the Anthropic API
    ToAnthropic,
    /// The gateway with one worker, translating to the Responses API
    ToResponses,
    /// The gateway with one worker, every stream recorded
    Recorded,
    /// The gateway with one worker, every stream recorded and copied to Redis
    Redis,
    /// Two gateways with one worker each and one Redis: a stream is begun on the one and read on the other
    Elsewhere,
    /// The gateway with one worker, every stream recorded and read by a hundred
    Shared,
    /// The gateway with one worker per core, the same API on both sides
    AllCores,
}

impl Subject {
    /// The name of its row.
    pub(crate) fn label(self) -> &'static str {
        match self {
            Self::Direct => "direct",
            Self::Nginx => "nginx, 1 worker",
            Self::Passthrough => "streamgate, 1 worker",
            Self::ToOllama => "streamgate, 1 worker, to Ollama",
            Self::ToAnthropic => "streamgate, 1 worker, to Anthropic",
            Self::ToResponses => "streamgate, 1 worker, to Responses",
            Self::Recorded => "streamgate, 1 worker, recorded",
            Self::Redis => "streamgate, 1 worker, recorded in Redis",
            Self::Elsewhere => "streamgate, 1 worker, read on a replica",
            Self::Shared => "streamgate, 1 worker, 100 readers",
            Self::AllCores => "streamgate, all cores",
        }
    }

    pub(crate) fn is_gateway(self) -> bool {
        match self {
            Self::Direct | Self::Nginx => false,
            Self::Passthrough
            | Self::ToOllama
            | Self::ToAnthropic
            | Self::ToResponses
            | Self::Recorded
            | Self::Redis
            | Self::Elsewhere
            | Self::Shared
            | Self::AllCores => true,
        }
    }

    /// `writer` is where streams begin that are read elsewhere.
    fn door(self, writer: Option<SocketAddr>) -> Door {
        match self {
            Self::ToOllama => Door::Ollama,
            Self::ToAnthropic => Door::Anthropic,
            Self::ToResponses => Door::Responses,
            Self::Shared => Door::Shared,
            Self::Direct
            | Self::Nginx
            | Self::Passthrough
            | Self::Recorded
            | Self::Redis
            | Self::Elsewhere
            | Self::AllCores => writer.map_or(Door::OpenAi, Door::Elsewhere),
        }
    }

    /// Starts it in front of `origin`; it takes connections when this returns.
    pub(crate) async fn start(self, origin: SocketAddr, gateway: &Path, connections: u64) -> Result<Running> {
        let (mut others, mut writer) = (Vec::new(), None);
        let program = match self {
            Self::Direct => None,
            Self::Nginx => Some(start_nginx(origin, connections).await?),
            Self::Passthrough | Self::ToOllama | Self::ToAnthropic | Self::ToResponses => {
                Some(start_gateway(origin, gateway, "workers = 1", connections).await?)
            }
            Self::Recorded | Self::Shared => {
                let settings = "workers = 1\n[stream]\nrecord = \"always\"\n[journal]\nmax_readers = 100";
                Some(start_gateway(origin, gateway, settings, connections).await?)
            }
            Self::Redis | Self::Elsewhere => {
                let redis = start_redis().await?;
                let settings = format!(
                    "workers = 1\n[stream]\nrecord = \"always\"\n[journal]\nstore = \"redis\"\nurl = \"redis://{}\"",
                    redis.address
                );
                others.push(redis);
                if self == Self::Elsewhere {
                    let begins = start_gateway(origin, gateway, &settings, connections).await?;
                    writer = Some(begins.address);
                    others.push(begins);
                }
                Some(start_gateway(origin, gateway, &settings, connections).await?)
            }
            Self::AllCores => Some(start_gateway(origin, gateway, "workers = 0", connections).await?),
        };
        let address = program.as_ref().map_or(origin, |program| program.address);
        Ok(Running { target: Target { address, door: self.door(writer) }, program, others })
    }
}

/// A subject that takes connections.
pub(crate) struct Running {
    pub(crate) target: Target,
    program: Option<Program>,
    /// What it keeps its streams in, and who writes them; their time is not counted.
    others: Vec<Program>,
}

impl Running {
    /// `None` where there is no process.
    pub(crate) fn processes(&self) -> Result<Option<Processes>> {
        self.program.as_ref().map(|program| Processes::of(program.pid)).transpose()
    }

    pub(crate) async fn stop(self) -> Result<()> {
        for program in self.program.into_iter().chain(self.others.into_iter().rev()) {
            program.stop().await?;
        }
        Ok(())
    }
}

async fn start_gateway(
    origin: SocketAddr,
    gateway: &Path,
    settings: &str,
    connections: u64,
) -> Result<Program> {
    let directory = tempfile::tempdir()?;
    let config = directory.path().join("proxy.toml");
    fs::write(
        &config,
        format!(
            r#"[server]
listen = "127.0.0.1:0"
max_connections = {connections}
max_streams = {streams}
drain = "1s"
{settings}
[admin]
listen = "127.0.0.1:0"
[log]
level = "warn"
[[backend]]
name = "origin"
api = "openai"
url = "http://{origin}"
[[route]]
model = "*"
backends = ["origin"]
"#,
            // those of the part before may go on for a while, for a reader to come back
            streams = 3 * connections,
        ),
    )?;
    let mut command = Command::new(gateway);
    let command = command.arg("serve").arg("--config").arg(config);
    Program::start_speaking(command, Some(directory)).await
}

async fn start_redis() -> Result<Program> {
    let directory = tempfile::tempdir()?;
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let mut command = Command::new("redis-server");
    command.arg("--port").arg(address.port().to_string()).args(["--save", "", "--appendonly", "no"]);
    command.arg("--dir").arg(directory.path()).arg("--logfile").arg(directory.path().join("log"));
    Program::start_on(address, &mut command, directory).await
}

/// nginx as its documentation advises for event streams. It cannot say which port it took, so it gets one that was free.
async fn start_nginx(origin: SocketAddr, connections: u64) -> Result<Program> {
    let directory = tempfile::tempdir()?;
    let root = directory.path().display();
    let address = TcpListener::bind("127.0.0.1:0").await?.local_addr()?;
    let config = directory.path().join("nginx.conf");
    fs::write(
        &config,
        format!(
            "daemon off; worker_processes 1; pid {root}/pid; error_log stderr error;
events {{ worker_connections {sockets}; }}
http {{
    access_log off;
    client_body_temp_path {root}/body; proxy_temp_path {root}/proxy; fastcgi_temp_path {root}/fastcgi;
    uwsgi_temp_path {root}/uwsgi; scgi_temp_path {root}/scgi;
    upstream origin {{ server {origin}; keepalive 256; }}
    server {{
        listen {address};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection \"\";
            proxy_buffering off;
            proxy_read_timeout 10m;
        }}
    }}
}}
",
            // both legs of a stream count
            sockets = 2 * connections + 100,
        ),
    )?;
    let mut command = Command::new("nginx");
    let command = command.arg("-p").arg(directory.path()).arg("-c").arg(config);
    Program::start_on(address, command, directory).await
}
