//! Answers that are no stream: what they say of themselves, and what to do about them.

use http::StatusCode;

use crate::doctor::program::Program;
use crate::doctor::trace::Trace;
use crate::wire::read_failure;

/// The reason in the body of a refusal: the message of an API's error, the title of a page, or the first line of a text.
pub(super) fn reason(kind: &str, body: &[u8]) -> Option<String> {
    if serde_json::from_slice::<serde_json::Value>(body).is_ok_and(|value| value.is_object()) {
        return Some(clean(&read_failure(body).message));
    }
    let text = String::from_utf8_lossy(body);
    let words = if kind.contains("html") {
        let (_, rest) = text.split_once("<title>")?;
        rest.split('<').next()?
    } else if kind.contains("text/plain") {
        text.lines().next()?
    } else {
        return None;
    };
    Some(clean(words)).filter(|words| !words.is_empty())
}

/// One short line that does nothing to a terminal.
fn clean(words: &str) -> String {
    let lawful = words.trim().chars().map(|letter| if letter.is_control() { ' ' } else { letter });
    lawful.take(LONGEST).collect()
}

const LONGEST: usize = 300;

/// What an answer says about why it is none, in its body and in its headers.
pub(super) fn telling(trace: &Trace) -> Vec<String> {
    let status = trace.status().and_then(|status| StatusCode::from_u16(status).ok());
    let known = status.map(|status| status.to_string());
    let said = trace.reason.iter().filter(|reason| known.as_ref() != Some(reason));
    let mut telling: Vec<String> = said.map(|reason| format!("it says: {reason}")).collect();
    for name in ["location", "www-authenticate", "retry-after"] {
        telling.extend(trace.header(name).map(|value| format!("`{name}: {value}`")));
    }
    telling
}

/// What to do about a status.
pub(super) fn remedy(program: Option<Program>, status: u16) -> &'static [&'static str] {
    match (program, status) {
        (Some(Program::Nginx), 429 | 503) => {
            &["# limit_req, limit_conn: the doctor asks for some streams at a time, as a page does"]
        }
        (Some(Program::Nginx), 413) => &["client_max_body_size 20m;"],
        (Some(Program::Nginx), 421) => &[
            "proxy_set_header Host $host;",
            "# and in the gateway: [server] allowed_hosts = [\"the public name\"]",
        ],
        (Some(Program::Nginx), 502) => &[
            "# proxy_pass reaches nothing: is it the address and the port of the next hop? error_log says more",
        ],
        (_, 300..=399) => {
            &["give the address that it leads to: a POST loses its body, and clients their key, on the way"]
        }
        (_, 401 | 407) => &[
            "--key or STREAMGATE_KEY gives an API key; what asks for a password is given it in its address: https://USER:PASSWORD@HOST",
        ],
        (_, 403) => &["this key may not ask for it, or a rule of access or a firewall forbids it here"],
        (Some(Program::Nginx), 404) => &["location / { proxy_pass http://GATEWAY; }", PATH],
        (_, 404) => &["pass /v1/* and /api/* on to the gateway", PATH],
        (_, 405) => {
            &["let POST pass to the gateway; a stream that is read by GET is asked for by its own address"]
        }
        (_, 413) => &["let requests be larger; the gateway's own limit is [server] max_body_bytes"],
        (_, 421) => &[
            "gateway: [server] allowed_hosts, with the name that comes as `Host`; --host gives the one that the hops want",
        ],
        (_, 429 | 503) => &["the doctor asks for some streams at a time: let it, or let it try later"],
        (_, 502 | 504) => {
            &["it does not reach what is behind it: is the address right, and does the next hop run?"]
        }
        _ => &[],
    }
}

const PATH: &str = "# a hop is asked for the path of the public address, unless its own address names one: http://10.0.0.3:8080/v1";

/// The same where no other hop shows that the gateway is well.
pub(super) fn hint(status: u16, alone: bool) -> String {
    let lines = match status {
        404 if alone => &[THERE],
        404 => &[THERE, PATH][..],
        _ => remedy(None, status),
    };
    lines.iter().flat_map(|line| ["\n\nhint: ", line.trim_start_matches("# ")]).collect()
}

const THERE: &str = "is it the address of a gateway, and does `--model` name a model that is there? Any but `demo` is judged by weaker \
                     evidence";

/// What to do where another page answers in the gateway's place.
pub(super) const NO_STREAM: &[&str] = &[
    "pass /v1/* and /api/* on to the gateway: a page for every path (nginx: try_files, error_page) or a login answers",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_says_why() {
        let said = |kind, body: &str| reason(kind, body.as_bytes());
        let json = r#"{"error":{"message":"no such model","type":"x"}}"#;
        assert_eq!(said("application/json", json).as_deref(), Some("no such model"));
        let page = "<html><head><title>400 The plain HTTP request was sent to HTTPS port</title></head>";
        assert_eq!(
            said("text/html", page).as_deref(),
            Some("400 The plain HTTP request was sent to HTTPS port")
        );
        assert_eq!(said("text/plain", "o\u{1b}ps\nmore").as_deref(), Some("o ps"));
        assert_eq!(
            (said("text/html", "<p>"), said("image/png", "x"), said("text/plain", "")),
            (None, None, None)
        );
    }

    #[test]
    fn what_people_meet_has_a_remedy_everywhere() {
        for status in [301, 308, 401, 403, 404, 405, 413, 421, 429, 502, 503, 504] {
            for program in [None, Some(Program::Nginx)] {
                assert!(!remedy(program, status).is_empty(), "{status}");
            }
        }
    }
}
