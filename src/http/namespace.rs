//! Socket.IO's one namespace, `/`: what connects to it talks the codelab's dialect.

use std::convert::Infallible;
use std::fmt;
use std::future::{Ready, ready};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http_body_util::Empty;
use hyper::body::{Body, Incoming};
use hyper::service::Service;
use hyper::{Request, Response};
use serde::ser::{Serialize, SerializeTuple as _, Serializer};
use socketioxide::adapter::Adapter;
use socketioxide::extract::{HttpExtension, SocketRef};
use socketioxide::handler::{ConnectHandler as _, FromDisconnectParts, FromMessage, Value};
use socketioxide::service::SocketIoService;
use socketioxide::socket::{DisconnectReason, Socket};
use socketioxide::{ParserConfig, SendError, SocketError, SocketIo};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Semaphore, mpsc, watch};
use tokio::time::sleep;

use crate::signaling::codelab::{self, Ending, Heard, Unsent, Wire};
use crate::signaling::socket::websocket_config;
use crate::signaling::{HubOptions, Payload, Session};

/// Messages to one client that wait for the transport. As many again and more wait in its session, whose bounds then
/// close it.
const MAX_WAITING: usize = 32;
/// Events from one client that wait for the dialect. It takes them faster than its rate lets them come in a burst.
const MAX_HEARD: usize = 256;
/// Their length together, in bytes, unless one message may have more than a quarter of it.
const MAX_HEARD_BYTES: usize = 1 << 20;
/// How long a client may take from polling to a WebSocket. It is not pinged meanwhile.
const UPGRADE_DEADLINE: Duration = Duration::from_secs(5);

/// The protocol's sessions and their transports. Cheap to clone.
#[derive(Clone)]
pub(super) struct SocketIoServer(SocketIoService<Nothing>);

impl SocketIoServer {
    /// One that closes all sessions once `shutdown` is true.
    pub(super) fn new(options: &HubOptions, mut shutdown: watch::Receiver<bool>) -> Self {
        let largest = options.message_bytes;
        // A ping goes out that long after the last, and its pong has nearly all the time that is left.
        let pong_within = options.silence.saturating_sub(options.ping_every).mul_f32(0.85);
        let (service, io) = SocketIo::builder()
            .ping_interval(options.ping_every)
            .ping_timeout(pong_within)
            .upgrade_timeout(UPGRADE_DEADLINE)
            .connect_timeout(options.hello_deadline)
            .max_buffer_size(MAX_WAITING)
            .max_payload(largest as u64)
            .ws_read_buffer_size(websocket_config(largest).read_buffer_size)
            .ws_max_message_size(largest)
            .ws_max_frame_size(largest)
            .with_parser(ParserConfig::common().max_incoming_binaries(0))
            .build_with_inner_svc(Nothing);
        let open = async |socket: SocketRef, HttpExtension(seat): HttpExtension<Seat>| {
            seat.listen(&socket);
            Ok::<(), Infallible>(())
        };
        let talk = async |socket: SocketRef, HttpExtension(seat): HttpExtension<Seat>| seat.talk(socket).await;
        io.ns("/", talk.with(open));
        tokio::spawn(async move {
            if shutdown.wait_for(|stop| *stop).await.is_ok() {
                io.close().await;
            }
        });
        Self(service)
    }

    /// Answers a request. One that opens a session carries a [`Seat`].
    pub(super) async fn ask(
        &self,
        request: Request<Incoming>,
    ) -> Response<impl Body<Data = Bytes, Error = Infallible> + use<>> {
        match Service::call(&self.0, request).await {
            Ok(response) => response,
            Err(never) => match never {},
        }
    }

    /// Takes a WebSocket that `opening` asked for. One that opens a session carries a [`Seat`].
    pub(super) fn adopt<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, io: I, opening: Request<()>) {
        if Service::call(&self.0, (io, opening)).into_inner().is_err() {
            tracing::debug!("a WebSocket was opened that no session of Engine.IO can have");
        }
    }
}

impl fmt::Debug for SocketIoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SocketIoServer")
    }
}

/// Other paths are not asked for here.
#[derive(Clone, Debug)]
struct Nothing;

impl Service<Request<Incoming>> for Nothing {
    type Response = Response<Empty<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Self::Error>>;

    fn call(&self, _: Request<Incoming>) -> Self::Future {
        ready(Ok(Response::default()))
    }
}

/// A session's place among the connections, which it has for as long as it keeps the request that it began with:
/// whether its client is in the namespace or not.
#[derive(Clone, Debug)]
pub(super) struct Seat(Arc<Seated>);

#[derive(Debug)]
struct Seated {
    /// None once it is over, although the session of Engine.IO is not.
    session: tokio::sync::Mutex<Option<Session>>,
    seen_at: IpAddr,
    room: Arc<Semaphore>,
    heard: Mutex<Option<mpsc::Sender<Heard>>>,
    to_hear: Mutex<Option<mpsc::Receiver<Heard>>>,
}

impl Seat {
    /// For a client at `seen_at`.
    pub(super) fn new(session: Session, seen_at: IpAddr) -> Self {
        let room = Arc::new(Semaphore::new(MAX_HEARD_BYTES.max(4 * session.hub().options().message_bytes)));
        let (session, heard, to_hear) = (tokio::sync::Mutex::new(Some(session)), Mutex::default(), Mutex::default());
        Self(Arc::new(Seated { session, seen_at, room, heard, to_hear }))
    }

    /// From now on hears what the client says. It is not told before that it is connected, so that nothing is lost.
    fn listen(&self, socket: &SocketRef) {
        let (heard, to_hear) = mpsc::channel(MAX_HEARD);
        *lock(&self.0.heard) = Some(heard);
        *lock(&self.0.to_hear) = Some(to_hear);
        socket.on_fallback(async |_: Said| ());
        socket.on_disconnect(async |_: Gone| ());
    }

    async fn talk(self, socket: SocketRef) {
        let Some(to_hear) = lock(&self.0.to_hear).take() else {
            return;
        };
        let wire = Client { socket, seen_at: self.0.seen_at };
        let mut place = self.0.session.lock().await;
        let Some(session) = place.as_mut() else {
            return;
        };
        if codelab::serve(&wire, to_hear, session).await == Ending::Lost {
            // At a stop, socketioxide closes the transport and never lets go of what its request carries.
            place.take();
            return;
        }
        // A client that left may be in again by now, under the same id.
        while wire.socket.connected() && wire.socket.clone().disconnect().is_err() {
            sleep(codelab::RETRY).await;
        }
    }

    /// Who says more than can wait is heard no more, and disconnected for it.
    fn hear(&self, text: &str) {
        let mut heard = lock(&self.0.heard);
        let held =
            u32::try_from(text.len()).ok().and_then(|length| self.0.room.clone().try_acquire_many_owned(length).ok());
        let fits = match (&*heard, held) {
            (Some(sender), Some(held)) => sender.try_send(Heard::Event(text.to_owned(), held)).is_ok(),
            (Some(_), None) => false,
            (None, _) => return,
        };
        if !fits {
            metrics::counter!("lanturn_signaling_refused_total", "reason" => "rate-limited").increment(1);
            heard.take();
        }
    }

    fn end(&self, reason: DisconnectReason) {
        let heard = lock(&self.0.heard).take();
        if reason == DisconnectReason::ClientNSDisconnect
            && let Some(heard) = heard
        {
            // Without this word it leaves as if it had been lost.
            let _ = heard.try_send(Heard::Leaves);
        }
    }
}

/// An event, taken in while it is extracted. The handlers of socketioxide run side by side, and would mix up the order.
struct Said;

impl<A: Adapter> FromMessage<A> for Said {
    type Error = Infallible;

    fn from_message(socket: Arc<Socket<A>>, value: Value, _: Option<i64>) -> Result<Self, Infallible> {
        if let (Some(seat), Some(text)) = (socket.req_parts().extensions.get::<Seat>(), value.as_str()) {
            seat.hear(text);
        }
        Ok(Self)
    }
}

/// The end of the connection to the namespace.
struct Gone;

impl<A: Adapter> FromDisconnectParts<A> for Gone {
    type Error = Infallible;

    fn from_disconnect_parts(socket: &Arc<Socket<A>>, reason: DisconnectReason) -> Result<Self, Infallible> {
        if let Some(seat) = socket.req_parts().extensions.get::<Seat>() {
            seat.end(reason);
        }
        Ok(Self)
    }
}

/// The client's end of the namespace.
struct Client {
    socket: SocketRef,
    seen_at: IpAddr,
}

impl Wire for Client {
    fn id(&self) -> String {
        self.socket.id.to_string()
    }

    fn seen_at(&self) -> IpAddr {
        self.seen_at
    }

    fn emit(&self, event: &str, arguments: &[Payload]) -> Result<(), Unsent> {
        self.socket.emit(event, &Arguments(arguments)).map_err(|error| match error {
            SendError::Socket(SocketError::InternalChannelFull) => Unsent::Full,
            SendError::Socket(SocketError::Closed) | SendError::Serialize(_) => Unsent::Gone,
        })
    }
}

/// An array would be one argument.
struct Arguments<'a>(&'a [Payload]);

impl Serialize for Arguments<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut tuple = serializer.serialize_tuple(self.0.len())?;
        for argument in self.0 {
            tuple.serialize_element(argument)?;
        }
        tuple.end()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
