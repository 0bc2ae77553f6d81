//! A TURN client that asks exactly what it is told to, and gives back the bare answer.

use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use ::turn::proto::Protocol;
use ::turn::proto::data::Data;
use ::turn::proto::lifetime::Lifetime;
use ::turn::proto::peeraddr::PeerAddress;
use ::turn::proto::relayaddr::RelayedAddress;
use ::turn::proto::reqtrans::RequestedTransport;
use stun::attributes::{ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use stun::error_code::ErrorCodeAttribute;
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_INDICATION, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter as _, METHOD_ALLOCATE, METHOD_CREATE_PERMISSION,
    METHOD_REFRESH, METHOD_SEND, Message, MessageType, Method, Setter,
};
use tokio::time::timeout;
use webrtc_util::Conn;

use super::PATIENCE;
use super::server::Server;
use super::turn_client::{Over, connection};

pub struct RawClient {
    conn: Arc<dyn Conn + Send + Sync>,
    server: SocketAddr,
    username: String,
    password: String,
    realm: String,
    nonce: String,
    data: VecDeque<(SocketAddr, Vec<u8>)>,
}

impl RawClient {
    pub async fn new(server: &Server, address: SocketAddr, over: Over, user: &str) -> Self {
        let (username, password) = server.credential(user);
        Self::with(server, address, over, &username, &password).await
    }

    /// On a connection that stands.
    pub fn over(server: &Server, address: SocketAddr, conn: Arc<dyn Conn + Send + Sync>, user: &str) -> Self {
        let (username, password) = server.credential(user);
        Self::on(conn, address, &username, &password)
    }

    pub async fn with(server: &Server, address: SocketAddr, over: Over, username: &str, password: &str) -> Self {
        Self::on(connection(server, address, over).await, address, username, password)
    }

    fn on(conn: Arc<dyn Conn + Send + Sync>, server: SocketAddr, username: &str, password: &str) -> Self {
        Self {
            conn,
            server,
            username: username.into(),
            password: password.into(),
            realm: String::new(),
            nonce: String::new(),
            data: VecDeque::new(),
        }
    }

    /// With the credential that a room's `joined` carries.
    pub async fn of_member(server: &Server, address: SocketAddr, over: Over, joined: &serde_json::Value) -> Self {
        let turn = &joined["iceServers"][1];
        let text = |key: &str| turn[key].as_str().unwrap().to_owned();
        Self::with(server, address, over, &text("username"), &text("credential")).await
    }

    /// The relayed address, or the code of the refusal.
    pub async fn allocate(&mut self, more: &[&dyn Setter]) -> Result<SocketAddr, u16> {
        let udp = RequestedTransport { protocol: Protocol(17) };
        let answer = self.ask(METHOD_ALLOCATE, &[&[&udp as &dyn Setter], more].concat()).await?;
        let mut relayed = RelayedAddress::default();
        relayed.get_from(&answer).unwrap();
        Ok(SocketAddr::new(relayed.ip, relayed.port))
    }

    pub async fn refresh(&mut self, seconds: u64) -> Result<(), u16> {
        self.ask(METHOD_REFRESH, &[&Lifetime(Duration::from_secs(seconds))]).await.map(drop)
    }

    pub async fn permit(&mut self, peer: SocketAddr) -> Result<(), u16> {
        self.ask(METHOD_CREATE_PERMISSION, &[&PeerAddress { ip: peer.ip(), port: peer.port() }]).await.map(drop)
    }

    /// A Send indication, which nobody answers.
    pub async fn send(&self, peer: SocketAddr, bytes: &[u8]) {
        let peer = PeerAddress { ip: peer.ip(), port: peer.port() };
        let mut message = Message::new();
        message.set_type(MessageType::new(METHOD_SEND, CLASS_INDICATION));
        message.new_transaction_id().unwrap();
        message.write_header();
        peer.add_to(&mut message).unwrap();
        Data(bytes.to_vec()).add_to(&mut message).unwrap();
        self.conn.send_to(&message.raw, self.server).await.unwrap();
    }

    /// The next packet from a peer, if one comes in time.
    pub async fn receive(&mut self, within: Duration) -> Option<(SocketAddr, Vec<u8>)> {
        if let Some(waiting) = self.data.pop_front() {
            return Some(waiting);
        }
        let next = async {
            while self.data.is_empty() {
                self.next().await;
            }
        };
        let _ = timeout(within, next).await;
        self.data.pop_front()
    }

    /// Sends until the same comes back.
    pub async fn round_trip(&mut self, peer: SocketAddr, bytes: &[u8]) {
        for _ in 0..20 {
            self.send(peer, bytes).await;
            while let Some((from, data)) = self.receive(Duration::from_secs(1)).await {
                if (from, &data[..]) == (peer, bytes) {
                    return;
                }
            }
        }
        panic!("nothing came back from {peer}");
    }

    /// A request, with the nonce fetched first and again when it is stale.
    pub async fn ask(&mut self, method: Method, attributes: &[&dyn Setter]) -> Result<Message, u16> {
        let mut first = true;
        loop {
            let answer = self.transact(method, attributes).await;
            if answer.typ.class == CLASS_SUCCESS_RESPONSE {
                return Ok(answer);
            }
            let mut code = ErrorCodeAttribute::default();
            code.get_from(&answer).unwrap();
            let is_challenge = code.code.0 == 401 && self.nonce.is_empty() || code.code.0 == 438;
            if !is_challenge || !first {
                return Err(code.code.0);
            }
            first = false;
            let text = |kind| String::from_utf8(answer.get(kind).unwrap()).unwrap();
            (self.realm, self.nonce) = (text(ATTR_REALM), text(ATTR_NONCE));
        }
    }

    async fn transact(&mut self, method: Method, attributes: &[&dyn Setter]) -> Message {
        let mut message = Message::new();
        message.set_type(MessageType::new(method, CLASS_REQUEST));
        message.new_transaction_id().unwrap();
        message.write_header();
        attributes.iter().for_each(|attribute| attribute.add_to(&mut message).unwrap());
        if !self.nonce.is_empty() {
            message.add(ATTR_USERNAME, self.username.as_bytes());
            message.add(ATTR_REALM, self.realm.as_bytes());
            message.add(ATTR_NONCE, self.nonce.as_bytes());
            let (username, realm) = (self.username.clone(), self.realm.clone());
            let key = MessageIntegrity::new_long_term_integrity(username, realm, self.password.clone());
            key.add_to(&mut message).unwrap();
        }
        let answered = async {
            loop {
                self.conn.send_to(&message.raw, self.server).await.unwrap();
                let wait = async {
                    loop {
                        if let Some(answer) = self.next().await
                            && answer.transaction_id == message.transaction_id
                        {
                            return answer;
                        }
                    }
                };
                if let Ok(answer) = timeout(Duration::from_secs(2), wait).await {
                    return answer;
                }
            }
        };
        timeout(PATIENCE, answered).await.expect("no answer")
    }

    /// Receives one message. Data is kept for [`Self::receive`], anything else is given back.
    async fn next(&mut self) -> Option<Message> {
        let mut buffer = vec![0; 70_000];
        let (length, _) = self.conn.recv_from(&mut buffer).await.unwrap();
        buffer.truncate(length);
        let mut message = Message::new();
        message.raw = buffer;
        message.decode().unwrap();
        if message.typ.class != CLASS_INDICATION {
            return Some(message);
        }
        let (mut peer, mut data) = (PeerAddress::default(), Data::default());
        peer.get_from(&message).unwrap();
        data.get_from(&message).unwrap();
        self.data.push_back((SocketAddr::new(peer.ip, peer.port), data.0));
        None
    }
}
