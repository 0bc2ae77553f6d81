//! A small TURN client: one request at a time, each with a deadline, and every refusal in full.
//!
//! The `turn` crate's own client hides what a probe is for: it goes on asking for longer than anybody waits, and says
//! neither which request went unanswered nor with what reason one was refused.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use stun::attributes::{
    ATTR_DATA, ATTR_ERROR_CODE, ATTR_NONCE, ATTR_REALM, ATTR_REQUESTED_ADDRESS_FAMILY, ATTR_SOFTWARE, ATTR_USERNAME,
    ATTR_XOR_PEER_ADDRESS, ATTR_XOR_RELAYED_ADDRESS, ATTR_XORMAPPED_ADDRESS,
};
use stun::integrity::MessageIntegrity;
use stun::message::{CLASS_INDICATION, CLASS_REQUEST, Message, MessageClass, MessageType, Setter as _};
use tokio::time::{Instant, timeout_at};
use turn::proto::PROTO_UDP;
use turn::proto::data::Data;
use turn::proto::lifetime::Lifetime;
use turn::proto::peeraddr::PeerAddress;
use turn::proto::reqtrans::RequestedTransport;

use super::clock::Retransmission;
use super::link::Link;
use super::trouble::Trouble;
use crate::stun::{Class, Frame, Method, TransactionId, method};

/// A challenge, and a nonce that has become stale meanwhile: more answers of that kind than these lead nowhere.
const CHALLENGES: usize = 2;

/// A username and its password.
#[derive(Clone, Default)]
pub(in crate::cli) struct Login {
    pub(in crate::cli) username: String,
    pub(in crate::cli) password: String,
}

/// A client with at most one allocation.
pub(in crate::cli) struct Client {
    link: Link,
    login: Login,
    /// What its requests say in SOFTWARE.
    software: String,
    /// Realm and nonce, once it was challenged.
    challenge: Option<(String, String)>,
    data: VecDeque<(SocketAddr, Vec<u8>)>,
}

/// What a request carries besides what every one does.
enum Attribute<'a> {
    RequestedTransport,
    RequestedAddressFamily(IpAddr),
    Peer(SocketAddr),
    Lifetime(Duration),
    Data(&'a [u8]),
}

impl Attribute<'_> {
    fn add_to(&self, message: &mut Message) -> Result<(), stun::Error> {
        match self {
            Self::RequestedTransport => RequestedTransport { protocol: PROTO_UDP }.add_to(message),
            Self::RequestedAddressFamily(ip) => {
                let family = if ip.is_ipv4() { 1 } else { 2 };
                message.add(ATTR_REQUESTED_ADDRESS_FAMILY, &[family, 0, 0, 0]);
                Ok(())
            }
            Self::Peer(peer) => PeerAddress { ip: peer.ip(), port: peer.port() }.add_to(message),
            Self::Lifetime(lifetime) => Lifetime(*lifetime).add_to(message),
            Self::Data(data) => Data(data.to_vec()).add_to(message),
        }
    }
}

impl Client {
    pub(in crate::cli) fn new(link: Link, login: Login, software: &str) -> Self {
        Self { link, login, software: software.to_owned(), challenge: None, data: VecDeque::new() }
    }

    /// Our own address, as this machine sees it.
    pub(super) fn local(&self) -> Option<SocketAddr> {
        self.link.local().ok()
    }

    /// Binding (RFC 8489 section 12): the address that the box sees.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn binding(&mut self, deadline: Instant) -> Result<SocketAddr, Trouble> {
        let request = self.request(method::BINDING, &[], false)?;
        let answer = self.transact(&request, deadline).await?;
        match refusal(&answer)? {
            None => address(&answer, ATTR_XORMAPPED_ADDRESS),
            Some((code, reason)) => Err(Trouble::Refused { code, reason }),
        }
    }

    /// Allocate (RFC 8656 section 7): the relayed address.
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn allocate(&mut self, deadline: Instant) -> Result<SocketAddr, Trouble> {
        let answer = self.ask(method::ALLOCATE, &[Attribute::RequestedTransport], deadline).await?;
        address(&answer, ATTR_XOR_RELAYED_ADDRESS)
    }

    /// The same for a relayed address of the family of `ip` (RFC 8656 section 18.8).
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn allocate_like(&mut self, ip: IpAddr, deadline: Instant) -> Result<SocketAddr, Trouble> {
        let wanted = [Attribute::RequestedTransport, Attribute::RequestedAddressFamily(ip)];
        let answer = self.ask(method::ALLOCATE, &wanted, deadline).await?;
        address(&answer, ATTR_XOR_RELAYED_ADDRESS)
    }

    /// CreatePermission (RFC 8656 section 9).
    ///
    /// # Errors
    /// [`Trouble`]
    pub(super) async fn permit(&mut self, peer: SocketAddr, deadline: Instant) -> Result<(), Trouble> {
        self.ask(method::CREATE_PERMISSION, &[Attribute::Peer(peer)], deadline).await.map(drop)
    }

    /// Refresh with no lifetime (RFC 8656 section 8): ends the allocation. If that does not arrive, it ends by itself.
    pub(super) async fn release(mut self, deadline: Instant) {
        let _ = self.ask(method::REFRESH, &[Attribute::Lifetime(Duration::ZERO)], deadline).await;
    }

    /// A Send indication (RFC 8656 section 11.1), which nobody answers.
    ///
    /// # Errors
    /// [`Trouble::Broken`]
    pub(super) async fn send(&mut self, peer: SocketAddr, data: &[u8]) -> Result<(), Trouble> {
        let attributes = [Attribute::Peer(peer), Attribute::Data(data)];
        let message = message(method::SEND, CLASS_INDICATION, &attributes)?;
        self.link.send(&message.raw).await.map_err(Trouble::Broken)
    }

    /// The next packet from a peer.
    ///
    /// # Errors
    /// [`Trouble::Silent`] at the deadline, [`Trouble::Broken`]
    pub(super) async fn receive(&mut self, deadline: Instant) -> Result<(SocketAddr, Vec<u8>), Trouble> {
        loop {
            if let Some(data) = self.data.pop_front() {
                return Ok(data);
            }
            self.next(None, deadline).await?;
        }
    }

    /// A request that is signed as soon as the server has said with which realm and nonce (RFC 8489 section 9.2).
    async fn ask(
        &mut self,
        method: Method,
        attributes: &[Attribute<'_>],
        deadline: Instant,
    ) -> Result<Vec<u8>, Trouble> {
        let mut challenges = 0;
        loop {
            let request = self.request(method, attributes, true)?;
            let answer = self.transact(&request, deadline).await?;
            let Some((code, reason)) = refusal(&answer)? else { return Ok(answer) };
            let is_challenge = code == 438 || code == 401 && self.challenge.is_none();
            let frame = Frame::parse(&answer).map_err(|_| Trouble::Garbled)?;
            let (Some(realm), Some(nonce)) = (frame.text(ATTR_REALM), frame.text(ATTR_NONCE)) else {
                return Err(Trouble::Refused { code, reason });
            };
            if !is_challenge || challenges == CHALLENGES {
                return Err(Trouble::Refused { code, reason });
            }
            challenges += 1;
            self.challenge = Some((realm.to_owned(), nonce.to_owned()));
        }
    }

    fn request(&self, method: Method, attributes: &[Attribute<'_>], signed: bool) -> Result<Message, Trouble> {
        let mut message = message(method, CLASS_REQUEST, attributes)?;
        message.add(ATTR_SOFTWARE, self.software.as_bytes());
        if let Some((realm, nonce)) = self.challenge.as_ref().filter(|_| signed) {
            let Login { username, password } = &self.login;
            message.add(ATTR_USERNAME, username.as_bytes());
            message.add(ATTR_REALM, realm.as_bytes());
            message.add(ATTR_NONCE, nonce.as_bytes());
            let key = MessageIntegrity::new_long_term_integrity(username.clone(), realm.clone(), password.clone());
            key.add_to(&mut message).map_err(unwritten)?;
        }
        Ok(message)
    }

    /// Sends a request until it is answered, over UDP again and again.
    async fn transact(&mut self, request: &Message, deadline: Instant) -> Result<Vec<u8>, Trouble> {
        let mut again = Retransmission::new();
        loop {
            self.link.send(&request.raw).await.map_err(Trouble::Broken)?;
            let wait = if self.link.is_stream() { deadline } else { again.next(deadline) };
            loop {
                match self.next(Some(request.transaction_id), wait).await {
                    Ok(Some(answer)) => return Ok(answer),
                    Ok(None) => {}
                    Err(Trouble::Silent) if wait < deadline => break,
                    Err(trouble) => return Err(trouble),
                }
            }
        }
    }

    /// Takes one message off the link. Data is put aside; the answer to the request with that id is given back.
    async fn next(&mut self, id: Option<TransactionId>, deadline: Instant) -> Result<Option<Vec<u8>>, Trouble> {
        let received = timeout_at(deadline, self.link.receive()).await.map_err(|_| Trouble::Silent)?;
        let packet = received.map_err(Trouble::Broken)?;
        let Ok(frame) = Frame::parse(&packet) else { return Ok(None) };
        match frame.class() {
            Class::Indication if frame.method() == method::DATA => {
                if let (Some(peer), Some(data)) = (frame.xor_address(ATTR_XOR_PEER_ADDRESS), frame.get(ATTR_DATA)) {
                    self.data.push_back((peer, data.value.to_vec()));
                }
                Ok(None)
            }
            Class::Response if Some(frame.transaction_id()) == id => Ok(Some(packet)),
            Class::Request | Class::Indication | Class::Response => Ok(None),
        }
    }
}

fn message(method: Method, class: MessageClass, attributes: &[Attribute<'_>]) -> Result<Message, Trouble> {
    let mut message = Message::new();
    message.set_type(MessageType::new(method, class));
    message.new_transaction_id().map_err(unwritten)?;
    message.write_header();
    attributes.iter().try_for_each(|attribute| attribute.add_to(&mut message)).map_err(unwritten)?;
    Ok(message)
}

fn unwritten(error: stun::Error) -> Trouble {
    Trouble::Broken(std::io::Error::other(error))
}

/// The code and the phrase of an error response, none of a success (RFC 8489 section 14.8).
fn refusal(answer: &[u8]) -> Result<Option<(u16, String)>, Trouble> {
    let frame = Frame::parse(answer).map_err(|_| Trouble::Garbled)?;
    if frame.raw_type() & 0x0110 == 0x0100 {
        return Ok(None);
    }
    let Some(&[_, _, class, number, ref phrase @ ..]) = frame.get(ATTR_ERROR_CODE).map(|found| found.value) else {
        return Err(Trouble::Garbled);
    };
    let reason = String::from_utf8_lossy(phrase).chars().filter(|char| !char.is_control()).take(64).collect();
    Ok(Some((u16::from(class & 7) * 100 + u16::from(number), reason)))
}

fn address(answer: &[u8], kind: crate::stun::AttrType) -> Result<SocketAddr, Trouble> {
    let frame = Frame::parse(answer).map_err(|_| Trouble::Garbled)?;
    frame.xor_address(kind).ok_or(Trouble::Garbled)
}
