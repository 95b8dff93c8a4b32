//! The guides of the README: the commands that they tell to type are run, but for those that need an engine of containers, a
//! cluster or a running systemd, which are parsed.

use std::path::Path;
use std::process::{Command, Output};

use tempfile::TempDir;

use super::super::support::hops::{Program, found};
use super::super::support::run;
use super::http2::make_certificate;

/// The sections whose commands are tried.
const GUIDES: [&str; 6] = ["Snippets", "Behind a CDN", "In a browser", "Docker", "systemd", "Kubernetes"];

/// The shell commands of a section's code blocks; what ends with a backslash goes on.
pub(super) fn commands(section: &str) -> Vec<String> {
    let readme = include_str!("../../../README.md");
    let (_, text) =
        readme.split_once(&format!("\n### {section}\n")).unwrap_or_else(|| panic!("no {section}"));
    let text = text.split("\n## ").next().unwrap().split("\n### ").next().unwrap();
    let blocks = text.split("```").skip(1).step_by(2).filter_map(|block| block.strip_prefix("sh\n"));
    let lines: Vec<String> = blocks
        .flat_map(|block| block.replace("\\\n", " ").lines().map(str::to_owned).collect::<Vec<_>>())
        .collect();
    lines.into_iter().filter(|line| !line.is_empty()).collect()
}

#[tokio::test]
async fn their_commands_of_streamgate_run() {
    let folder = TempDir::new().unwrap();
    let config =
        "[[backend]]\nname = \"demo\"\napi = \"demo\"\n[[route]]\nmodel = \"*\"\nbackends = [\"demo\"]\n";
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    let (mut tried, root) = (0, Path::new(env!("CARGO_MANIFEST_DIR")));
    for command in GUIDES.iter().flat_map(|section| commands(section)) {
        let words: Vec<&str> =
            command.split_whitespace().take_while(|word| !matches!(*word, ">" | "|" | "#")).collect();
        let words: Vec<&str> = words.into_iter().skip_while(|word| *word == "sudo").collect();
        let [program, arguments @ ..] = words.as_slice() else {
            continue;
        };
        if *program != "streamgate" {
            continue;
        }
        // In the repository where they name its files.
        let here = if command.contains("docker/") { root } else { folder.path() };
        let run = run(here, arguments).await;
        assert_eq!(run.code, Some(0), "{command}: {}", run.all);
        tried += 1;
    }
    assert!(tried >= 5, "{tried} commands");
}

/// A line of a guide, run in a shell that has the built program.
fn shell(folder: &Path, line: &str) -> Output {
    let binary = Path::new(env!("CARGO_BIN_EXE_streamgate")).parent().unwrap().display();
    let path = format!("{binary}:{}", std::env::var_os("PATH").unwrap().to_str().unwrap());
    let output = Command::new("bash").args(["-ec", line]).current_dir(folder).env("PATH", path).output();
    let output = output.unwrap();
    let said = [output.stdout.as_slice(), &output.stderr].concat();
    assert!(output.status.success(), "{line}: {}", String::from_utf8_lossy(&said));
    output
}

/// Copies a file of the repository to the same place below a folder.
fn copy(name: &str, folder: &Path) {
    let to = folder.join(name);
    std::fs::create_dir_all(to.parent().unwrap()).unwrap();
    std::fs::copy(Path::new(env!("CARGO_MANIFEST_DIR")).join(name), to).unwrap();
}

#[tokio::test]
async fn every_program_approves_of_what_is_printed_for_it_but_traefik_which_has_no_check() {
    let folder = TempDir::new().unwrap();
    make_certificate(folder.path());
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    for program in Program::ALL {
        let (certificate, key) = (path(program.certificate()), path("key.pem"));
        let secure = ["--listen", "8443", "--certificate", &certificate, "--key", &key];
        let two = ["--gateway", "10.0.0.7:8080", "--gateway", "10.0.0.8:8080"];
        for more in [&[][..], &two, &secure] {
            if program == Program::Varnish && more == secure {
                continue;
            }
            let text = program.snippet(folder.path(), more).await;
            let Some(mut command) = program.check(folder.path(), &text) else { continue };
            let output = command.output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert!(output.status.success(), "{program:?} {more:?}: {said}\n{text}");
        }
    }
}

#[test]
fn the_commands_of_docker_run_but_for_the_engine_and_the_request_which_topology_sends() {
    let folder = TempDir::new().unwrap();
    copy("docker/proxy.toml", folder.path());
    let lines = commands("Docker");
    let of_engine = |line: &&String| line.starts_with("docker ");
    assert_eq!(lines.iter().filter(of_engine).count(), 1);
    for line in lines.iter().filter(|line| !of_engine(line) && !line.starts_with("curl ")) {
        shell(folder.path(), line);
    }
    assert!(folder.path().join("docker/tls/certificate.pem").is_file());
}

#[test]
fn the_commands_of_systemd_run_in_a_folder_and_its_service_is_enabled_there_but_not_started() {
    let folder = TempDir::new().unwrap();
    let root = folder.path().display();
    copy("docker/streamgate.service", folder.path());
    copy("proxy.toml", folder.path());
    // What `install` copies is the binary of the tests.
    let built = format!(" {} ", env!("CARGO_BIN_EXE_streamgate"));
    std::fs::create_dir_all(folder.path().join("usr/local/bin")).unwrap();
    std::fs::create_dir_all(folder.path().join("etc/systemd/system")).unwrap();
    let mut done = 0;
    for line in commands("systemd") {
        let line = line.trim_start_matches("sudo ").replace(" target/release/streamgate ", &built);
        let line =
            line.replace(" /usr/", &format!(" {root}/usr/")).replace(" /etc/", &format!(" {root}/etc/"));
        // The user that it makes is for a machine, not for a test.
        let line = line.replace(" -g streamgate ", " ");
        let line = line.replace("systemctl enable --now ", &format!("systemctl --root={root} enable "));
        if line.starts_with("systemctl reload") || line.starts_with("useradd") {
            continue;
        }
        shell(folder.path(), &line);
        done += 1;
    }
    assert_eq!(done, 5);
    let wanted = folder.path().join("etc/systemd/system/multi-user.target.wants/streamgate.service");
    assert!(wanted.is_symlink(), "enabled");
    assert!(folder.path().join("etc/streamgate/proxy.toml").is_file());
}

#[test]
fn the_commands_of_kubernetes_run_without_a_cluster_and_what_they_apply_fits_its_schema() {
    let folder = TempDir::new().unwrap();
    let config =
        "[[backend]]\nname = \"demo\"\napi = \"demo\"\n[[route]]\nmodel = \"*\"\nbackends = [\"demo\"]\n";
    std::fs::write(folder.path().join("proxy.toml"), config).unwrap();
    copy("docker/kubernetes.yaml", folder.path());
    let (mut secrets, mut applied) = (0, 0);
    for line in commands("Kubernetes") {
        if line.starts_with("kubectl create ") {
            let said = shell(folder.path(), &format!("{line} --dry-run=client -o yaml")).stdout;
            let secret = String::from_utf8(said).unwrap();
            assert!(secret.contains("seal-key:") && secret.contains("name: streamgate"), "{secret}");
            fits(folder.path(), &secret);
            secrets += 1;
        } else if let Some(file) = line.strip_prefix("kubectl apply -f ") {
            fits(folder.path(), &std::fs::read_to_string(folder.path().join(file)).unwrap());
            applied += 1;
        } else if let Some(made) = line.strip_suffix(" | kubectl apply -f -") {
            for more in ["", " --gateway gateway:8080 --certificate a --key b", " --config named.toml"] {
                let named = format!("[server]\nallowed_hosts = [\"chat.example.org\"]\n{config}");
                std::fs::write(folder.path().join("named.toml"), named).unwrap();
                let said = shell(folder.path(), &format!("{made}{more}")).stdout;
                let manifest = String::from_utf8(said).unwrap();
                assert!(manifest.contains("kind: Ingress"), "{manifest}");
                fits(folder.path(), &manifest);
                annotated(&manifest);
            }
            applied += 1;
        }
    }
    assert_eq!((secrets, applied), (1, 2), "of {:?}", commands("Kubernetes"));
}

/// The manifests are of the schema of Kubernetes.
fn fits(folder: &Path, manifests: &str) {
    std::fs::write(folder.join("manifests.yaml"), manifests).unwrap();
    let mut command = Command::new(found("kubernetes-validate"));
    let output = command.args(["--strict", "manifests.yaml"]).current_dir(folder).output().unwrap();
    let said = [output.stdout, output.stderr].concat();
    assert!(output.status.success(), "{}\n{manifests}", String::from_utf8_lossy(&said));
}

/// Every annotation is one that ingress-nginx has, by its documentation of annotations; nothing here runs it.
fn annotated(manifest: &str) {
    let known =
        ["body-size", "buffering", "http-version", "read-timeout", "request-buffering", "send-timeout"];
    let names = manifest
        .lines()
        .filter_map(|line| line.trim().strip_prefix("nginx.ingress.kubernetes.io/proxy-")?.split(':').next());
    let mut names: Vec<&str> = names.collect();
    names.sort_unstable();
    assert_eq!(names, known);
}

#[test]
fn their_commands_are_shell_also_those_that_are_not_run() {
    for section in GUIDES {
        for command in commands(section) {
            let parsed = Command::new("bash").args(["-n", "-c", &command]).status().unwrap();
            assert!(parsed.success(), "{command}");
        }
    }
}

#[test]
fn the_files_that_they_name_are_there() {
    for section in GUIDES {
        for command in commands(section) {
            for word in command.split_whitespace().filter(|word| word.starts_with("docker/")) {
                let made = word.starts_with("docker/tls");
                let there = Path::new(env!("CARGO_MANIFEST_DIR")).join(word).exists();
                assert!(made || there, "{word} of {command}");
            }
        }
    }
}
