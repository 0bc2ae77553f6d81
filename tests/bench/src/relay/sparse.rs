//! Many clients that say little, as in calls: 50 packets a second each way, none of which come together.

use std::net::UdpSocket;
use std::time::{Duration, Instant};

use super::report::Report;
use super::row::{Reach, Row};
use super::subject::Bench;
use super::turn::{self, Client};
use crate::cost::Cost;
use crate::server::{self, Server};

const FLOWS: usize = 500;
/// Application bytes of a packet: 20 ms of speech.
const PAYLOAD: usize = 160;
const INTERVAL: Duration = Duration::from_millis(20);
/// Flows whose turn comes at the same time.
const TOGETHER: usize = 10;
const CHANNEL: u16 = 0x4001;

struct Call {
    client: Client,
    peer: UdpSocket,
}

pub fn report(bench: &Bench, report: &mut Report) {
    let title = "Server CPU for each packet that arrived, of calls: packets come alone";
    let mut table = report.table("sparse", title, bench.names());
    let name = format!("{FLOWS} flows, {PAYLOAD} bytes each way every {} ms", INTERVAL.as_millis());
    let costs = bench.in_turns(&mut bench.servers(), |server| measure(server, bench.window));
    table.add(Row::of_costs(name, costs, Some(Reach::AtMost(0.85))).note("the rate is given"));
}

impl Call {
    fn new(server: &Server) -> Self {
        let (mut client, peer) = (Client::allocate(server.address), turn::socket());
        client.bind_channel(CHANNEL, peer.local_addr().unwrap());
        peer.connect(client.relayed).unwrap();
        client.socket().set_nonblocking(true).unwrap();
        peer.set_nonblocking(true).unwrap();
        Self { client, peer }
    }

    fn say(&self, channel_data: &[u8]) {
        self.client.socket().send(channel_data).expect("loopback takes it");
        self.peer.send(&channel_data[4..]).expect("loopback takes it");
    }

    /// How many packets have arrived.
    fn hear(&self) -> u64 {
        let mut buffer = [0; 2048];
        let mut arrived = 0;
        for socket in [self.client.socket(), &self.peer] {
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
fn measure(server: &Server, window: Duration) -> Cost {
    let calls: Vec<Call> = (0..FLOWS).map(|_| Call::new(server)).collect();
    let packet = turn::channel_data(CHANNEL, &[0x55; PAYLOAD]);
    let groups: Vec<&[Call]> = calls.chunks(TOGETHER).collect();
    let step = INTERVAL / groups.len() as u32;
    let (start, before, own) = (Instant::now(), server.cpu(), server::own_cpu());
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
    let (wall, cpu, generator) = (start.elapsed(), server.cpu() - before, server::own_cpu() - own);
    std::thread::sleep(INTERVAL);
    arrived += calls.iter().map(Call::hear).sum::<u64>();
    Cost { count: arrived, lost: sent - arrived, cpu, wall, generator }
}
