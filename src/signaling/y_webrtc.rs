//! The dialect of y-webrtc: topics to subscribe to and to publish in. A topic is a room, and a subscriber a member of it
//! that is not listed.

pub mod wire;

use std::collections::HashMap;
use std::sync::Arc;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::JoinHandle;
use tokio_tungstenite::WebSocketStream;

use self::wire::{Request, published, room_of};
use super::dialect::{Dialect, Stop};
use super::error::{ErrorId, Refusal};
use super::hub::Hub;
use super::mailbox::Numbered;
use super::message::{PeerId, ServerMessage};
use super::outbox::{Next, Outbox};
use super::payload::Payload;
use super::rooms::Entrant;
use super::session::Session;
use super::socket::drive;

/// The most topics of one connection. A page has one a document that it has open.
pub const MAX_TOPICS: usize = 16;

/// Drives one WebSocket to its end.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + Send>(ws: WebSocketStream<S>, session: Session) {
    drive(ws, session, YWebrtc { topics: HashMap::new() }).await;
}

/// Its connection's session is in no room: what the topics hear comes together in that one's mailbox.
struct YWebrtc {
    topics: HashMap<String, Subscription>,
}

/// A membership in the room of a topic. What is heard there is put into the mailbox of the connection.
struct Subscription {
    session: Session,
    listening: JoinHandle<()>,
}

impl Dialect for YWebrtc {
    fn hear(&mut self, session: &mut Session, text: &str, _: &mut Vec<String>) -> Result<(), Stop> {
        match Request::parse(text)? {
            Request::Subscribe(topics) => topics.into_iter().for_each(|topic| self.subscribe(session, topic)),
            Request::Unsubscribe(topics) => topics.iter().for_each(|topic| drop(self.topics.remove(topic))),
            Request::Publish { topic, data } => self.publish(session, &topic, &data)?,
            Request::Ping => session.tell(ServerMessage::Pong),
        }
        Ok(())
    }

    fn print(&mut self, _: &mut Session, (number, message): Numbered, frames: &mut Vec<String>) -> Option<u16> {
        match message {
            // In its final form already.
            ServerMessage::Broadcast { data, .. } => frames.push(data.as_str().to_owned()),
            ServerMessage::Pong => frames.push(wire::PONG.to_owned()),
            // Clients pass over a type that they do not know; people who look for what is wrong do not.
            ServerMessage::Error { .. } => frames.push(message.print(number)),
            ServerMessage::Joined(_)
            | ServerMessage::Resumed { .. }
            | ServerMessage::PeerJoined { .. }
            | ServerMessage::PeerRenamed { .. }
            | ServerMessage::PeerAway { .. }
            | ServerMessage::PeerBack { .. }
            | ServerMessage::PeerRestarted { .. }
            | ServerMessage::PeerLeft { .. }
            | ServerMessage::Room { .. }
            | ServerMessage::Signal { .. }
            | ServerMessage::IceServers { .. }
            | ServerMessage::Invite { .. } => {}
        }
        None
    }

    /// One topic that cannot be had is no reason to end the others.
    fn close_code(&self, _: &Session, id: ErrorId) -> Option<u16> {
        match id {
            ErrorId::TooLarge | ErrorId::HelloTimeout | ErrorId::SlowReader => id.close_code(),
            ErrorId::BadMessage
            | ErrorId::UnknownType
            | ErrorId::JoinFirst
            | ErrorId::AlreadyJoined
            | ErrorId::BadRoom
            | ErrorId::BadName
            | ErrorId::Full
            | ErrorId::TooManyRooms
            | ErrorId::Locked
            | ErrorId::BadPin
            | ErrorId::BadInvite
            | ErrorId::NotAllowed
            | ErrorId::Kicked
            | ErrorId::Gone
            | ErrorId::Replaced
            | ErrorId::NoSuchPeer
            | ErrorId::Stale
            | ErrorId::PeerBusy
            | ErrorId::RateLimited
            | ErrorId::BadOrigin
            | ErrorId::BadHost => None,
        }
    }

    fn is_settled(&self, _: &Session) -> bool {
        !self.topics.is_empty()
    }
}

impl YWebrtc {
    fn subscribe(&mut self, session: &Session, topic: String) {
        if self.topics.contains_key(&topic) {
            return;
        }
        match self.enter(session, &topic) {
            Ok(subscription) => drop(self.topics.insert(topic, subscription)),
            Err(refusal) => drop(session.refuse_with(refusal, None)),
        }
    }

    fn enter(&self, whole: &Session, topic: &str) -> Result<Subscription, Refusal> {
        if self.topics.len() >= MAX_TOPICS {
            metrics::counter!("lanturn_y_webrtc_topics_refused_total").increment(1);
            return Err(Refusal::bad_message(format!("{MAX_TOPICS} topics are the most: unsubscribe from others")));
        }
        let room = room_of(topic)?;
        let mut session = whole.another().ok_or(ErrorId::TooManyRooms)?;
        let entrant = Entrant { is_listed: false, ..session.entrant() };
        let id = session.join(&room, entrant, None)?;
        let (hub, own, whole) = (Arc::clone(session.hub()), session.outbox().clone(), whole.outbox().clone());
        let listening = tokio::spawn(listen(hub, own, id, topic.to_owned(), whole));
        Ok(Subscription { session, listening })
    }

    /// To everybody, and the same back.
    fn publish(&self, whole: &Session, topic: &str, data: &Payload) -> Result<(), Refusal> {
        let text = "subscribe to the topic before publishing in it";
        let wrong = || Refusal::new(ErrorId::JoinFirst, text);
        let session = &self.topics.get(topic).ok_or_else(wrong)?.session;
        // There is no word for who missed it.
        session.broadcast(data)?;
        if let Some(id) = session.id() {
            let clients = session.hub().company(id);
            whole.tell(said(id, published(topic, data, clients)));
        }
        Ok(())
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Puts what comes for one topic into the mailbox of the whole connection, whose bounds hold for all of them.
async fn listen(hub: Arc<Hub>, own: Outbox, id: PeerId, topic: String, whole: Outbox) {
    loop {
        // Its first and only connection has hold 0.
        match own.next(0).await {
            Next::Say((_, ServerMessage::Broadcast { from, data, .. } | ServerMessage::Signal { from, data, .. })) => {
                whole.push(said(from, published(&topic, &data, hub.company(id))));
            }
            Next::Say(_) => {}
            Next::End(why) => return whole.push(ServerMessage::refusal(why.into(), false)),
        }
    }
}

/// What is in its final form.
fn said(from: PeerId, data: Payload) -> ServerMessage {
    ServerMessage::Broadcast { from, epoch: 0, seq: 0, data }
}
