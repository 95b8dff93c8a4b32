//! Proxies that are trusted tell whom they forward: nothing that a client writes beside that is taken for it.

#![no_main]

use std::net::IpAddr;

use http::HeaderMap;
use http::header::{FORWARDED, HeaderName, HeaderValue};
use libfuzzer_sys::fuzz_target;
use streamgate::server::fuzzing::{client, proxy_header};
use streamgate::server::{Forwarding, Proxies};

const CLIENT: &str = "198.51.100.7";

fuzz_target!(|bytes: &[u8]| {
    header_of_a_connection(bytes);
    let trusted: Vec<_> = ["10.0.0.0/8", "::1/128"].map(|net| net.parse().expect("a net")).into();
    for header in [Forwarding::XForwardedFor, Forwarding::Forwarded] {
        let proxies = Proxies { trusted: trusted.clone(), header };
        forwarded(&proxies, bytes);
    }
});

/// The header is read in the same way however it comes, and with whatever behind it.
fn header_of_a_connection(bytes: &[u8]) {
    let Ok(Some((length, named))) = proxy_header(bytes) else { return };
    let alone = bytes.get(..length).expect("it is among the bytes");
    assert_eq!(proxy_header(alone).ok(), Some(Some((length, named))));
    for cut in 1..length {
        assert_eq!(proxy_header(&bytes[..cut]).ok(), Some(None), "cut at {cut}");
    }
    let line = std::str::from_utf8(alone).unwrap_or_default();
    if let Some(["PROXY", "TCP4" | "TCP6", source, ..]) =
        line.strip_suffix("\r\n").map(|line| line.split(' ').collect::<Vec<_>>()).as_deref()
    {
        let source: IpAddr = source.parse().expect("an address");
        assert_eq!(named, Some(source.to_canonical()));
    }
}

fn forwarded(proxies: &Proxies, bytes: &[u8]) {
    let name = match proxies.header {
        Forwarding::XForwardedFor => HeaderName::from_static("x-forwarded-for"),
        Forwarding::Forwarded => FORWARDED,
    };
    let lines = || bytes.split(|byte| *byte == b'\n').filter_map(|line| HeaderValue::from_bytes(line).ok());
    let headers = |last: &[u8]| -> Option<HeaderMap> {
        let mut headers: HeaderMap = lines().map(|line| (name.clone(), line)).collect();
        headers.append(name.clone(), HeaderValue::from_bytes(last).ok()?);
        Some(headers)
    };
    let (stranger, proxy) = (CLIENT.parse().ok(), "10.0.0.1".parse().ok());
    let nothing = headers(b"").expect("a value");
    assert_eq!(client(proxies, stranger, &nothing), stranger, "a stranger's words count for nothing");
    let named = client(proxies, proxy, &nothing);
    assert!(named.is_some(), "whoever calls is known at least");
    assert!(client(proxies, None, &nothing).is_none_or(|none| Some(none) == named || named == proxy));
    // Behind what a client wrote, in a line of its own or in the same, the proxy says who that client was.
    let told: Vec<String> = match proxies.header {
        Forwarding::XForwardedFor => {
            vec![CLIENT.into(), format!("{CLIENT}, 10.9.9.9"), format!("{CLIENT}:80")]
        }
        Forwarding::Forwarded => {
            let mut told = vec![format!("for={CLIENT}"), format!("for=\"{CLIENT}:80\" , for=10.9.9.9")];
            // The host is what the client has asked for.
            told.extend(quoted(bytes).into_iter().flat_map(|host| {
                [format!("for={CLIENT};host={host}"), format!("host={host};proto=http;for={CLIENT}")]
            }));
            told
        }
    };
    for told in &told {
        let told = told.as_bytes();
        let first = bytes.split(|byte| *byte == b'\n').next().unwrap_or_default();
        for last in [told.to_vec(), [first, b",", told].concat()] {
            let Some(headers) = headers(&last) else { continue };
            let shown = String::from_utf8_lossy(&last);
            assert_eq!(client(proxies, proxy, &headers), stranger, "{shown}");
            assert_eq!(client(proxies, None, &headers), stranger, "{shown}");
        }
    }
}

/// A value as a quoted string (RFC 9110 section 5.6.4).
fn quoted(value: &[u8]) -> Option<String> {
    let text = std::str::from_utf8(value).ok()?;
    HeaderValue::from_str(text).ok()?;
    Some(format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\"")))
}
