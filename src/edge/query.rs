//! The query of a request, decoded once for the whole gateway: whoever checks a parameter and whoever uses it see one value.

use http::Uri;

use crate::edge::Refusal;
use crate::wire::{Code, Failure};

/// The parameters that the gateway knows. Others are nobody's, and passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Parameter {
    After,
    ConversationId,
    Exclusive,
    Expires,
    From,
    Id,
    KeepAlive,
    LastEventId,
    Limit,
    Only,
    Owner,
    Scope,
    Signature,
    StartingAfter,
    Stream,
    Viewer,
    Wait,
}

const NAMES: [(&str, Parameter); 18] = [
    ("after", Parameter::After),
    ("conv_id", Parameter::ConversationId),
    ("exclusive", Parameter::Exclusive),
    ("expires", Parameter::Expires),
    ("from", Parameter::From),
    ("id", Parameter::Id),
    ("keep_alive", Parameter::KeepAlive),
    ("lastEventId", Parameter::LastEventId), // what reconnecting-eventsource and other polyfills send
    ("last_event_id", Parameter::LastEventId),
    ("limit", Parameter::Limit),
    ("only", Parameter::Only),
    ("owner", Parameter::Owner),
    ("scope", Parameter::Scope),
    ("signature", Parameter::Signature),
    ("starting_after", Parameter::StartingAfter),
    ("stream", Parameter::Stream),
    ("viewer", Parameter::Viewer),
    ("wait", Parameter::Wait),
];

/// What a query says, each parameter at most once.
#[derive(Clone, Debug, Default)]
pub struct Query(Vec<(Parameter, String)>);

impl Query {
    /// Reads the query of an address. One that gives a parameter two values is refused, also if they are the same: another hop
    /// may take the other one.
    pub fn of(uri: &Uri) -> Result<Self, Refusal> {
        let mut found: Vec<(Parameter, String)> = Vec::new();
        for (name, value) in form_urlencoded::parse(uri.query().unwrap_or_default().as_bytes()) {
            let Some((name, parameter)) = NAMES.into_iter().find(|(known, _)| *known == name) else {
                continue;
            };
            if found.iter().any(|(other, _)| *other == parameter) {
                let words = format!("the parameter `{name}` stands in the query twice");
                return Err(Failure::new(Code::InvalidRequest, words).param(name).into());
            }
            found.push((parameter, value.into_owned()));
        }
        Ok(Self(found))
    }

    /// The decoded value of a parameter.
    pub fn get(&self, parameter: Parameter) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == parameter).map(|(_, value)| value.as_str())
    }

    /// The same as a number, if it is one.
    pub fn number(&self, parameter: Parameter) -> Option<u64> {
        self.get(parameter)?.parse().ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(query: &str) -> Result<Query, Refusal> {
        Query::of(&format!("/v1/streams?{query}").parse().unwrap())
    }

    #[test]
    fn a_parameter_is_decoded_once_and_has_one_value() {
        let query = of("%69d=a%2562&x=1&x=2&viewer=&wait=25s&starting_after=7").unwrap();
        assert_eq!(query.get(Parameter::Id), Some("a%62"));
        assert_eq!(query.get(Parameter::Viewer), Some(""));
        assert_eq!(query.number(Parameter::StartingAfter), Some(7));
        assert_eq!(query.number(Parameter::Wait), None);
        assert_eq!(query.get(Parameter::Limit), None);
    }

    #[test]
    fn a_cursor_has_two_names_and_one_value() {
        for name in ["last_event_id", "lastEventId"] {
            assert_eq!(
                of(&format!("{name}=a.3")).unwrap().get(Parameter::LastEventId),
                Some("a.3"),
                "{name}"
            );
        }
        for twice in ["last_event_id=a.3&lastEventId=a.3", "lastEventId=&last_event_id=a.3"] {
            assert_eq!(of(twice).unwrap_err().failure.status(), 400, "{twice}");
        }
    }

    #[test]
    fn a_parameter_with_two_values_is_refused_however_it_is_written() {
        for (name, _) in NAMES {
            let first = name.as_bytes().first().unwrap();
            let escaped = format!("%{first:02x}{}", name.get(1..).unwrap());
            for twice in
                [format!("{name}=a&{name}=b"), format!("{name}=a&x=1&{escaped}=a"), format!("{name}&{name}")]
            {
                assert_eq!(of(&twice).unwrap_err().failure.status(), 400, "{twice}");
            }
            assert!(of(&format!("{name}=a&{}=b", name.to_uppercase())).is_ok(), "names have a case");
        }
    }
}
