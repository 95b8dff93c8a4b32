//! What the fuzz targets reach of how paths and signed addresses are read. Built with `--cfg fuzzing` alone.

use crate::edge::{Grant, Signer, route};

/// See the routes.
pub fn percent_decode(text: &str) -> String {
    route::percent_decode(text)
}

/// The query of an address that was made for this stream.
pub fn signed(signer: &Signer, stream: &str, grant: Grant) -> String {
    signer.query(stream, grant).0
}

/// Does this query open the stream?
pub fn allows(signer: &Signer, query: &str, stream: &str, grant: Grant) -> bool {
    signer.allows(query, stream, grant)
}
