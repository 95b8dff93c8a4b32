//! Which conversation a request belongs to, for backends that keep what they have read of it: the name that its client gives,
//! else how it begins.

use crate::upstream::digest;
use crate::wire::opening;

/// How much of the beginning tells conversations apart.
const PREFIX_BYTES: usize = 256 << 10;

/// The number of a conversation with this name.
pub(super) fn named(name: &str) -> u64 {
    digest(name.as_bytes())
}

/// The number of a conversation that begins like this request: its instructions, and all up to the first words of its user,
/// which every later request of the conversation repeats.
pub(super) fn prefix(body: &[u8]) -> u64 {
    let opening = opening(body);
    digest(opening.as_bytes().get(..PREFIX_BYTES).unwrap_or(opening.as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn later_turns_have_the_number_of_the_first() {
        let turns = [
            r#"{"model":"m","messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"Hi"}]}"#,
            r#"{"model":"m","messages":[{"role":"system","content":"Be brief"},{"role":"user","content":"Hi"},{"role":"assistant","content":"Hello"},{"role":"user","content":"Why?"}]}"#,
        ];
        assert_eq!(prefix(turns[0].as_bytes()), prefix(turns[1].as_bytes()));
        let other = turns[0].replace("Hi", "Ho");
        assert_ne!(prefix(turns[0].as_bytes()), prefix(other.as_bytes()));
    }

    #[test]
    fn every_api_has_a_beginning() {
        let bodies = [
            r#"{"system":"S","messages":[{"role":"user","content":"A"}]}"#,
            r#"{"instructions":"S","input":"A"}"#,
            r#"{"input":[{"role":"user","content":"A"}]}"#,
            r#"{"prompt":"A"}"#,
            r#"{"system":"S","prompt":"A"}"#,
        ];
        let numbers: Vec<u64> = bodies.iter().map(|body| prefix(body.as_bytes())).collect();
        for (body, number) in bodies.iter().zip(&numbers) {
            assert_ne!(prefix(body.replace('A', "B").as_bytes()), *number, "{body}");
            assert_ne!(prefix(b"{}"), *number, "{body}");
        }
    }
}
