//! How a stream ended, as it is stored: in words that scripts can read, and sealed, with the number of its last frame.

use bytes::Bytes;

use crate::journal::End;
use crate::journal::record::Ended;
use crate::journal::store::seal::{Place, Seal};

/// How it ended, as far as the store tells.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Told {
    Running,
    Ended(Ended),
    /// Somebody else wrote this end, or has changed what was before it.
    Forged,
}

/// The word for an end, why it came, and both sealed. `last`: the number of the last frame, where one writer knows it. `None`:
/// there is no randomness.
pub(super) fn write<'a>(
    seal: &Seal,
    ended: &'a Ended,
    last: Option<u64>,
) -> Option<(&'static str, &'a str, Vec<u8>)> {
    let (word, reason) = (word(ended), ended.reason.as_deref().unwrap_or_default());
    let last = last.map_or_else(|| ANY.into(), |last| last.to_string());
    let sealed = seal.close_at(Place::End, format!("{word} {last} {reason}").as_bytes())?;
    Some((word, reason, sealed))
}

/// `last`: the number of the last frame, as the store has it.
pub(super) fn read(seal: &Seal, last: u64, [word, reason, sealed]: [&Bytes; 3]) -> Told {
    if word.is_empty() {
        return Told::Running;
    }
    if !seal.has_key() {
        return Told::Ended(of_word(word, reason));
    }
    // That a writer is lost is said by a script, which has no key. It is no good end.
    if word == LOST {
        return Told::Ended(Ended::lost());
    }
    let opened = seal.open_at(Place::End, sealed);
    let text = opened.as_deref().and_then(|text| std::str::from_utf8(text).ok()).unwrap_or_default();
    let mut parts = text.splitn(3, ' ');
    match (parts.next(), parts.next(), parts.next()) {
        (Some(word), Some(at), Some(reason)) if at == ANY || at == last.to_string() => {
            Told::Ended(of_word(word.as_bytes(), reason.as_bytes()))
        }
        _ => Told::Forged,
    }
}

const LOST: &str = "lost";
/// In the place of the number of the last frame.
const ANY: &str = "-";

fn word(ended: &Ended) -> &'static str {
    match ended.end {
        End::Done => "done",
        End::Failed if ended.words => "failed",
        End::Failed if ended.is_lost() => LOST,
        End::Failed => "broken",
    }
}

fn of_word(word: &[u8], reason: &[u8]) -> Ended {
    let reason = String::from_utf8_lossy(reason).into_owned();
    match word {
        b"done" => Ended::done(),
        b"failed" => Ended::failed(reason, true),
        b"lost" => Ended::lost(),
        _ => Ended::failed(reason, false),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kind(told: &Told) -> Option<(End, Option<&str>, bool)> {
        match told {
            Told::Ended(ended) => Some((ended.end, ended.reason.as_deref(), ended.words)),
            Told::Running | Told::Forged => None,
        }
    }

    #[tokio::test]
    async fn an_end_is_read_as_it_was_written() {
        for seal in [Seal::new(None, "abc"), Seal::new(Some(&[7; 32]), "abc")] {
            for ended in [
                Ended::done(),
                Ended::failed("upstream_error", true),
                Ended::failed("two words", false),
                Ended::lost(),
            ] {
                for last in [Some(7), None] {
                    let (word, reason, sealed) = write(&seal, &ended, last).unwrap();
                    let [word, reason] = [word, reason].map(|text| Bytes::copy_from_slice(text.as_bytes()));
                    let told = read(&seal, 7, [&word, &reason, &sealed.into()]);
                    assert_eq!(kind(&told), kind(&Told::Ended(ended.clone())));
                }
            }
        }
    }

    #[tokio::test]
    async fn with_a_key_only_the_writers_end_is_a_good_one() {
        let seal = Seal::new(Some(&[7; 32]), "abc");
        let (_, _, sealed) = write(&seal, &Ended::done(), Some(7)).unwrap();
        let (done, none) = (Bytes::from("done"), Bytes::new());
        let (_, _, other) = write(&Seal::new(Some(&[7; 32]), "abd"), &Ended::done(), Some(7)).unwrap();
        let (_, _, plain) = write(&Seal::new(None, "abc"), &Ended::done(), Some(7)).unwrap();
        for (last, seals) in [(6, sealed.clone()), (7, other), (7, plain), (7, Vec::new())] {
            assert_eq!(read(&seal, last, [&done, &none, &seals.into()]), Told::Forged);
        }
        // What stands beside it in the plain is not believed.
        let (failed, why) = (Bytes::from("failed"), Bytes::from("because"));
        let told = read(&seal, 7, [&failed, &why, &sealed.into()]);
        assert_eq!(kind(&told), Some((End::Done, None, false)));
    }
}
