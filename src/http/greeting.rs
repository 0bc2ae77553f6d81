//! A WebSocket at `/trust/socket` that is closed as soon as it is open: a page that came without TLS sees by it whether its
//! browser opens `wss:` here. The rooms would refuse that page, for whoever is on the way can have changed it.

use std::time::Duration;

use futures_util::StreamExt as _;
use hyper::Request;
use tokio::time::timeout;
use warp::reply::Response;

use super::errors::HttpError;
use super::upgrade::{handshake, opened, switched};
use super::web::Running;

/// The page says nothing. A close frame has at most this many bytes (RFC 6455 section 5.5).
const MESSAGE_BYTES: usize = 125;
/// How long it may take to open and to close.
const DEADLINE: Duration = Duration::from_secs(5);

/// # Errors
/// 426 when it is no WebSocket handshake, 400 when it is a broken one.
pub(super) fn answer<B>(request: &mut Request<B>, running: Running) -> Result<Response, HttpError> {
    let accept = handshake(request)?;
    let upgrade = hyper::upgrade::on(request);
    tokio::spawn(async move {
        let greeting = async {
            let Some(mut socket) = opened(upgrade, MESSAGE_BYTES).await else { return };
            if socket.close(None).await.is_ok() {
                while socket.next().await.is_some_and(|message| message.is_ok()) {}
            }
        };
        // Whoever takes longer has seen it open, or never will.
        let _ = timeout(DEADLINE, greeting).await;
        drop(running);
    });
    Ok(switched(accept))
}
