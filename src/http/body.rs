//! The body of a request, read only when its sender was let in.

use std::error::Error as _;
use std::time::Duration;

use bytes::{Buf, Bytes};
use futures_util::StreamExt as _;
use futures_util::stream::{BoxStream, Stream};
use http_body_util::LengthLimitError;
use hyper::StatusCode;
use tokio::time::error::Elapsed;
use tokio::time::timeout;

use super::errors::HttpError;

/// The longest body of a request, unless it is a message for somebody, in bytes.
pub(super) const MAX_BODY_BYTES: usize = 16 * 1024;
/// How long a body may take.
pub(super) const BODY_DEADLINE: Duration = Duration::from_secs(10);

/// A body on its way, which ends with an error after `limit` bytes.
pub(super) struct Body {
    chunks: BoxStream<'static, Result<Bytes, warp::Error>>,
    limit: usize,
}

impl Body {
    /// Of a request that was limited to `limit` bytes.
    pub(super) fn new(
        chunks: impl Stream<Item = Result<impl Buf + 'static, warp::Error>> + Send + 'static,
        limit: usize,
    ) -> Self {
        let chunks = chunks.map(|chunk| chunk.map(|mut chunk| chunk.copy_to_bytes(chunk.remaining())));
        Self { chunks: chunks.boxed(), limit }
    }

    /// # Errors
    /// 413 when it is too long, 408 when it takes too long, 400 when it breaks off.
    pub(super) async fn read(self) -> Result<Vec<u8>, HttpError> {
        timeout(BODY_DEADLINE, self.collect()).await.map_err(slow)?
    }

    async fn collect(mut self) -> Result<Vec<u8>, HttpError> {
        let mut body = Vec::new();
        while let Some(chunk) = self.chunks.next().await {
            body.extend_from_slice(&chunk.map_err(|error| broken(&error, self.limit))?);
        }
        Ok(body)
    }
}

/// The answer after [`BODY_DEADLINE`].
pub(super) fn slow(_: Elapsed) -> HttpError {
    let text = format!("the body took longer than {} s: send it at once", BODY_DEADLINE.as_secs());
    HttpError::new(StatusCode::REQUEST_TIMEOUT, "slow-body", text)
}

pub(super) fn too_large(limit: usize) -> HttpError {
    let text = format!("the body is longer than {limit} bytes: send a shorter one");
    HttpError::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", text)
}

fn broken(error: &warp::Error, limit: usize) -> HttpError {
    let mut causes = std::iter::successors(error.source(), |&cause| cause.source());
    if causes.any(|cause| cause.is::<LengthLimitError>()) {
        return too_large(limit);
    }
    HttpError::new(StatusCode::BAD_REQUEST, "bad-body", "the body broke off: send all of it")
}
