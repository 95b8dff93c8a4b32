//! What the fuzz targets reach of how requests for recorded streams are read. Built with `--cfg fuzzing` alone.

use std::time::Duration;

use http::{HeaderMap, Method, Uri};

use crate::api::cursor::Cursor;
use crate::api::look::Look;
use crate::api::wishes::Wishes;
use crate::edge::Query;
use crate::journal::Viewer;

/// An id of an event, read and written again.
pub fn cursor(id: &str) -> Option<String> {
    Cursor::parse(id).map(|cursor| cursor.to_string())
}

/// What a request for a stream says.
#[derive(Debug)]
pub struct Looked {
    pub cursor: Option<String>,
    pub wait: Duration,
    pub viewer: Option<Viewer>,
}

/// Reads the query and the headers of a `GET`; `None` if the query is refused.
pub fn look(uri: &Uri, headers: &HeaderMap) -> Option<Looked> {
    let look = Look::new(&Method::GET, &Query::of(uri).ok()?, headers);
    let cursor = look.cursor.map(|cursor| cursor.to_string());
    Some(Looked { cursor, wait: look.wait, viewer: look.viewer })
}

/// What a request wishes beyond an answer.
#[derive(Debug)]
pub struct Wished {
    pub conversation: Option<String>,
    pub key: Option<String>,
    pub cursor: Option<String>,
}

/// Reads the headers of a request; the status of a refusal.
pub fn wishes(headers: &HeaderMap) -> Result<Wished, u16> {
    let wishes = Wishes::of(headers).map_err(|refusal| refusal.failure.status())?;
    let cursor = wishes.cursor.map(|cursor| cursor.to_string());
    Ok(Wished { conversation: wishes.conversation, key: wishes.key, cursor })
}
