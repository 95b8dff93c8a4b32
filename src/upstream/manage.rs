//! Errands that change which models a backend has. They are answered by lines that tell how far they are, or by nothing at all.

use std::sync::Arc;

use bytes::Bytes;
use http::Method;

use crate::telemetry::Access;
use crate::upstream::attempt::{read_bounded, send};
use crate::upstream::backend::Backend;
use crate::upstream::body::{Body, FrameStream};
use crate::upstream::forward::{ANSWER_BYTES, Answered, content_type};
use crate::upstream::pool::{Pool, no_backend};
use crate::upstream::refused::Attempted;
use crate::wire::{Code, Framing};

/// What is asked of the first backend that can be reached.
#[derive(Clone, Debug)]
pub struct Errand {
    /// The backends, in order, each with the body for it.
    pub candidates: Vec<(Arc<Backend>, Bytes)>,
    pub method: Method,
    pub path: &'static str,
}

/// The longest line.
const LINE_BYTES: usize = 1 << 20;

impl Pool {
    /// Asks for the lines of an errand. Dropping the future, or what it gives, closes the connection.
    pub async fn lines(
        &self,
        errand: &Errand,
        access: &Access,
    ) -> Result<(Arc<Backend>, Box<FrameStream>), Attempted> {
        let (backend, response) = self.send(errand, access).await?;
        let body = Body::Http(response.into());
        let frames = FrameStream::new(body, Framing::Ndjson, LINE_BYTES, self.metrics().clone());
        let frames = frames.redacting(backend.redactor());
        Ok((backend, Box::new(frames)))
    }

    /// Does an errand whose answer is whole. Dropping the future closes the connection.
    pub async fn done(&self, errand: &Errand, access: &Access) -> Result<Answered, Attempted> {
        let (backend, response) = self.send(errand, access).await?;
        let content_type = content_type(&backend, &response);
        let body = read_bounded(&backend, response, ANSWER_BYTES)
            .await
            .ok_or_else(|| Attempted::retryable(Code::UpstreamTruncated, "the backend's answer broke off"))?;
        Ok(Answered { body, content_type })
    }

    async fn send(
        &self,
        errand: &Errand,
        access: &Access,
    ) -> Result<(Arc<Backend>, reqwest::Response), Attempted> {
        let mut failed = None;
        for (backend, body) in &errand.candidates {
            access.attempt(&backend.name);
            let request = backend.request(errand.method.clone(), errand.path);
            let result = send(backend, request, body).await;
            if let Some(done) = self.judged(&backend.name, result, None, &mut failed) {
                return done.map(|response| (Arc::clone(backend), response));
            }
        }
        Err(failed.unwrap_or_else(no_backend))
    }
}
