//! What the fuzz targets reach of how paths and signed addresses are read. Built with `--cfg fuzzing` alone.

use crate::edge::{Grant, Query, Resource, Signer, route};

/// See the routes.
pub fn percent_decode(text: &str) -> String {
    route::percent_decode(text)
}

/// The query of an address that was made for this record.
pub fn signed(signer: &Signer, resource: Resource<'_>, grant: Grant, owner: Option<&str>) -> String {
    signer.query(resource, grant, owner).0
}

/// Does this query open the record of this owner?
pub fn allows(
    signer: &Signer,
    query: &str,
    resource: Resource<'_>,
    grant: Grant,
    owner: Option<&str>,
) -> bool {
    let query = format!("/?{query}").parse().ok().and_then(|uri| Query::of(&uri).ok());
    let verified = query.and_then(|query| signer.verify(&query, resource, grant));
    verified.is_some_and(|verified| verified.is_of(owner))
}
