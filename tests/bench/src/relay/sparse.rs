//! Many clients that say little, as in calls: 50 packets a second each way, none of which come together.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::turn::{self, Client};
use crate::cost::Cost;
use crate::server::Server;

pub const FLOWS: usize = 500;
/// Application bytes of a packet: 20 ms of speech.
pub const PAYLOAD: usize = 160;
pub const INTERVAL: Duration = Duration::from_millis(20);
/// Flows whose turn comes at the same time.
const TOGETHER: usize = 10;
const CHANNEL: u16 = 0x4001;

struct Call {
    client: Client,
    from_client: UdpSocket,
    peer: UdpSocket,
}

impl Call {
    fn new(server: &Server) -> Self {
        let (client, peer) = (Client::allocate(server.address), turn::socket());
        client.bind_channel(CHANNEL, peer.local_addr().unwrap());
        peer.connect(client.relayed).unwrap();
        let from_client = client.socket();
        from_client.set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        Self { client, from_client, peer }
    }

    fn say(&self, channel_data: &[u8]) {
        self.from_client.send(channel_data).expect("loopback takes it");
        self.peer.send(&channel_data[4..]).expect("loopback takes it");
    }

    /// How many packets have arrived.
    fn hear(&self) -> u64 {
        let mut buffer = [0; 2048];
        let mut arrived = 0;
        for socket in [&self.from_client, &self.peer] {
            while socket.recv(&mut buffer).is_ok() {
                arrived += 1;
            }
        }
        arrived
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        // The client waits for the answer to its last request.
        let _ = self.client.socket().set_nonblocking(false);
    }
}

/// Runs all calls for a while. What comes too late to be heard counts as lost.
pub fn measure(server: &Server, window: Duration) -> Cost {
    let calls: Vec<Call> = (0..FLOWS).map(|_| Call::new(server)).collect();
    let packet = turn::channel_data(CHANNEL, &[0x55; PAYLOAD]);
    let groups: Vec<&[Call]> = calls.chunks(TOGETHER).collect();
    let step = INTERVAL / groups.len() as u32;
    let (start, before) = (Instant::now(), server.cpu());
    let (mut sent, mut arrived, mut turns) = (0, 0, 0);
    while start.elapsed() < window {
        let group = groups[turns % groups.len()];
        // What it said in its last turn.
        arrived += group.iter().map(Call::hear).sum::<u64>();
        group.iter().for_each(|call| call.say(&packet));
        sent += 2 * group.len() as u64;
        turns += 1;
        if let Some(left) = (step * turns as u32).checked_sub(start.elapsed()) {
            std::thread::sleep(left);
        }
    }
    let (wall, cpu) = (start.elapsed(), server.cpu() - before);
    std::thread::sleep(INTERVAL);
    arrived += calls.iter().map(Call::hear).sum::<u64>();
    Cost { count: arrived, lost: sent - arrived, cpu, wall }
}
