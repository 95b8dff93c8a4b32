//! What the name of the built-in model asks of it.

use std::str::FromStr;
use std::time::Duration;

/// `demo`, or `demo:` and a list: `words=20,pace=30ms,silence=3s,think,tools,stamps,after=5,cut`.
#[derive(Debug)]
pub(super) struct Options {
    /// The length of the answer.
    pub(super) words: Option<usize>,
    /// Between two words.
    pub(super) pace: Duration,
    /// Before the first word.
    pub(super) silence: Duration,
    /// After `after` words, once.
    pub(super) pause: Duration,
    /// Says `[number@milliseconds]` in place of words: when each was to leave, counted from when the request came.
    pub(super) stamps: bool,
    /// Bytes that no compression makes smaller, behind every stamp.
    pub(super) pad: usize,
    pub(super) think: bool,
    /// Calls every tool that the request offers.
    pub(super) tools: bool,
    /// Words before the fault, and before the pause.
    pub(super) after: usize,
    pub(super) fault: Option<Fault>,
    /// Answers with this status instead.
    pub(super) status: Option<u16>,
}

/// How an answer of the built-in model goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fault {
    /// The connection breaks.
    Cut,
    /// Nothing more comes, and the connection stays.
    Stall,
    /// An error object in the stream.
    Error,
    /// A clean end without the terminator.
    Truncated,
    /// The gateway itself fails: for its tests.
    #[cfg(debug_assertions)]
    Panic,
}

const KNOWN: &str = "words=N, pace=TIME, silence=TIME, pause=TIME, stamps, pad=N, think, tools, after=N, cut, stall, error, \
                     truncated, status=N";

impl FromStr for Options {
    type Err = String;

    fn from_str(model: &str) -> Result<Self, String> {
        let mut options = Self {
            words: None,
            pace: Duration::from_millis(40),
            silence: Duration::ZERO,
            pause: Duration::ZERO,
            stamps: false,
            pad: 0,
            think: false,
            tools: false,
            after: 5,
            fault: None,
            status: None,
        };
        let list = model.split_once(':').map_or("", |(_, list)| list);
        for option in list.split(',').filter(|option| !option.is_empty() && *option != "latest") {
            options
                .set(option)
                .ok_or_else(|| format!("the demo model does not know `{option}`; it knows {KNOWN}"))?;
        }
        Ok(options)
    }
}

impl Options {
    fn set(&mut self, option: &str) -> Option<()> {
        match option.split_once('=').unwrap_or((option, "")) {
            ("words", count) => self.words = Some(count.parse().ok().filter(|count| *count <= MAX_WORDS)?),
            ("pace", time) => self.pace = time_of(time)?,
            ("silence", time) => self.silence = time_of(time)?,
            ("pause", time) => self.pause = time_of(time)?,
            ("pad", size) => self.pad = size.parse().ok().filter(|size| *size <= MAX_PAD)?,
            ("stamps", "") => self.stamps = true,
            ("after", count) => self.after = count.parse().ok()?,
            ("status", status) => {
                self.status = Some(status.parse().ok().filter(|status| (400..600).contains(status))?);
            }
            ("think", "") => self.think = true,
            ("tools", "") => self.tools = true,
            ("cut", "") => self.fault = Some(Fault::Cut),
            ("stall", "") => self.fault = Some(Fault::Stall),
            ("error", "") => self.fault = Some(Fault::Error),
            ("truncated", "") => self.fault = Some(Fault::Truncated),
            #[cfg(debug_assertions)]
            ("panic", "") => self.fault = Some(Fault::Panic),
            _ => return None,
        }
        Some(())
    }
}

/// The longest answer, in words: it is written out before it is sent.
const MAX_WORDS: usize = 20_000;
/// The largest padding, in bytes: with the longest answer that is 80 MB, and no event is near the limit of events.
const MAX_PAD: usize = 4096;
/// The longest pause.
const MAX_TIME: Duration = Duration::from_hours(1);

fn time_of(text: &str) -> Option<Duration> {
    humantime::parse_duration(text).ok().filter(|time| *time <= MAX_TIME)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_options_is_read_and_a_wrong_one_is_named() {
        let options: Options = "demo:words=20,pace=5ms,silence=1s,think,after=3,cut".parse().unwrap();
        assert_eq!((options.words, options.after, options.fault), (Some(20), 3, Some(Fault::Cut)));
        assert_eq!((options.pace, options.silence), (Duration::from_millis(5), Duration::from_secs(1)));
        let options: Options = "demo:stamps,pad=64,pause=2s".parse().unwrap();
        assert_eq!((options.stamps, options.pad, options.pause), (true, 64, Duration::from_secs(2)));
        assert!("demo:pad=5000".parse::<Options>().is_err());
        assert!("demo:latest".parse::<Options>().is_ok());
        assert!("demo:pace=fast".parse::<Options>().unwrap_err().contains("`pace=fast`"));
        assert!("demo:silence=500000000000y".parse::<Options>().is_err());
        assert!("demo:status=200".parse::<Options>().is_err());
    }
}
