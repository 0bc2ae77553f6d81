//! A client of TCP allocations (RFC 6062), with a connection for each of its streams.

use std::net::SocketAddr;

use ::turn::proto::Protocol;
use ::turn::proto::peeraddr::PeerAddress;
use ::turn::proto::relayaddr::RelayedAddress;
use ::turn::proto::reqtrans::RequestedTransport;
use rustls::pki_types::ServerName;
use stun::attributes::{ATTR_CONNECTION_ID, ATTR_NONCE, ATTR_REALM, ATTR_USERNAME};
use stun::error_code::ErrorCodeAttribute;
use stun::integrity::MessageIntegrity;
use stun::message::{
    CLASS_INDICATION, CLASS_REQUEST, CLASS_SUCCESS_RESPONSE, Getter as _, METHOD_ALLOCATE, METHOD_CONNECT,
    METHOD_CONNECTION_ATTEMPT, METHOD_CONNECTION_BIND, METHOD_CREATE_PERMISSION, Message, MessageType, Method, Setter,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpSocket, TcpStream};
use tokio_rustls::TlsConnector;

use super::server::Server;
use super::tls;
use super::turn_client::Over;
use super::web::Io;

/// A CONNECTION-ID.
pub type Id = [u8; 4];

/// The connection that an allocation is asked for and held by.
pub struct Control {
    io: Io,
    username: String,
    password: String,
    realm: String,
    nonce: String,
    attempts: Vec<Message>,
}

struct ConnectionId(Id);

impl Setter for ConnectionId {
    fn add_to(&self, message: &mut Message) -> Result<(), stun::Error> {
        message.add(ATTR_CONNECTION_ID, &self.0);
        Ok(())
    }
}

impl Control {
    pub async fn new(server: &Server, over: Over) -> Self {
        Self::on_shard(server, over, 0).await
    }

    /// On one of two shards.
    pub async fn on_shard(server: &Server, over: Over, shard: u16) -> Self {
        let (username, password) = server.credential("anna");
        Self::with(connection(server, over, shard).await, username, password)
    }

    /// With the credential that a room's `joined` carries.
    pub async fn of_member(server: &Server, over: Over, joined: &serde_json::Value) -> Self {
        let text = |key: &str| joined["iceServers"][1][key].as_str().unwrap().to_owned();
        Self::with(connection(server, over, 0).await, text("username"), text("credential"))
    }

    fn with(io: Io, username: String, password: String) -> Self {
        let (realm, nonce) = Default::default();
        Self { io, username, password, realm, nonce, attempts: Vec::new() }
    }

    /// The relayed address, or the code of the refusal.
    pub async fn allocate(&mut self) -> Result<SocketAddr, u16> {
        let tcp = RequestedTransport { protocol: Protocol(6) };
        if self.nonce.is_empty() {
            let challenge = self.ask(METHOD_ALLOCATE, &[&tcp]).await;
            let text = |kind| String::from_utf8(challenge.get(kind).unwrap()).unwrap();
            (self.realm, self.nonce) = (text(ATTR_REALM), text(ATTR_NONCE));
        }
        let answer = granted(self.ask(METHOD_ALLOCATE, &[&tcp]).await)?;
        let mut relayed = RelayedAddress::default();
        relayed.get_from(&answer).unwrap();
        Ok(SocketAddr::new(relayed.ip, relayed.port))
    }

    pub async fn permit(&mut self, peer: SocketAddr) -> Result<(), u16> {
        let peer = PeerAddress { ip: peer.ip(), port: peer.port() };
        granted(self.ask(METHOD_CREATE_PERMISSION, &[&peer]).await).map(drop)
    }

    pub async fn connect(&mut self, peer: SocketAddr) -> Result<Id, u16> {
        let peer = PeerAddress { ip: peer.ip(), port: peer.port() };
        granted(self.ask(METHOD_CONNECT, &[&peer]).await).map(|answer| id_of(&answer))
    }

    /// The next peer that connects.
    pub async fn attempt(&mut self) -> (SocketAddr, Id) {
        while self.attempts.is_empty() {
            let message = receive(&mut self.io).await;
            self.attempts.push(message);
        }
        let attempt = self.attempts.remove(0);
        assert_eq!(attempt.typ, MessageType::new(METHOD_CONNECTION_ATTEMPT, CLASS_INDICATION));
        let mut peer = PeerAddress::default();
        peer.get_from(&attempt).unwrap();
        (SocketAddr::new(peer.ip, peer.port), id_of(&attempt))
    }

    /// The stream that is one with a connection.
    pub async fn bind(&self, server: &Server, over: Over, id: Id) -> Result<Io, u16> {
        self.bind_on_shard(server, over, id, 0).await
    }

    /// The same, from one of two shards.
    pub async fn bind_on_shard(&self, server: &Server, over: Over, id: Id, shard: u16) -> Result<Io, u16> {
        let mut io = connection(server, over, shard).await;
        let mut nonce = self.nonce.clone();
        loop {
            io.write_all(&self.request(METHOD_CONNECTION_BIND, &[&ConnectionId(id)], &nonce).raw).await.unwrap();
            let answer = receive(&mut io).await;
            match granted_ref(&answer) {
                Ok(()) => return Ok(io),
                Err(438) => nonce = String::from_utf8(answer.get(ATTR_NONCE).unwrap()).unwrap(),
                Err(code) => return Err(code),
            }
        }
    }

    /// A connection on which nothing was said yet.
    pub async fn data_connection(&self, server: &Server, over: Over, shard: u16) -> Io {
        connection(server, over, shard).await
    }

    async fn ask(&mut self, method: Method, attributes: &[&dyn Setter]) -> Message {
        let request = self.request(method, attributes, &self.nonce);
        self.io.write_all(&request.raw).await.unwrap();
        loop {
            let message = receive(&mut self.io).await;
            if message.typ.class != CLASS_INDICATION {
                assert_eq!(message.transaction_id, request.transaction_id);
                return message;
            }
            self.attempts.push(message);
        }
    }

    fn request(&self, method: Method, attributes: &[&dyn Setter], nonce: &str) -> Message {
        let mut message = Message::new();
        message.set_type(MessageType::new(method, CLASS_REQUEST));
        message.new_transaction_id().unwrap();
        message.write_header();
        attributes.iter().for_each(|attribute| attribute.add_to(&mut message).unwrap());
        if !nonce.is_empty() {
            message.add(ATTR_USERNAME, self.username.as_bytes());
            message.add(ATTR_REALM, self.realm.as_bytes());
            message.add(ATTR_NONCE, nonce.as_bytes());
            let (username, realm) = (self.username.clone(), self.realm.clone());
            let key = MessageIntegrity::new_long_term_integrity(username, realm, self.password.clone());
            key.add_to(&mut message).unwrap();
        }
        message
    }
}

/// A ConnectionBind as it goes over the wire.
pub fn bind_request(control: &Control, id: Id) -> Vec<u8> {
    control.request(METHOD_CONNECTION_BIND, &[&ConnectionId(id)], &control.nonce).raw
}

async fn connection(server: &Server, over: Over, shard: u16) -> Io {
    let tcp = from_port(server.address(), shard).await;
    match over {
        Over::Udp | Over::Dtls => unreachable!("no stream"),
        Over::Tcp => Box::new(tcp),
        Over::Tls(alpn) => {
            let name = ServerName::IpAddress(server.address().ip().into());
            Box::new(TlsConnector::from(tls::client_config(server, alpn)).connect(name, tcp).await.unwrap())
        }
    }
}

/// Connections are spread over shards by the client's port, two by two.
async fn from_port(to: SocketAddr, shard: u16) -> TcpStream {
    loop {
        let socket = TcpSocket::new_v4().unwrap();
        socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
        let port = socket.local_addr().unwrap().port();
        let wanted = if port / 2 % 2 == shard { port } else { port ^ 2 };
        drop(socket);
        let socket = TcpSocket::new_v4().unwrap();
        if socket.bind(SocketAddr::new(to.ip(), wanted)).is_ok() {
            return socket.connect(to).await.unwrap();
        }
    }
}

async fn receive(io: &mut Io) -> Message {
    let mut message = Message::new();
    message.raw = vec![0; 20];
    io.read_exact(&mut message.raw).await.unwrap();
    let length = usize::from(u16::from_be_bytes([message.raw[2], message.raw[3]]));
    message.raw.resize(20 + length, 0);
    io.read_exact(&mut message.raw[20..]).await.unwrap();
    message.decode().unwrap();
    message
}

fn granted(answer: Message) -> Result<Message, u16> {
    granted_ref(&answer).map(|()| answer)
}

fn granted_ref(answer: &Message) -> Result<(), u16> {
    if answer.typ.class == CLASS_SUCCESS_RESPONSE {
        return Ok(());
    }
    let mut code = ErrorCodeAttribute::default();
    code.get_from(answer).unwrap();
    Err(code.code.0)
}

fn id_of(message: &Message) -> Id {
    message.get(ATTR_CONNECTION_ID).unwrap().try_into().unwrap()
}
