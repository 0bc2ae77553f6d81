//! What an allocation with a channel costs to make, and to hold.

use std::path::Path;

use super::turn::{self, Client};
use crate::server::Server;

/// So many are made and held.
const HELD: usize = 4000;

/// CPU to make one, in microseconds, and memory to hold one, in KiB.
pub struct Price {
    pub cpu: f64,
    pub memory: f64,
}

/// Each is a fresh server, so that nothing held before counts.
pub fn prices(lanturn: &Path) -> [Price; 2] {
    [price(&Server::lanturn(lanturn)), price(&Server::coturn())]
}

fn price(server: &Server) -> Price {
    let peer = turn::socket();
    let to = peer.local_addr().unwrap();
    let make = || {
        let client = Client::allocate(server.address);
        client.bind_channel(0x4001, to);
        client
    };
    // The first of them brings in what all of them share.
    let _first: Vec<Client> = (0..HELD / 10).map(|_| make()).collect();
    let (cpu, memory) = (server.cpu(), server.memory());
    let clients: Vec<Client> = (0..HELD).map(|_| make()).collect();
    let (cpu, memory) = (server.cpu() - cpu, server.memory() - memory);
    let count = clients.len() as f64;
    Price { cpu: cpu.as_secs_f64() * 1e6 / count, memory: memory as f64 / count }
}
