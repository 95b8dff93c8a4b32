//! Splits a backend's bytes into frames, whatever the bytes were cut into: linear in time, bounded in memory.

use bytes::Bytes;

use crate::wire::buffer::Buffer;
use crate::wire::dialect::Framing;
use crate::wire::frame::Frame;
use crate::wire::ndjson::Lines;
use crate::wire::sse::Blocks;

/// One event of the backend is larger than the limit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("an event of the backend is larger than {limit} bytes")]
pub struct FrameTooLarge {
    pub limit: usize,
}

/// Bytes in, frames out.
#[derive(Debug)]
pub struct Splitter {
    buffer: Buffer,
    /// Still at the very start, where a byte order mark may stand.
    at_start: bool,
    limit: usize,
    scanner: Scanner,
}

#[derive(Debug)]
enum Scanner {
    Sse(Blocks),
    Ndjson(Lines),
}

const BYTE_ORDER_MARK: &[u8] = b"\xEF\xBB\xBF";

impl Splitter {
    /// `limit` bounds one event, in bytes.
    pub fn new(framing: Framing, limit: usize) -> Self {
        let scanner = match framing {
            Framing::Sse => Scanner::Sse(Blocks::default()),
            Framing::Ndjson => Scanner::Ndjson(Lines::default()),
        };
        Self { buffer: Buffer::default(), at_start: true, limit, scanner }
    }

    /// Takes the next bytes of the body, of any length.
    pub fn push(&mut self, chunk: Bytes) {
        self.buffer.push(chunk);
    }

    /// The next whole frame, if it has come.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, FrameTooLarge> {
        if self.at_start && !self.skip_byte_order_mark() {
            return Ok(None);
        }
        let frame = match &mut self.scanner {
            Scanner::Sse(blocks) => blocks.next_frame(&mut self.buffer),
            Scanner::Ndjson(lines) => lines.next_frame(&mut self.buffer),
        };
        // Only what is left of an unfinished event can be too large to wait for its end; a finished one is checked as well.
        let size = frame.as_ref().map_or(self.buffer.len(), |frame| frame.raw.len());
        if size > self.limit {
            return Err(FrameTooLarge { limit: self.limit });
        }
        Ok(frame)
    }

    /// From now on an event may be so large, in bytes.
    pub fn limit(&mut self, bytes: usize) {
        self.limit = bytes;
    }

    /// The body has ended: what is left, as a frame, if it holds a payload. The specification drops such an event; servers
    /// that forget the last blank line are common, so the caller decides by whether the payload is complete.
    pub fn finish(&mut self) -> Option<Frame> {
        match &mut self.scanner {
            Scanner::Sse(blocks) => blocks.finish(&mut self.buffer),
            Scanner::Ndjson(lines) => lines.finish(&mut self.buffer),
        }
    }

    /// False while it is open whether a byte order mark comes.
    fn skip_byte_order_mark(&mut self) -> bool {
        if self.buffer.len() < BYTE_ORDER_MARK.len() && BYTE_ORDER_MARK.starts_with(self.buffer.bytes()) {
            return false;
        }
        if self.buffer.bytes().starts_with(BYTE_ORDER_MARK) {
            drop(self.buffer.split_to(BYTE_ORDER_MARK.len()));
        }
        self.at_start = false;
        true
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn split(framing: Framing, pieces: &[&[u8]]) -> Vec<Frame> {
        let mut splitter = Splitter::new(framing, 1 << 20);
        let mut frames = Vec::new();
        for piece in pieces {
            splitter.push(Bytes::copy_from_slice(piece));
            while let Some(frame) = splitter.next_frame().unwrap() {
                frames.push(frame);
            }
        }
        frames.extend(splitter.finish());
        frames
    }

    fn payloads(frames: &[Frame]) -> Vec<&str> {
        frames.iter().map(|frame| std::str::from_utf8(&frame.data).unwrap()).collect()
    }

    const LAWFUL: &str = "\u{FEFF}: hello\n\ndata: {\"a\":\"wörld 🌍\"}\n\nevent: error\ndata:two\ndata:  lines\nid: 7\n\n\
                          retry: 10\n\n\ndata: crlf\r\n\r\ndata: cr\r\revent: bare\n\ndata\n\ndata: [DONE]\n\n";

    #[test]
    fn every_lawful_form_of_an_event_is_read() {
        let frames = split(Framing::Sse, &[LAWFUL.as_bytes()]);
        assert_eq!(payloads(&frames), ["{\"a\":\"wörld 🌍\"}", "two\n lines", "crlf", "cr", "", "[DONE]"]);
        assert_eq!(frames[1].event.as_deref(), Some(&b"error"[..]));
        assert_eq!(frames[1].raw, "event: error\ndata: two\ndata:  lines\n\n");
        assert_eq!(frames[2].raw, "data: crlf\n\n");
    }

    #[test]
    fn any_cut_of_the_bytes_gives_the_same_frames() {
        for (framing, text) in
            [(Framing::Sse, LAWFUL), (Framing::Ndjson, "{\"a\":1}\n\n \t{\"b\":\"ö\"} \r\n  {\"c\":3}")]
        {
            let whole = split(framing, &[text.as_bytes()]);
            for at in 0..=text.len() {
                let (first, second) = text.as_bytes().split_at(at);
                assert_eq!(split(framing, &[first, second]), whole, "cut at {at}");
            }
            let bytes: Vec<&[u8]> = text.as_bytes().chunks(1).collect();
            assert_eq!(split(framing, &bytes), whole);
        }
    }

    #[test]
    fn json_without_a_field_is_an_event_and_an_error_if_it_says_so() {
        for (text, name) in [
            ("{\"error\":{\"message\":\"m\"}}\n\n", Some(&b"error"[..])),
            ("{\n  \"error\": {\n    \"message\": \"m\"\n  }\n}\n", Some(b"error")),
            (": hello\n{\"detail\":\"m\"}", Some(b"error")),
            ("{\"choices\":[],\"error\":null}\n\n", None),
        ] {
            let frames = split(Framing::Sse, &[text.as_bytes()]);
            assert_eq!(frames.len(), 1, "{text}");
            assert_eq!(frames[0].event.as_deref(), name, "{text}");
            assert!(frames[0].is_complete() && frames[0].raw.ends_with(b"\n\n"), "{frames:?}");
            for at in 0..text.len() {
                let (one, other) = text.as_bytes().split_at(at);
                assert_eq!(split(Framing::Sse, &[one, other]), frames, "{text} cut at {at}");
            }
        }
        let behind = split(Framing::Sse, &[b"data: a\n\n{\"error\":\"m\"}\ndata: b\n\ndata: c\n\n"]);
        assert_eq!(
            payloads(&behind),
            ["a", "{\"error\":\"m\"}", "c"],
            "the end of an answer that failed does not count"
        );
        let other = split(Framing::Sse, &[b"{\"x\":1}\ndata: b\n\ndata: c\n\n"]);
        assert_eq!(payloads(&other), ["b", "c"]);
    }

    #[test]
    fn a_plain_event_is_passed_on_without_a_change() {
        let text = "event: x\ndata: {\"a\": 1}\n\n";
        assert_eq!(split(Framing::Sse, &[text.as_bytes()])[0].raw, text);
        assert_eq!(split(Framing::Ndjson, &[b"{\"a\": 1}\n"])[0].raw, "{\"a\": 1}\n");
    }

    #[test]
    fn a_last_event_without_its_blank_line_is_offered_at_the_end() {
        assert_eq!(payloads(&split(Framing::Sse, &[b"data: a\n\ndata: b"])), ["a", "b"]);
        assert_eq!(payloads(&split(Framing::Sse, &[b"data: a\n\ndata: b\n"])), ["a", "b"]);
        assert_eq!(payloads(&split(Framing::Sse, &[b"data: a\n\nevent: x\n: y"])), ["a"]);
        assert_eq!(payloads(&split(Framing::Ndjson, &[b"{\"a\":1}\n{\"b\""])), ["{\"a\":1}", "{\"b\""]);
    }

    #[test]
    fn an_endless_event_is_refused_and_endless_comments_are_not_kept() {
        let mut splitter = Splitter::new(Framing::Sse, 1000);
        for _ in 0..10_000 {
            splitter.push(Bytes::from_static(b": only a comment\n"));
            assert_eq!(splitter.next_frame(), Ok(None));
        }
        assert!(splitter.buffer.len() < 100);
        splitter.push(Bytes::from_static(b"data: "));
        let mut refused = false;
        for _ in 0..20 {
            splitter.push(Bytes::from_static(&[b'x'; 100]));
            refused |= splitter.next_frame().is_err();
        }
        assert!(refused);
    }

    #[test]
    fn many_small_events_in_one_read_are_all_there() {
        let text = "data: x\n\n".repeat(100_000);
        assert_eq!(split(Framing::Sse, &[text.as_bytes()]).len(), 100_000);
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, cut in 0_usize..64) {
            for framing in [Framing::Sse, Framing::Ndjson] {
                let (first, second) = bytes.split_at(cut.min(bytes.len()));
                prop_assert_eq!(split(framing, &[first, second]), split(framing, &[&bytes]));
            }
        }

        #[test]
        fn what_is_passed_on_reads_back_in_an_independent_parser(
            lines in proptest::collection::vec("(data|event|id|retry|:)?:? ?[a-z {}\"]{0,8}", 0..30),
            ends in proptest::collection::vec(0_usize..3, 30),
        ) {
            use eventsource_stream::Eventsource as _;
            use futures_util::{FutureExt as _, StreamExt as _};

            let mut text = String::new();
            for (line, end) in lines.iter().zip(&ends) {
                text.push_str(line);
                text.push_str(["\n", "\r\n", "\n\n"][*end]);
            }
            let frames = split(Framing::Sse, &[text.as_bytes(), b"\n\n"]);
            let passed: Vec<u8> = frames.iter().flat_map(|frame| frame.raw.to_vec()).collect();
            let stream = futures_util::stream::iter([Ok::<_, std::io::Error>(passed)]).eventsource();
            let read: Vec<_> = stream.map(|event| event.unwrap().data).collect().now_or_never().unwrap();
            let wanted: Vec<_> = payloads(&frames).into_iter().map(String::from).filter(|data| !data.is_empty()).collect();
            prop_assert_eq!(read.into_iter().filter(|data| !data.is_empty()).collect::<Vec<_>>(), wanted);
        }
    }
}
