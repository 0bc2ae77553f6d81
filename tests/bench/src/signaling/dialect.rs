//! What clients of each kind say.

use std::io;
use std::str::FromStr;

use serde_json::{Value, json};

use super::socket::{Door, Socket};

/// Bytes of an offer, as JSON.
pub const OFFER: usize = 1500;

/// How each description begins.
const BEGINNING: &str = "v=0
o=- 4611731400430051336 2 IN IP4 127.0.0.1
s=-
t=0 0
a=group:BUNDLE 0
a=extmap-allow-mixed
a=msid-semantic: WMS
m=video 9 UDP/TLS/RTP/SAVPF 96 97 98 99 100 101 102 103 104 105 106 107 108 109
c=IN IP4 0.0.0.0
a=rtcp:9 IN IP4 0.0.0.0
a=ice-ufrag:Xk3b
a=ice-pwd:pDR5vM1xkyJ7Jwl9B2cG8n0s
a=ice-options:trickle
a=fingerprint:sha-256 A4:7C:19:DE:03:55:B8:6F:E1:90:2A:CD:77:14:9B:60:F3:8E:21:5D:C6:08:4B:9A:EF:32:71:D5:0C:86:B9:1E
a=setup:actpass
a=mid:0
a=sendrecv
a=rtcp-mux
a=rtcp-rsize
";

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    Native,
    SocketIo,
    PeerJs,
}

/// A client that is in a room, or, for PeerJS, that has its id.
pub struct Member {
    pub socket: Socket,
    pub id: String,
}

impl Dialect {
    pub const ALL: [Self; 3] = [Self::Native, Self::SocketIo, Self::PeerJs];

    pub fn name(self) -> &'static str {
        match self {
            Self::Native => "native",
            Self::SocketIo => "Socket.IO",
            Self::PeerJs => "PeerJS",
        }
    }

    /// Connects and joins. `number` is different for each client that is there at a time.
    pub fn join(self, door: &Door, room: usize, number: usize) -> io::Result<Member> {
        match self {
            Self::Native => native(door, room),
            Self::SocketIo => socket_io(door, room),
            Self::PeerJs => peer_js(door, number),
        }
    }

    /// What the two of a pair do before they can send each other offers as they like. `one` joined first.
    pub fn meet(self, one: &mut Member, other: &mut Member) -> io::Result<()> {
        match self {
            Self::Native | Self::PeerJs => Ok(()),
            Self::SocketIo => call(&mut one.socket, &mut other.socket),
        }
    }

    /// Goes as the client of this kind does.
    pub fn leave(self, mut member: Member) -> io::Result<()> {
        match self {
            Self::Native => member.socket.send(r#"{"type":"leave"}"#)?,
            Self::SocketIo => member.socket.send("41")?,
            Self::PeerJs => {}
        }
        member.socket.close()
    }

    /// An offer for the member `to`.
    pub fn offer(self, to: &str) -> String {
        let sdp = session_description();
        match self {
            Self::Native => {
                json!({ "type": "signal", "to": to, "data": { "description": { "type": "offer", "sdp": sdp } } })
                    .to_string()
            }
            Self::SocketIo => format!("42{}", json!(["message", { "type": "offer", "sdp": sdp }])),
            Self::PeerJs => {
                let payload =
                    json!({ "type": "media", "connectionId": "mc_1", "sdp": { "type": "offer", "sdp": sdp } });
                json!({ "type": "OFFER", "dst": to, "payload": payload }).to_string()
            }
        }
    }

    /// Whether this has an offer in it: all else that a server says is shorter.
    pub fn is_offer(text: &[u8]) -> bool {
        text.len() >= OFFER
    }

    /// What is to be said to `text` at once, besides the pongs of WebSocket.
    pub fn answer(self, text: &[u8]) -> Option<&'static str> {
        (self == Self::SocketIo && text == b"2").then_some("3")
    }

    /// What its client says every five seconds.
    pub fn heartbeat(self) -> Option<&'static str> {
        match self {
            Self::Native | Self::SocketIo => None,
            Self::PeerJs => Some(r#"{"type":"HEARTBEAT"}"#),
        }
    }
}

impl FromStr for Dialect {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        Self::ALL.into_iter().find(|dialect| dialect.name() == name).ok_or_else(|| format!("no dialect: {name}"))
    }
}

/// As a browser writes it before it has candidates, with so many codecs that it is [`OFFER`] bytes in JSON.
pub fn session_description() -> String {
    let mut sdp = BEGINNING.replace('\n', "\r\n");
    for payload in 96.. {
        let more = format!("a=rtpmap:{payload} VP8/90000\r\na=rtcp-fb:{payload} nack pli\r\n");
        if in_json(&sdp) + in_json(&more) > OFFER {
            break;
        }
        sdp += &more;
    }
    sdp += &"x".repeat(OFFER - in_json(&sdp));
    sdp
}

/// How long `text` is in JSON.
fn in_json(text: &str) -> usize {
    json!(text).to_string().len() - 2
}

fn native(door: &Door, room: usize) -> io::Result<Member> {
    let mut socket = door.open("/ws")?;
    socket.send(&json!({ "type": "join", "v": 1, "room": format!("bench-{room}") }).to_string())?;
    let joined = until(&mut socket, |text| text.contains(r#""type":"joined""#))?;
    let joined: Value = serde_json::from_str(&joined)?;
    let id = joined["self"]["id"].as_str().ok_or_else(|| io::Error::other("a `joined` without an id"))?.to_owned();
    Ok(Member { socket, id })
}

/// Protocol 4 of Engine.IO, protocol 5 of Socket.IO.
fn socket_io(door: &Door, room: usize) -> io::Result<Member> {
    let mut socket = door.open("/socket.io/?EIO=4&transport=websocket")?;
    until(&mut socket, |text| text.starts_with('0'))?;
    socket.send("40")?;
    until(&mut socket, |text| text.starts_with("40"))?;
    socket.send(&format!(r#"42["create or join","bench-{room}"]"#))?;
    until(&mut socket, |text| text.starts_with(r#"42["created""#) || text.starts_with(r#"42["joined""#))?;
    // As a page does, and is sent no offer before.
    socket.send(r#"42["message","got user media"]"#)?;
    Ok(Member { socket, id: String::new() })
}

/// A codelab page that was there first calls the other one, which may make offers of its own only after that.
fn call(one: &mut Socket, other: &mut Socket) -> io::Result<()> {
    let description = |kind| format!("42{}", json!(["message", { "type": kind, "sdp": session_description() }]));
    let is_a = |kind: &'static str| move |text: &str| text.contains(&format!(r#""type":"{kind}""#));
    until(one, |text| text.starts_with(r#"42["join""#))?;
    one.send(&description("offer"))?;
    until(other, is_a("offer"))?;
    other.send(&description("answer"))?;
    until(one, is_a("answer"))?;
    Ok(())
}

fn peer_js(door: &Door, number: usize) -> io::Result<Member> {
    let id = format!("bench-{number}");
    let mut socket = door.open(&format!("/peerjs/peerjs?key=peerjs&id={id}&token=t{number}&version=1"))?;
    until(&mut socket, |text| text == r#"{"type":"OPEN"}"#)?;
    Ok(Member { socket, id })
}

fn until(socket: &mut Socket, wanted: impl Fn(&str) -> bool) -> io::Result<String> {
    loop {
        let text = socket.next_text()?;
        if wanted(&text) {
            return Ok(text);
        }
        // Those of another kind never say a ping's text.
        if let Some(answer) = Dialect::SocketIo.answer(text.as_bytes()) {
            socket.send(answer)?;
        }
        if text.to_ascii_lowercase().contains("error") {
            return Err(io::Error::other(text));
        }
    }
}
