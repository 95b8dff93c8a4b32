//! The files of `docker/`: what can be checked of them without a container engine, by the programs that they are for.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::super::support::hops::found;
use super::super::support::{Setup, run, run_with};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docker")
}

fn file(name: &str) -> String {
    std::fs::read_to_string(folder().join(name)).unwrap()
}

/// Runs a program in `docker/`, which must not complain; what it says.
fn approves(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(found(program)).args(arguments).current_dir(folder()).output();
    let output = output.unwrap_or_else(|error| panic!("{error}: {program}, which tests/setup installs"));
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).into_owned();
    assert!(output.status.success(), "{program} {arguments:?}: {said}");
    said
}

/// The value behind `key` in a file whose lines are `key: value` or `key=value`, in seconds.
fn seconds(text: &str, key: &str) -> u64 {
    let line = text.lines().find_map(|line| line.trim().trim_start_matches("- ").strip_prefix(key));
    let value = line.unwrap_or_else(|| panic!("{key}")).trim_start_matches([':', '=', ' ', '"']);
    let digits: String = value.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap()
}

#[tokio::test]
async fn the_configuration_of_nginx_is_the_snippet() {
    let arguments = [
        "snippet",
        "nginx",
        "--config",
        "proxy.toml",
        "--gateway",
        "gateway-1:8080",
        "--gateway",
        "gateway-2:8080",
        "--certificate",
        "/etc/nginx/tls/certificate.pem",
        "--key",
        "/etc/nginx/tls/key.pem",
    ];
    let printed = run(&folder(), &arguments).await;
    assert_eq!(printed.stdout, file("nginx.conf"), "made by: streamgate {}", arguments.join(" "));
}

#[tokio::test]
async fn the_gateways_configurations_are_lawful() {
    let compose = run(&folder(), &["check", "--config", "proxy.toml"]).await;
    assert_eq!(compose.code, Some(0), "{}", compose.all);
    let text = file("kubernetes.yaml");
    let lines = text.lines().skip_while(|line| !line.contains("proxy.toml: |")).skip(1);
    let lines = lines.take_while(|line| line.is_empty() || line.starts_with("    "));
    let config: Vec<&str> = lines.map(|line| line.trim_start_matches("    ")).collect();
    let temporary = TempDir::new().unwrap();
    std::fs::write(temporary.path().join("proxy.toml"), config.join("\n")).unwrap();
    let key = "0".repeat(64);
    let environment = [("STREAMGATE_SEAL_KEY", key.as_str())];
    let kubernetes = run_with(temporary.path(), &["check"], &environment).await;
    assert_eq!(kubernetes.code, Some(0), "{}", kubernetes.all);
}

#[test]
fn streams_are_given_the_time_to_come_to_their_end() {
    let drain = 30;
    assert!(!file("proxy.toml").contains("drain"), "the default holds");
    assert!(seconds(&file("compose.yml"), "stop_grace_period") > drain);
    assert!(seconds(&file("streamgate.service"), "TimeoutStopSec") > drain);
    let text = file("kubernetes.yaml");
    let pause = seconds(&text, "sleep: { seconds");
    assert!(seconds(&text, "terminationGracePeriodSeconds") > pause + seconds(&text, "drain"));
}

#[test]
fn hadolint_approves_of_the_image() {
    approves("hadolint", &["Dockerfile"]);
}

#[test]
fn the_manifests_fit_the_schema_of_kubernetes() {
    let said = approves("kubernetes-validate", &["--strict", "kubernetes.yaml"]);
    for kind in ["configmap", "deployment", "service", "horizontalpodautoscaler", "poddisruptionbudget"] {
        assert!(said.contains(&format!("resource {kind}/streamgate")), "{said}");
    }
}

#[test]
fn the_compose_file_fits_its_schema() {
    let program = "import sys, yaml, compose_spec\n\
                   compose_spec.ComposeSpecification.model_validate(yaml.safe_load(open(sys.argv[1])))";
    approves("python", &["-c", program, "compose.yml"]);
}

#[test]
fn every_file_that_the_compose_file_mounts_is_there() {
    let text = file("compose.yml");
    let mounted = text.lines().filter_map(|line| line.trim().strip_prefix("- ./")?.split(':').next());
    let missing: Vec<&str> =
        mounted.filter(|name| *name != "tls" && !folder().join(name).is_file()).collect();
    assert!(missing.is_empty(), "{missing:?}");
}

#[test]
fn prometheus_takes_its_configuration_and_the_alerts() {
    let said = approves("promtool", &["check", "config", "prometheus.yml"]);
    assert!(said.contains("rules found"), "{said}");
}

#[test]
fn systemd_takes_the_unit_and_finds_it_well_protected() {
    let temporary = TempDir::new().unwrap();
    let unit = temporary.path().join("streamgate.service");
    let text = file("streamgate.service");
    std::fs::write(&unit, text.replace("/usr/local/bin/streamgate", env!("CARGO_BIN_EXE_streamgate")))
        .unwrap();
    let said = approves("systemd-analyze", &["verify", unit.to_str().unwrap()]);
    assert!(!said.contains("streamgate.service"), "{said}");
    approves("systemd-analyze", &["security", "--offline=true", "--threshold=15", unit.to_str().unwrap()]);
}

#[test]
fn the_dashboard_is_drawn_from_prometheus() {
    let dashboard: Value = serde_json::from_str(&file("grafana.json")).unwrap();
    let panels = dashboard["panels"].as_array().unwrap();
    assert!(panels.len() > 10);
    let uid = "uid: prometheus";
    assert!(file("compose.yml").contains(uid), "the source that the panels name");
    for panel in panels {
        assert_eq!(panel["datasource"]["uid"], "prometheus", "{}", panel["title"]);
        assert!(!panel["targets"].as_array().unwrap().is_empty());
    }
}

#[tokio::test]
async fn a_health_check_tells_whether_the_gateway_lives() {
    let gateway = Setup::new().demo().start().await;
    let temporary = TempDir::new().unwrap();
    let config = |admin: &str| {
        let lines = format!("listen = \"{admin}\"\nallow_anonymous = true");
        let config = Setup::new().admin(&lines).demo().toml();
        std::fs::write(temporary.path().join("proxy.toml"), config).unwrap();
    };
    config(&gateway.admin.to_string());
    for arguments in [&["health"][..], &["health", "--ready"]] {
        let run = run(temporary.path(), arguments).await;
        assert_eq!(run.code, Some(0), "{}", run.all);
    }
    // A container's listener is on all addresses.
    config(&format!("0.0.0.0:{}", gateway.admin.port()));
    assert_eq!(run(temporary.path(), &["health"]).await.code, Some(0));
    drop(gateway);
    let run = run(temporary.path(), &["health"]).await;
    assert_eq!(run.code, Some(1), "{}", run.all);
    assert!(run.all.contains("no gateway answers"), "{}", run.all);
}
