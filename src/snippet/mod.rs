//! Configurations for the programs that may stand in front of the gateway, filled in from its own: what `streamgate snippet`
//! prints, and what the tests run with the real programs.

mod place;
mod template;

use crate::config::{Config, Listen};
use crate::snippet::template::Filling;

pub use place::{Bind, Certificate, Gateway, Place, reachable};

/// A program that may stand in front of the gateway.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub enum Program {
    Apache,
    Caddy,
    Envoy,
    Haproxy,
    KubernetesIngress,
    Nginx,
    Traefik,
    Varnish,
}

impl Program {
    fn template(self) -> &'static str {
        match self {
            Self::Apache => include_str!("templates/apache.conf"),
            Self::Caddy => include_str!("templates/caddy.conf"),
            Self::Envoy => include_str!("templates/envoy.yaml"),
            Self::Haproxy => include_str!("templates/haproxy.conf"),
            Self::KubernetesIngress => include_str!("templates/ingress.yaml"),
            Self::Nginx => include_str!("templates/nginx.conf"),
            Self::Traefik => include_str!("templates/traefik.yaml"),
            Self::Varnish => include_str!("templates/varnish.vcl"),
        }
    }

    /// Varnish is given what others have decrypted.
    pub fn speaks_tls(self) -> bool {
        self != Self::Varnish
    }
}

/// The configuration of a program at this place, in front of a gateway with this configuration; `None` where nothing says how the
/// gateway is reached over TCP.
pub fn snippet(program: Program, config: &Config, place: &Place) -> Option<String> {
    let own;
    let gateways = if place.gateways.is_empty() {
        own = [gateway(config, program)?];
        &own[..]
    } else {
        &place.gateways[..]
    };
    let listen = place
        .listen
        .unwrap_or_else(|| Bind { ip: None, port: if place.certificate.is_some() { 443 } else { 80 } });
    let host = public_host(config);
    let conditions = vec![
        if place.certificate.is_some() { "tls" } else { "plain" },
        if host.is_some() { "named" } else { "any" },
        if gateways.len() > 1 { "many" } else { "one" },
        if listen.ip.is_some() { "bound" } else { "everywhere" },
    ];
    let mut values = listen.values();
    values.extend(place.certificate.iter().flat_map(Certificate::values));
    let names: Vec<String> = gateways.iter().map(ToString::to_string).collect();
    values.push(("{{gateways}}", names.join(" ")));
    values.extend(gateways.first().into_iter().flat_map(|first| first.values(1)));
    values.extend([
        ("{{host}}", host.unwrap_or_default().to_owned()),
        ("{{body}}", config.server.max_body_bytes.as_u64().to_string()),
        ("{{streams}}", config.server.max_streams.to_string()),
        ("{{timeout}}", patience(config).to_string()),
    ]);
    Some(Filling { conditions, values, gateways }.fill(program.template()))
}

/// The first name in `server.allowed_hosts` that is one.
pub fn public_host(config: &Config) -> Option<&str> {
    config.server.allowed_hosts.iter().map(String::as_str).find(|name| *name != "*")
}

/// Where the gateway is found: in a cluster by the name of its service.
fn gateway(config: &Config, program: Program) -> Option<Gateway> {
    let Listen::Tcp(address) = &config.server.listen else {
        return None;
    };
    if program == Program::KubernetesIngress {
        return Some(Gateway { host: "streamgate".to_owned(), port: address.port() });
    }
    let address = reachable(*address);
    Some(Gateway { host: address.ip().to_string(), port: address.port() })
}

/// How long the gateway may be silent, in seconds. A streamed answer never is for longer than its keep-alive, but one that is
/// not streamed until it is whole; it is the gateway who is to say that it took too long.
fn patience(config: &Config) -> u64 {
    let routes = config.routes.iter().filter_map(|route| route.max_duration);
    let longest = routes.fold(config.stream.max_duration, Ord::max);
    let keep_alives = config.routes.iter().filter_map(|route| route.keep_alive);
    let silence = keep_alives.fold(config.stream.keep_alive, Ord::max);
    longest.max(silence * 3).as_secs() + GRACE
}

/// In seconds.
const GRACE: u64 = 30;

#[cfg(test)]
mod tests {
    use super::*;

    use crate::config::Overrides;

    const CONFIG: &str = "\
[server]
listen = \"0.0.0.0:9001\"
allowed_hosts = [\"*\", \"chat.example.org\"]
max_body_bytes = \"1MiB\"
max_streams = 77
[[key]]
name = \"alice\"
sha256 = \"0000000000000000000000000000000000000000000000000000000000000000\"
[[backend]]
name = \"demo\"
api = \"demo\"
[[route]]
model = \"*\"
backends = [\"demo\"]
max_duration = \"1h\"
";

    const PROGRAMS: [Program; 8] = [
        Program::Apache,
        Program::Caddy,
        Program::Envoy,
        Program::Haproxy,
        Program::KubernetesIngress,
        Program::Nginx,
        Program::Traefik,
        Program::Varnish,
    ];

    fn printed(program: Program, place: &Place) -> String {
        snippet(program, &Config::parse(CONFIG, Overrides::default()).unwrap(), place).unwrap()
    }

    #[test]
    fn nothing_is_left_open() {
        let certificate =
            Certificate { certificate: "/etc/tls/it.pem".to_owned(), key: "/etc/tls/key.pem".to_owned() };
        let two = vec!["one:8080".parse().unwrap(), "two:8080".parse().unwrap()];
        for program in PROGRAMS {
            for place in [
                Place::default(),
                Place { certificate: Some(certificate.clone()), ..Place::default() },
                Place {
                    gateways: two.clone(),
                    listen: Some("127.0.0.1:81".parse().unwrap()),
                    certificate: None,
                },
            ] {
                let text = printed(program, &place);
                assert!(!text.contains("{{") && !text.contains("}}\n"), "{text}");
                assert!(!text.lines().any(|line| line.starts_with('%')), "{text}");
            }
        }
    }

    #[test]
    fn what_the_gateway_is_configured_to_stands_in_it() {
        let nginx = printed(Program::Nginx, &Place::default());
        for words in [
            "server 127.0.0.1:9001;",
            "server_name chat.example.org;",
            "client_max_body_size 1048576;",
            "proxy_read_timeout 3630s;",
            "listen 80;",
        ] {
            assert!(nginx.contains(words), "{words} in\n{nginx}");
        }
        assert!(printed(Program::Envoy, &Place::default()).contains("max_requests: 77"));
        assert!(printed(Program::KubernetesIngress, &Place::default()).contains("name: \"streamgate\""));
    }

    #[test]
    fn a_gateway_on_a_unix_socket_must_be_named() {
        let config = CONFIG.replace("0.0.0.0:9001", "unix:/run/streamgate.sock");
        let config = Config::parse(&config, Overrides::default()).unwrap();
        assert_eq!(snippet(Program::Nginx, &config, &Place::default()), None);
        let place = Place { gateways: vec!["one:8080".parse().unwrap()], ..Place::default() };
        assert!(snippet(Program::Nginx, &config, &place).unwrap().contains("server one:8080;"));
    }

    #[test]
    fn every_gateway_is_named() {
        let gateways = vec!["one:8080".parse().unwrap(), "two:8081".parse().unwrap()];
        for program in PROGRAMS.into_iter().filter(|program| *program != Program::KubernetesIngress) {
            let text = printed(program, &Place { gateways: gateways.clone(), ..Place::default() });
            for part in ["one", "8080", "two", "8081"] {
                assert!(text.contains(part), "{part} in\n{text}");
            }
        }
    }
}
