//! What the fuzz targets reach of how the tools read an answer. Built with `--cfg fuzzing` alone.

use std::convert::Infallible;

use bytes::Bytes;
use futures_util::stream;
use reqwest::{Body, Response};

use crate::client::Messages;
use crate::wire::Framing;

/// An answer whose body comes in these pieces.
pub fn messages(pieces: Vec<Bytes>, framing: Framing) -> Messages {
    let body = Body::wrap_stream(stream::iter(pieces.into_iter().map(Ok::<_, Infallible>)));
    Messages::new(Response::from(http::Response::new(body)), framing)
}
