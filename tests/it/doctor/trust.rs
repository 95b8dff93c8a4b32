//! Certificates of hops: whose are trusted.

use crate::doctor::{doctor, examine_with, setup};
use crate::door::Certificates;

#[tokio::test]
async fn a_hop_by_https_is_examined_with_its_authority_or_without_looking() {
    let certificates = Certificates::new();
    let gateway = setup().server(&certificates.line()).start().await;
    let url = format!("https://localhost:{}", gateway.public.port());
    let authority = certificates.file("cert.pem").display().to_string();
    for trust in [&["--cacert", &authority][..], &["--insecure"]] {
        let said = examine_with(&[&url, &format!("gateway={url}")], trust).await;
        said.is_clean();
        for hop in said.report["hops"].as_array().unwrap() {
            let probes = hop["probes"].as_array().unwrap();
            let over = |variant| &probes.iter().find(|probe| probe["variant"] == variant).unwrap()["http"];
            assert_eq!(
                (over("plain"), over("http2")),
                (&"HTTP/1.1".into(), &"HTTP/2.0".into()),
                "{}",
                said.all
            );
        }
    }
    let (code, said, log) = doctor(&[&url]).await;
    assert!(
        code == Some(1) && log.contains("`--cacert FILE`") && log.contains("`--insecure`"),
        "{said}{log}"
    );
}

#[tokio::test]
async fn another_authority_is_not_trusted() {
    let (certificates, others) = (Certificates::new(), Certificates::new());
    let gateway = setup().server(&certificates.line()).start().await;
    let url = format!("https://localhost:{}", gateway.public.port());
    let authority = others.file("cert.pem").display().to_string();
    let (code, said, log) = doctor(&[&url, "--cacert", &authority]).await;
    assert!(code == Some(1) && log.contains("certificate"), "{said}{log}");
}

#[tokio::test]
async fn a_file_without_authorities_is_wrong_usage() {
    for more in [
        &["--cacert", "/no/such/file"][..],
        &["--cacert", "/proc/version"],
        &["--cacert", "/proc/version", "--insecure"],
    ] {
        let (code, said, log) = doctor(&[&["https://127.0.0.1:9"], more].concat()).await;
        assert_eq!(code, Some(2), "{more:?}: {said}{log}");
    }
}
