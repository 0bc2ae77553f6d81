//! A DTLS client as a `webrtc_util::Conn`: one message a record.

use std::any::Any;
use std::collections::VecDeque;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use dimpl::{Config, Dtls, DtlsCertificate, Output};
use tokio::net::UdpSocket;
use tokio::time::timeout;
use webrtc_util::{Conn, Error};

use super::PATIENCE;

/// How often the clock of a session is turned.
const TICK: Duration = Duration::from_millis(50);

/// A session, or the beginning of one.
pub struct DtlsConn {
    socket: UdpSocket,
    state: Mutex<State>,
}

struct State {
    dtls: Dtls,
    heard: VecDeque<Vec<u8>>,
    is_open: bool,
    shown: Option<Vec<u8>>,
}

/// A client that has not said anything yet.
pub fn client() -> Dtls {
    let config = Config::builder().with_crypto_provider(lanturn::relay::dtls_provider()).build().unwrap();
    let made = rcgen::generate_simple_self_signed(["client".into()]).unwrap();
    let certificate =
        DtlsCertificate { certificate: made.cert.der().to_vec(), private_key: made.signing_key.serialize_der() };
    let mut dtls = Dtls::new_12(Arc::new(config), certificate, Instant::now());
    dtls.set_active(true);
    dtls.handle_timeout(Instant::now()).unwrap();
    dtls
}

/// The datagrams that it has to send.
pub fn datagrams(dtls: &mut Dtls) -> Vec<Vec<u8>> {
    let (mut buffer, mut sent) = (vec![0; 20_000], Vec::new());
    loop {
        let output = dtls.poll_output(&mut buffer);
        if matches!(output, Output::Timeout(_)) {
            return sent;
        }
        if let Output::Packet(packet) = output {
            sent.push(packet.to_vec());
        }
    }
}

impl DtlsConn {
    /// A session with a server, the handshake done.
    pub async fn connect(server: SocketAddr) -> Self {
        let conn = Self::begin(server).await;
        timeout(PATIENCE, conn.until(|state| state.is_open)).await.expect("no session");
        conn
    }

    /// The beginning of one.
    pub async fn begin(server: SocketAddr) -> Self {
        let socket = UdpSocket::bind(SocketAddr::new(server.ip(), 0)).await.unwrap();
        socket.connect(server).await.unwrap();
        let (heard, shown) = (VecDeque::new(), None);
        let state = Mutex::new(State { dtls: client(), heard, is_open: false, shown });
        let conn = Self { socket, state };
        conn.flush().await;
        conn
    }

    /// Whether it comes to be open in time.
    pub async fn opens(&self, within: Duration) -> bool {
        timeout(within, self.until(|state| state.is_open)).await.is_ok()
    }

    /// The certificate that the server has shown, in DER.
    pub fn shown(&self) -> Vec<u8> {
        self.state.lock().unwrap().shown.clone().unwrap()
    }

    async fn until(&self, condition: impl Fn(&State) -> bool) {
        let mut buffer = vec![0; 20_000];
        while !condition(&self.state.lock().unwrap()) {
            if let Ok(received) = timeout(TICK, self.socket.recv(&mut buffer)).await {
                let length = received.unwrap();
                self.state.lock().unwrap().dtls.handle_packet(&buffer[..length]).unwrap();
            } else {
                self.state.lock().unwrap().dtls.handle_timeout(Instant::now()).unwrap();
            }
            self.flush().await;
        }
    }

    async fn flush(&self) {
        let sent = self.state.lock().unwrap().drain();
        for datagram in sent {
            self.socket.send(&datagram).await.unwrap();
        }
    }
}

impl State {
    fn drain(&mut self) -> Vec<Vec<u8>> {
        let (mut buffer, mut sent) = (vec![0; 20_000], Vec::new());
        loop {
            match self.dtls.poll_output(&mut buffer) {
                Output::Packet(packet) => sent.push(packet.to_vec()),
                Output::ApplicationData(data) => self.heard.push_back(data.to_vec()),
                Output::Connected => self.is_open = true,
                Output::PeerCert(certificate) => self.shown = Some(certificate.to_vec()),
                Output::Timeout(_) => return sent,
                Output::CloseNotify | Output::BufferTooSmall { .. } | Output::KeyingMaterial(..) | _ => {}
            }
        }
    }
}

#[async_trait]
impl Conn for DtlsConn {
    async fn connect(&self, _: SocketAddr) -> Result<(), Error> {
        Ok(())
    }

    async fn recv(&self, buffer: &mut [u8]) -> Result<usize, Error> {
        loop {
            self.until(|state| !state.heard.is_empty()).await;
            if let Some(message) = self.state.lock().unwrap().heard.pop_front() {
                buffer[..message.len()].copy_from_slice(&message);
                return Ok(message.len());
            }
        }
    }

    async fn recv_from(&self, buffer: &mut [u8]) -> Result<(usize, SocketAddr), Error> {
        Ok((self.recv(buffer).await?, self.socket.peer_addr()?))
    }

    async fn send(&self, packet: &[u8]) -> Result<usize, Error> {
        self.state.lock().unwrap().dtls.send_application_data(packet).unwrap();
        self.flush().await;
        Ok(packet.len())
    }

    async fn send_to(&self, packet: &[u8], _: SocketAddr) -> Result<usize, Error> {
        self.send(packet).await
    }

    fn local_addr(&self) -> Result<SocketAddr, Error> {
        Ok(self.socket.local_addr()?)
    }

    fn remote_addr(&self) -> Option<SocketAddr> {
        self.socket.peer_addr().ok()
    }

    async fn close(&self) -> Result<(), Error> {
        self.state.lock().unwrap().dtls.close().unwrap();
        self.flush().await;
        Ok(())
    }

    fn as_any(&self) -> &(dyn Any + Send + Sync) {
        unreachable!("nobody asks what this is")
    }
}
