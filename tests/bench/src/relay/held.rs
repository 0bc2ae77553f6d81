//! Many allocations: whether a packet costs more for those that are held besides.

use std::io;
use std::net::UdpSocket;
use std::time::Duration;

use super::datagrams::Datagrams;
use super::flow::{self, LOST, Traffic, WINDOW};
use super::load::PAYLOAD;
use super::plot::{self, Curve, Point};
use super::report::{self, Report};
use super::row::{Reach, Row};
use super::subject::Bench;
use super::turn::{self, Client};
use crate::cost::Cost;
use crate::server::{self, Server};
use crate::spread::Spread;

/// So many are to be held, if processes may open so many files.
const MANY: usize = 50_000;
const FEW: usize = 50;
/// Threads of the load. Each sends through the allocations of its own share in turn.
const SHARES: usize = 25;
/// Files that are left to others.
const SPARE: usize = 200;
/// Clients that come from one address: less than it has ports.
const PER_ADDRESS: usize = 20_000;
const CHANNEL: u16 = 0x4001;

pub fn report(bench: &Bench, report: &mut Report) {
    let mut servers = [Server::lanturn(&bench.lanturn, 1), Server::lanturn(&bench.lanturn, 1)];
    let (many, limit) = most(&servers[0]);
    let title = format!("Server CPU for each packet that arrived, through all of {many} allocations in turn ({limit})");
    let sides = [format!("lanturn, {many} held"), format!("lanturn, {FEW} held")];
    let mut table = report.table("held", &title, sides.each_ref().map(String::as_str));
    let mut held = servers.each_mut().map(|server| Held::new(server));
    held[0].grow(many);
    held[1].grow(FEW);
    let costs = bench.in_turns(&mut held, |held| held.measure(bench.window));
    table.add(Row::of_costs("bursts each way".into(), costs, Some(Reach::AtMost(1.15))));
    drop(held);
    drop(servers);
    draw(bench, many);
}

/// How many allocations can be held, and what the limit is, in words.
fn most(server: &Server) -> (usize, String) {
    let (servers, own) = (server.descriptors_left(), server::own_descriptors_left());
    let most = servers.min(own).saturating_sub(SPARE);
    if most >= MANY {
        return (MANY, "as many as are asked for".into());
    }
    let who = if servers < own { "the server" } else { "the load" };
    (most, format!("{MANY} are asked for, and {who} may open {} more files", servers.min(own)))
}

/// The cost of a packet against the number of allocations, of both servers.
fn draw(bench: &Bench, many: usize) {
    let counts: Vec<usize> = [FEW, 200, 1000, 4000, 16_000].into_iter().filter(|&n| n < many).chain([many]).collect();
    let servers = bench.servers();
    let curves = servers.iter().zip(bench.names()).map(|(server, name)| {
        let mut held = Held::new(server);
        let points = counts.iter().map(|&count| {
            held.grow(count);
            let costs = (0..bench.rounds).map(|_| held.measure(bench.window / 2).micros());
            Point { x: count as f64, y: Spread::of(costs) }
        });
        Curve { name: name.to_owned(), points: points.collect() }
    });
    let curves: Vec<Curve> = curves.collect();
    let title = "Server CPU for a packet, through all allocations in turn";
    let path = report::write("allocations.svg", &plot::draw(title, "allocations held", "µs", &curves));
    for Curve { name, points } in &curves {
        let points: Vec<String> = points.iter().map(|point| format!("{}: {}", point.x, point.y.text(2))).collect();
        println!("- {name}, µs for a packet by allocations held: {}", points.join(", "));
    }
    println!("Drawn: {}", path.display());
}

/// Allocations of one server, and the load through them.
struct Held<'a> {
    server: &'a Server,
    shares: Vec<Share>,
    count: usize,
}

impl<'a> Held<'a> {
    fn new(server: &'a Server) -> Self {
        Self { server, shares: (0..SHARES).map(|_| Share::new()).collect(), count: 0 }
    }

    /// Makes as many as it takes to hold so many.
    fn grow(&mut self, count: usize) {
        for number in self.count..count {
            let share = &mut self.shares[number % SHARES];
            let socket = turn::socket_of(3 + (number / PER_ADDRESS) as u8);
            let mut client = Client::allocate_from(socket, self.server.address);
            client.bind_channel(CHANNEL, share.peer.local_addr().unwrap());
            client.socket().set_read_timeout(Some(LOST)).unwrap();
            share.clients.push(client);
        }
        self.count = self.count.max(count);
    }

    fn measure(&mut self, window: Duration) -> Cost {
        flow::measure(&mut self.shares, self.server, window)
    }
}

/// Clients with a channel to one peer. A burst goes to it from each in turn, and from it to each in turn.
struct Share {
    peer: UdpSocket,
    clients: Vec<Client>,
    packet: Vec<u8>,
    bursts: usize,
}

impl Share {
    fn new() -> Self {
        let peer = turn::socket();
        peer.set_read_timeout(Some(LOST)).unwrap();
        let packet = turn::channel_data(CHANNEL, &[0x55; PAYLOAD]);
        Self { peer, clients: Vec::new(), packet, bursts: 0 }
    }

    /// Whose turn it is, and whether to send.
    fn turn(&self) -> (usize, bool) {
        (self.bursts / 2 % self.clients.len(), self.bursts.is_multiple_of(2))
    }
}

impl Traffic for Share {
    fn window(&self) -> usize {
        WINDOW
    }

    fn send(&mut self, datagrams: &mut Datagrams) -> io::Result<()> {
        self.bursts += 1;
        let (index, is_up) = self.turn();
        let client = &self.clients[index];
        if is_up {
            return datagrams.send(client.socket(), None, &self.packet, WINDOW);
        }
        datagrams.send(&self.peer, Some(client.relayed), &self.packet[4..], WINDOW)
    }

    fn receive(&mut self, datagrams: &mut Datagrams, most: usize) -> io::Result<usize> {
        let (index, is_up) = self.turn();
        let (socket, length) = if is_up { (&self.peer, PAYLOAD) } else { (self.clients[index].socket(), PAYLOAD + 4) };
        let lengths = datagrams.receive(socket, most)?;
        Ok(lengths.inspect(|&arrived| assert_eq!(arrived, length, "something else has arrived")).count())
    }
}
