//! Server-Sent Events as an independent parser reads them.

use eventsource_stream::{Event, EventStream};
use futures_util::stream;
use futures_util::{FutureExt as _, StreamExt as _};

/// The events of a body.
pub fn events(body: &[u8]) -> Vec<Event> {
    let source = stream::iter([Ok::<_, std::convert::Infallible>(body)]);
    let events = EventStream::new(source).filter_map(async |event| event.ok());
    events.collect::<Vec<_>>().now_or_never().expect("nothing is waited for")
}
