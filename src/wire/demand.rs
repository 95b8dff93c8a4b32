//! What a request asks for, before anybody has counted it: an estimate of what the model will read, and the bounds that the
//! request sets to its answer, in whatever dialect.

use crate::wire::json::Field;
use crate::wire::members::{all_members, members};

/// How many tokens a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Demand {
    /// About what the model will read.
    pub prompt: u64,
    /// What one answer may have at most, if the request says so.
    pub output: Option<u64>,
    /// How many answers are asked for.
    pub choices: u64,
}

/// Letters in a token, about.
const LETTERS: u64 = 4;
/// A string as long as this without a blank, in plain letters, is a picture or a document.
const BLOB: usize = 2048;
/// What one of those costs, about.
const BLOB_TOKENS: u64 = 1500;

impl Demand {
    /// Of a request's body, which is a JSON object.
    pub fn of(body: &[u8]) -> Self {
        let mut demand = Self { prompt: prompt(body), output: None, choices: 1 };
        for (key, field) in members(body).unwrap_or_default() {
            match key.as_ref() {
                "max_tokens" | "max_completion_tokens" | "max_output_tokens" => demand.bound(field),
                "n" | "best_of" => demand.choices = demand.choices.max(number(field).unwrap_or(1)),
                "options" => {
                    let options = all_members(field.object().unwrap_or("{}"));
                    let bound = options.iter().find(|(key, _)| key == "num_predict");
                    let bound = bound.and_then(|(_, raw)| raw.parse::<i64>().ok());
                    demand.output = bound.and_then(|bound| u64::try_from(bound).ok()).or(demand.output);
                }
                _ => {}
            }
        }
        demand
    }

    /// Of several bounds, the largest: who knows which one a backend reads.
    fn bound(&mut self, field: Field<'_>) {
        self.output = self.output.max(number(field));
    }

    /// The same for what is only read.
    #[must_use]
    pub fn read_only(self) -> Self {
        Self { output: Some(0), ..self }
    }
}

/// A whole number, or one that is written as if it were none; more than any is the most.
fn number(field: Field<'_>) -> Option<u64> {
    let text = field.number()?;
    if let Some(digits) = text.strip_prefix('-').map_or(Some(text), |_| None)
        && digits.bytes().all(|byte| byte.is_ascii_digit())
    {
        return Some(digits.parse().unwrap_or(u64::MAX));
    }
    let value = text.parse::<f64>().ok().filter(|value| *value >= 0.0)?;
    Some(std::time::Duration::try_from_secs_f64(value).map_or(u64::MAX, |time| time.as_secs()))
}

/// A quarter of the letters in strings, and a token for each number: embeddings may be asked for with tokens.
fn prompt(body: &[u8]) -> u64 {
    let (mut letters, mut others) = (0_u64, 0_u64);
    let mut rest = body;
    while let Some((first, behind)) = rest.split_first() {
        rest = behind;
        if *first == b'"' {
            let (length, blank, end) = string(rest);
            rest = rest.get(end..).unwrap_or_default();
            if length > BLOB && !blank {
                others += BLOB_TOKENS;
            } else {
                letters += length as u64;
            }
        } else if first.is_ascii_digit() {
            others += 1;
            let end = rest.iter().position(|byte| !byte.is_ascii_alphanumeric() && *byte != b'.');
            rest = rest.get(end.unwrap_or(rest.len())..).unwrap_or_default();
        }
    }
    letters.div_ceil(LETTERS) + others
}

/// How many letters a string has, whether it has a blank or a letter that no coding of bytes has, and where what is behind it begins.
fn string(text: &[u8]) -> (usize, bool, usize) {
    let (mut letters, mut blank, mut escaped) = (0, false, false);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            _ if escaped => {
                escaped = false;
                blank |= matches!(byte, b'n' | b'r' | b't');
            }
            b'\\' => {
                escaped = true;
                continue;
            }
            b'"' => return (letters, blank, at + 1),
            0x80..=0xBF => continue, // the middle of a character
            b' ' | 0xC0.. => blank = true,
            _ => {}
        }
        letters += 1;
    }
    (letters, blank, text.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_dialects_bound_is_found() {
        for (body, output, choices) in [
            (r#"{"model":"m"}"#, None, 1),
            (r#"{"max_tokens":7}"#, Some(7), 1),
            (r#"{"max_completion_tokens":8,"max_tokens":7,"n":3}"#, Some(8), 3),
            (r#"{"max_output_tokens":9,"best_of":100,"n":2}"#, Some(9), 100),
            (r#"{"options":{"num_predict":10}}"#, Some(10), 1),
            (r#"{"options":{"num_predict":-1}}"#, None, 1),
            (r#"{"max_tokens":99999999999999999999999999}"#, Some(u64::MAX), 1),
            (r#"{"max_tokens":1e3,"n":2.0}"#, Some(1000), 2),
            (r#"{"max_tokens":1e300}"#, Some(u64::MAX), 1),
            (r#"{"max_tokens":-5,"n":-5}"#, None, 1),
        ] {
            let demand = Demand::of(body.as_bytes());
            assert_eq!((demand.output, demand.choices), (output, choices), "{body}");
        }
    }

    #[test]
    fn a_prompt_is_a_quarter_of_its_letters() {
        let words = "word ".repeat(400);
        let of = |text: &str| Demand::of(format!(r#"{{"p":"{text}"}}"#).as_bytes()).prompt;
        assert_eq!(of(&words), 501);
        assert_eq!(of(&words.replace(' ', "\\n")), 501);
        assert_eq!(of(&"ä".repeat(400)), 101);
        assert_eq!(of(&"水".repeat(4000)), 1001);
        assert_eq!(of(&"QUJD".repeat(100_000)), 1501, "a picture is no text");
        assert_eq!(Demand::of(br#"{"input":[[1,22],[333,-4.5e6]]}"#).prompt, 6);
    }
}
