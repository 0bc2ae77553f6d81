//! What the program does when it is started inside a namespace: it reads what to do, does it, and says what came of it.

use std::io::BufRead as _;
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use lanturn::stun::Frame;
use rustls::pki_types::ServerName;
use serde_json::json;
use socket2::SockRef;
use stun::attributes::ATTR_XORMAPPED_ADDRESS;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpStream, UdpSocket};
use tokio::sync::mpsc::{UnboundedReceiver, unbounded_channel};
use tokio::time::timeout;
use tokio_rustls::TlsConnector;
use tokio_rustls::client::TlsStream;
use turn::client::{Client, ClientConfig};
use webrtc_util::Conn;

use super::client::{Allocated, Answer, Ask, BARE_PORT, Way};
use super::support::conn::StreamConn;
use super::support::room::Member;
use super::support::stun::RawClient;
use super::support::{PATIENCE, tls};
use super::watch::{Watch, complain};

/// How long to wait for one packet: many times what these wires take.
const SOON: Duration = Duration::from_millis(400);

/// Expedited Forwarding and ECT(0), in what the bare client and a plain socket send.
const MARKED: u32 = 0xB8 | 0b10;

/// How long somebody stays in a room where nothing is said.
const STAY: Duration = Duration::from_secs(600);

type Error = Box<dyn std::error::Error>;

/// What the client has open.
#[derive(Default)]
struct State {
    turn: Option<Client>,
    socket: Option<Arc<dyn Conn + Send + Sync>>,
    bare: Option<RawClient>,
    watch: Option<Watch>,
    /// What it was told in the room.
    heard: Option<UnboundedReceiver<String>>,
}

/// Until there is nothing more to read.
pub fn play() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let mut state = State::default();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let ask = serde_json::from_str(&line).unwrap();
        let done = runtime.block_on(async { timeout(PATIENCE, state.handle(ask)).await });
        let answer = match done {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => Answer::Failed(error.to_string()),
            Err(_) => Answer::Failed("it took too long".into()),
        };
        println!("{}", serde_json::to_string(&answer).unwrap());
    }
}

impl State {
    async fn handle(&mut self, ask: Ask) -> Result<Answer, Error> {
        match ask {
            Ask::Bindings(servers) => Ok(Answer::Bindings(bindings(&servers).await?)),
            Ask::Allocate { way, server, username, password, authority } => {
                let conn = connect(way, server, &authority).await?;
                self.allocate(conn, server, username, password).await
            }
            Ask::Bind(address) => {
                let socket = UdpSocket::bind(address).await?;
                SockRef::from(&socket).set_tos_v4(MARKED)?;
                self.socket = Some(Arc::new(socket));
                Ok(Answer::Done)
            }
            Ask::Send { to, text } => {
                let socket = self.socket.as_ref().ok_or("there is no socket yet")?;
                socket.send_to(text.as_bytes(), to).await?;
                Ok(Answer::Done)
            }
            Ask::Receive => {
                let socket = self.socket.as_ref().ok_or("there is no socket yet")?;
                let mut buffer = [0; 2000];
                let Ok(received) = timeout(SOON, socket.recv_from(&mut buffer)).await else {
                    return Ok(Answer::Received(None));
                };
                let (length, from) = received?;
                let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                Ok(Answer::Received(Some((text, from))))
            }
            Ask::Join { server, room, authority } => {
                let stream = secure(server, &authority, &["http/1.1"]).await?;
                let mut member = Member::over(Box::new(stream), server, None).await?;
                member.say(json!({ "type": "join", "room": room })).await;
                let joined = member.hear().await.to_string();
                let (sender, heard) = unbounded_channel();
                self.heard = Some(heard);
                // Whoever reads nothing answers no ping, and is taken for gone.
                tokio::spawn(async move { while sender.send(member.hear_within(STAY).await.to_string()).is_ok() {} });
                Ok(Answer::Heard(joined))
            }
            Ask::Hear => {
                let heard = self.heard.as_mut().ok_or("it is in no room")?;
                Ok(Answer::Heard(heard.recv().await.ok_or("the connection has ended")?))
            }
            Ask::AllocateBare { server, username, password } => {
                let socket = UdpSocket::bind(SocketAddr::new(any(server).ip(), BARE_PORT)).await?;
                SockRef::from(&socket).set_tos_v4(MARKED)?;
                let bare = self.bare.insert(RawClient::on(Arc::new(socket), server, &username, &password));
                let relayed = bare.allocate(&[]).await.map_err(|code| format!("refused with {code}"))?;
                Ok(Answer::Relayed(relayed))
            }
            Ask::Permit(peer) => {
                let bare = self.bare.as_mut().ok_or("there is no allocation yet")?;
                bare.permit(peer).await.map_err(|code| format!("refused with {code}"))?;
                Ok(Answer::Done)
            }
            Ask::SendEach { to, each } => {
                let bare = self.bare.as_ref().ok_or("there is no allocation yet")?;
                for (length, letter, whole) in each {
                    let bytes = vec![letter; length];
                    if whole { bare.send_whole(to, &bytes).await } else { bare.send(to, &bytes).await }
                }
                Ok(Answer::Done)
            }
            Ask::Error => {
                let bare = self.bare.as_mut().ok_or("there is no allocation yet")?;
                Ok(Answer::Error(bare.error(SOON).await))
            }
            Ask::Complain { from, to, mtu } => {
                complain(from, to, mtu)?;
                Ok(Answer::Done)
            }
            Ask::Watch => {
                self.watch = Some(Watch::start()?);
                Ok(Answer::Done)
            }
            Ask::Seen(port) => {
                let watch = self.watch.as_ref().ok_or("nobody watches")?;
                Ok(Answer::Seen(watch.seen(port)))
            }
            Ask::Get { server, path, authority } => Ok(Answer::Page(get(server, &path, &authority).await?)),
        }
    }

    async fn allocate(
        &mut self,
        conn: Arc<dyn Conn + Send + Sync>,
        server: SocketAddr,
        username: String,
        password: String,
    ) -> Result<Answer, Error> {
        let client = Client::new(ClientConfig {
            stun_serv_addr: server.to_string(),
            turn_serv_addr: server.to_string(),
            username,
            password,
            realm: "lanturn".into(),
            software: String::new(),
            rto_in_ms: 0,
            conn,
            vnet: None,
        })
        .await?;
        client.listen().await?;
        let mapped = client.send_binding_request().await?;
        let relayed = client.allocate().await?;
        let allocated = Allocated { mapped, relayed: relayed.local_addr()? };
        self.socket = Some(Arc::new(relayed));
        self.turn = Some(client);
        Ok(Answer::Allocated(allocated))
    }
}

async fn connect(way: Way, server: SocketAddr, authority: &str) -> Result<Arc<dyn Conn + Send + Sync>, Error> {
    Ok(match way {
        Way::Udp => Arc::new(UdpSocket::bind(any(server)).await?),
        Way::Tcp => {
            let stream = TcpStream::connect(server).await?;
            let local = stream.local_addr()?;
            Arc::new(StreamConn::new(stream, local, server))
        }
        Way::Tls => {
            let stream = secure(server, authority, &[]).await?;
            let local = stream.get_ref().0.local_addr()?;
            Arc::new(StreamConn::new(stream, local, server))
        }
    })
}

async fn secure(server: SocketAddr, authority: &str, alpn: &[&str]) -> Result<TlsStream<TcpStream>, Error> {
    let tcp = TcpStream::connect(server).await?;
    let name = ServerName::IpAddress(server.ip().into());
    Ok(TlsConnector::from(tls::trusting(authority, alpn)).connect(name, tcp).await?)
}

async fn get(server: SocketAddr, path: &str, authority: &str) -> Result<String, Error> {
    let mut stream = secure(server, authority, &["http/1.1"]).await?;
    let request = format!("GET {path} HTTP/1.1\r\nHost: {server}\r\nConnection: close\r\n\r\n");
    stream.write_all(request.as_bytes()).await?;
    let mut response = String::new();
    stream.read_to_string(&mut response).await?;
    let (_, body) = response.split_once("\r\n\r\n").ok_or("the response has no end")?;
    Ok(body.to_owned())
}

/// A Binding request to each server from one socket: who answered, and what the box takes us for.
async fn bindings(servers: &[SocketAddr]) -> Result<Vec<(SocketAddr, SocketAddr)>, Error> {
    let first = servers.first().ok_or("no server to ask")?;
    let socket = UdpSocket::bind(any(*first)).await?;
    let mut found = Vec::new();
    for (number, server) in servers.iter().enumerate() {
        found.push(binding(&socket, *server, number as u8).await?);
    }
    Ok(found)
}

async fn binding(socket: &UdpSocket, server: SocketAddr, id: u8) -> Result<(SocketAddr, SocketAddr), Error> {
    let mut request = [id; 20];
    request[..8].copy_from_slice(&[0, 1, 0, 0, 0x21, 0x12, 0xA4, 0x42]);
    let mut buffer = [0; 1500];
    for _ in 0..4 {
        socket.send_to(&request, server).await?;
        let Ok(received) = timeout(SOON, socket.recv_from(&mut buffer)).await else { continue };
        let (length, from) = received?;
        let answer = Frame::parse(&buffer[..length])?;
        if answer.transaction_id().0 == [id; 12] {
            let mapped = answer.xor_address(ATTR_XORMAPPED_ADDRESS).ok_or("there is no mapped address in it")?;
            return Ok((from, mapped));
        }
    }
    Err(format!("{server} does not answer").into())
}

fn any(server: SocketAddr) -> SocketAddr {
    let unspecified: IpAddr = if server.is_ipv4() { [0; 4].into() } else { [0; 16].into() };
    SocketAddr::new(unspecified, 0)
}
