//! Random ids for requests and answers.

use crate::telemetry::clock::since_1970;

/// 128 random bits as 26 lower-case letters and digits (RFC 4648 base32 without padding).
pub fn random_id() -> String {
    let mut bytes = [0_u8; 16];
    if getrandom::fill(&mut bytes).is_err() {
        // No entropy: the ids only name things, so the clock will do.
        bytes = since_1970().as_nanos().to_be_bytes();
    }
    let mut number = u128::from_be_bytes(bytes);
    let mut id = String::with_capacity(26);
    for _ in 0..26 {
        let digit = u8::try_from(number & 31).unwrap_or_default();
        id.push(char::from(if digit < 26 { b'a' + digit } else { b'2' + digit - 26 }));
        number >>= 5;
    }
    id
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_id_has_26_characters_and_is_not_given_twice() {
        let (one, other) = (random_id(), random_id());
        assert_eq!(one.len(), 26);
        assert!(one.chars().all(|c| c.is_ascii_lowercase() || ('2'..='7').contains(&c)));
        assert_ne!(one, other);
    }
}
