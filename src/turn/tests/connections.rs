//! TCP allocations (RFC 6062): Connect, ConnectionAttempt, ConnectionBind, and when connections end.

use std::io::ErrorKind;
use std::net::SocketAddr;

use ::stun::attributes::*;
use ::turn::proto::reqfamily::REQUESTED_FAMILY_IPV6;

use super::support::*;
use crate::stun::ConnectionId;
use crate::turn::*;

const OTHER_PEER: &str = "198.51.100.8:7000";
const DATA: &str = "192.0.2.1:6000";

/// What is asked for on the client's control connection, and comes of it.
impl Lab {
    /// A client by TCP, with a TCP allocation.
    fn tcp(&mut self, user: &str, address: &str) -> (Client, SocketAddr) {
        let client = self.client(user, address).over(Transport::Tcp);
        let relayed = self.allocate_tcp(&client);
        (client, relayed)
    }

    fn allocate_tcp(&mut self, client: &Client) -> SocketAddr {
        let answer = self.ask(client, allocate_of(TCP));
        assert_eq!(code(&answer), 0);
        relayed(&answer)
    }

    fn step(&mut self, client: &Client, asked: Asked) -> (Step, Option<Message>) {
        let mut reply = Vec::new();
        let packet = asked.sign(client);
        let step = self.servers[client.shard].handle_client(client.five_tuple, &packet, self.now, &mut reply);
        (step, (!reply.is_empty()).then(|| read(&reply)))
    }

    /// A Connect that is let through, and not answered yet.
    fn dial(&mut self, client: &Client, peer: &str) -> Dial {
        let (step, reply) = self.step(client, connect(peer));
        assert!(reply.is_none(), "no answer before there is one: {reply:?}");
        let Step::Connect(dial) = step else { panic!("{step:?}") };
        dial
    }

    /// The answer to a Connect, once it is known what came of it.
    fn dialed(&mut self, client: &Client, dial: Dial, result: std::io::Result<()>) -> Message {
        let mut reply = Vec::new();
        let to = self.servers[client.shard].connected(dial.connection, result, self.now.instant, &mut reply);
        assert_eq!(to, Some(client.five_tuple));
        let mut answer = read(&reply);
        client.key().check(&mut answer).unwrap();
        answer
    }

    fn connect(&mut self, client: &Client, peer: &str) -> ConnectionId {
        let dial = self.dial(client, peer);
        let answer = self.dialed(client, dial, Ok(()));
        assert_eq!((code(&answer), connection_id(&answer)), (0, dial.connection));
        dial.connection
    }

    fn attempt(&mut self, relayed: SocketAddr, from: &str) -> Option<(ConnectionId, FiveTuple, Message)> {
        let (shard, id) = self.sockets[&relayed];
        let mut reply = Vec::new();
        let attempt = self.servers[shard].attempted(id, at(from), self.now.instant, &mut reply);
        assert_eq!(attempt.is_some(), !reply.is_empty());
        attempt.map(|(connection, client)| (connection, client, read(&reply)))
    }

    /// The code of the answer to a ConnectionBind, 0 when the two are one from then on.
    fn bind_code(&mut self, client: &Client, id: ConnectionId) -> u16 {
        let (step, reply) = self.step(client, bind_connection(id));
        let answer = reply.unwrap();
        if let Step::Bind(bound) = step {
            assert_eq!((bound, code(&answer)), (id, 0));
        } else {
            assert!(matches!(step, Step::Reply) && code(&answer) != 0, "{step:?}");
        }
        code(&answer)
    }

    /// Another connection of the same user, with a nonce of its own.
    fn data(&mut self, client: &Client, address: &str) -> Client {
        let data = data_connection(client, address);
        Client { nonce: self.challenge(&data), ..data }
    }

    fn closed(&mut self) -> Vec<ConnectionId> {
        let mut closed: Vec<_> = std::iter::from_fn(|| self.servers[0].take_closed_connection()).collect();
        closed.sort_unstable();
        closed
    }

    fn expires(&mut self, after: std::time::Duration) {
        self.advance(after);
        self.servers.iter_mut().for_each(|server| server.expire(self.now.instant));
    }
}

pub(super) fn connect(peer: &str) -> Asked {
    Asked::request(METHOD_CONNECT).peer(peer)
}

fn bind_connection(id: ConnectionId) -> Asked {
    Asked::request(METHOD_CONNECTION_BIND).raw(ATTR_CONNECTION_ID, &id.0.to_be_bytes())
}

fn connection_id(message: &Message) -> ConnectionId {
    ConnectionId(u32::from_be_bytes(message.get(ATTR_CONNECTION_ID).unwrap().try_into().unwrap()))
}

/// The same user on another connection, with the nonce of the first.
fn data_connection(client: &Client, address: &str) -> Client {
    let five_tuple = FiveTuple { client: at(address), ..client.five_tuple };
    Client { five_tuple, ..client.clone() }
}

#[test]
fn a_tcp_allocation_is_for_clients_that_come_by_tcp_or_tls() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000");
    assert_eq!(lab.code(&client, allocate_of(TCP)), 400);
    let (tcp, tls) = (client.clone().over(Transport::Tcp), client.over(Transport::Tls));
    let extra = |kind: AttrType, value: &[u8]| allocate_of(TCP).raw(kind, value);
    assert_eq!(lab.code(&tcp, extra(ATTR_EVEN_PORT, &[0])), 400);
    assert_eq!(lab.code(&tcp, extra(ATTR_EVEN_PORT, &[0x80])), 400);
    assert_eq!(lab.code(&tcp, extra(ATTR_RESERVATION_TOKEN, &[0; 8])), 400);
    assert_eq!(lab.code(&tcp, extra(ATTR_DONT_FRAGMENT, &[])), 400);
    assert!(lab.sockets.is_empty());
    let answer = lab.ask(&tcp, allocate_of(TCP).lifetime(1200));
    assert_eq!((lifetime(&answer), mapped(&answer)), (1200, at("192.0.2.1:5000")));
    assert!(lab.shared.relayed.get(relayed(&answer)).is_none(), "nothing for datagrams");
    assert!(lab.shared.relayed.get_of(RelayTransport::Tcp, relayed(&answer)).is_some());
    let answer = lab.ask(&tls, allocate_of(TCP).with(REQUESTED_FAMILY_IPV6));
    assert!(relayed(&answer).is_ipv6());
    assert_eq!(lab.code(&tls, refresh(0)), 0);
    assert!(lab.shared.relayed.get_of(RelayTransport::Tcp, relayed(&answer)).is_none());
}

#[test]
fn a_connect_is_answered_once_the_connection_stands() {
    let mut lab = Lab::new();
    let (client, relayed) = lab.tcp("anna", "192.0.2.1:5000");
    let dial = lab.dial(&client, PEER);
    assert_eq!((dial.from, dial.to), (relayed, at(PEER)), "it leaves from the relayed address");
    assert_eq!(lab.code(&client, connect(PEER)), 446, "it is on its way");
    let answer = lab.dialed(&client, dial, Ok(()));
    assert_eq!((code(&answer), connection_id(&answer)), (0, dial.connection));
    assert_eq!(lab.code(&client, connect(PEER)), 446, "it stands");
    let other = lab.connect(&client, OTHER_PEER);
    assert_ne!(other, dial.connection);
    let again = lab.servers[0].connected(dial.connection, Ok(()), lab.now.instant, &mut Vec::new());
    assert_eq!(again, None, "once");
    assert_eq!(lab.servers[0].counters().connections, 2);
}

#[test]
fn a_connect_that_fails_or_takes_too_long_is_447_and_may_be_tried_again() {
    let mut lab = Lab::new();
    let (client, _) = lab.tcp("anna", "192.0.2.1:5000");
    let dial = lab.dial(&client, PEER);
    assert_eq!(code(&lab.dialed(&client, dial, Err(ErrorKind::ConnectionRefused.into()))), 447);
    assert_eq!(lab.closed(), [dial.connection]);
    assert_eq!(lab.shared.connections.get(dial.connection), None);
    let dial = lab.dial(&client, PEER);
    assert_eq!(lab.servers[0].next_expiry(), Some(lab.now.instant + CONNECT_WITHIN));
    lab.expires(CONNECT_WITHIN - NS);
    assert_eq!(lab.servers[0].take_overdue(), None);
    lab.expires(NS);
    assert_eq!(lab.servers[0].take_overdue(), Some(dial.connection));
    assert_eq!(code(&lab.dialed(&client, dial, Err(ErrorKind::TimedOut.into()))), 447);
    assert_eq!((lab.servers[0].connections.len(), lab.shared.quota.allocations()), (0, 1));
    assert_eq!(lab.servers[0].counters().connections_failed, 2);
    lab.connect(&client, PEER);
}

#[test]
fn every_connect_that_may_not_be_is_refused() {
    let mut lab = Lab::new();
    let nobody = lab.client("anna", "192.0.2.9:5000").over(Transport::Tcp);
    assert_eq!(lab.code(&nobody, connect(PEER)), 437);
    let udp = lab.client("anna", "192.0.2.8:5000");
    lab.allocate(&udp);
    assert_eq!(lab.code(&udp, connect(PEER)), 400, "its allocation is for datagrams");
    let (client, own) = lab.tcp("anna", "192.0.2.1:5000");
    let ben = lab.client("ben", "192.0.2.1:5000").over(Transport::Tcp);
    assert_eq!(lab.code(&ben, connect(PEER)), 441);
    assert_eq!(lab.code(&client, Asked::request(METHOD_CONNECT)), 400);
    assert_eq!(lab.code(&client, connect(PEER).peer(OTHER_PEER)), 400, "one at a time");
    assert_eq!(lab.code(&client, connect("198.51.100.7:0")), 400);
    assert_eq!(lab.code(&client, connect("[2001:db8:9::1]:7")), 443);
    let carl = lab.client("carl", "192.0.2.7:5000");
    let udp_relayed = lab.allocate(&carl);
    let refused =
        ["198.51.100.66:80", "8.8.8.8:80", "127.0.0.1:22", "169.254.169.254:80", "192.168.1.5:22", "192.168.1.5:3478"];
    for peer in refused.map(String::from).into_iter().chain([udp_relayed.to_string(), own.to_string()]) {
        assert_eq!(lab.code(&client, connect(&peer)), 403, "{peer}");
    }
    assert_eq!(lab.servers[0].connections.len(), 0);
}

#[test]
fn nothing_of_datagrams_is_for_a_tcp_allocation() {
    let mut lab = Lab::new();
    let (client, relayed) = lab.tcp("anna", "192.0.2.1:5000");
    assert_eq!(lab.code(&client, bind(0x4000, PEER)), 400);
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    assert!(lab.exchange(&client, &send(PEER, b"x")).is_nothing());
    assert!(lab.exchange(&client, &channel_data(0x4000, b"x")).is_nothing());
    assert_eq!(lab.servers[0].counters().not_permitted, 2);
    let udp = lab.client("carl", "192.0.2.2:5000");
    let from = lab.allocate(&udp);
    assert_eq!(lab.code(&udp, permit(&[&relayed.to_string()])), 0);
    assert_eq!(lab.code(&client, permit(&[&from.to_string()])), 0);
    assert!(lab.exchange(&udp, &send(&relayed.to_string(), b"x")).is_nothing(), "nor by the hairpin");
}

#[test]
fn a_peer_gets_in_with_a_permission_only() {
    let mut lab = Lab::new();
    let (client, relayed) = lab.tcp("anna", "192.0.2.1:5000");
    assert!(lab.attempt(relayed, PEER).is_none());
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    let (id, to, indication) = lab.attempt(relayed, "198.51.100.7:1").unwrap();
    assert_eq!(to, client.five_tuple);
    assert_eq!(indication.typ, MessageType::new(METHOD_CONNECTION_ATTEMPT, CLASS_INDICATION));
    assert_eq!((peer(&indication), connection_id(&indication)), (at("198.51.100.7:1"), id));
    assert!(lab.attempt(relayed, "198.51.100.8:1").is_none(), "another address");
    assert_eq!(lab.code(&client, connect("198.51.100.7:1")), 446);
    lab.advance(PERMISSION_LIFETIME - NS);
    assert!(lab.attempt(relayed, "198.51.100.7:2").is_some());
    lab.advance(NS);
    assert!(lab.attempt(relayed, "198.51.100.7:3").is_none(), "it has expired");
    assert_eq!(lab.servers[0].counters().connections_refused, 3);
    let data = lab.data(&client, DATA);
    assert_eq!(lab.bind_code(&data, id), 400, "far too late");
}

#[test]
fn a_connection_is_bound_once_in_time_and_by_its_own_user() {
    let mut lab = Lab::new();
    let (client, _) = lab.tcp("anna", "192.0.2.1:5000");
    let id = lab.connect(&client, PEER);
    let ben = lab.client("ben", "192.0.2.2:6000").over(Transport::Tls);
    assert_eq!(lab.bind_code(&ben, id), 441);
    let data = lab.data(&client, DATA);
    assert_eq!(lab.bind_code(&data.clone().over(Transport::Udp), id), 400, "no stream");
    assert_eq!(lab.bind_code(&client, id), 400, "the control connection");
    assert_eq!(lab.bind_code(&data, ConnectionId(id.0 ^ 1)), 400);
    let (_, reply) = lab.step(&data, Asked::request(METHOD_CONNECTION_BIND));
    assert_eq!(code(&reply.unwrap()), 400);
    let wrong = Client { password: "guess".into(), ..data.clone() };
    assert_eq!(lab.bind_code(&wrong, id), 401);
    assert_eq!(lab.bind_code(&data.clone().over(Transport::Tls), id), 0);
    assert_eq!(lab.bind_code(&data, id), 400, "it is bound");
    lab.expires(secs(599));
    assert_eq!(lab.closed(), [], "what is bound waits for nobody");

    let dial = lab.dial(&client, OTHER_PEER);
    assert_eq!(lab.bind_code(&data, dial.connection), 400, "it does not stand yet");
}

#[test]
fn a_connection_that_nobody_binds_ends_after_thirty_seconds() {
    let mut lab = Lab::new();
    let (client, relayed) = lab.tcp("anna", "192.0.2.1:5000");
    assert_eq!(lab.code(&client, permit(&[PEER])), 0);
    let made = lab.connect(&client, OTHER_PEER);
    let (accepted, ..) = lab.attempt(relayed, PEER).unwrap();
    let data = lab.data(&client, DATA);
    lab.expires(BIND_WITHIN - NS);
    assert_eq!(lab.closed(), []);
    assert_eq!(lab.bind_code(&data, made), 0);
    lab.advance(NS);
    assert_eq!(lab.bind_code(&data, accepted), 400, "it is over, though nobody swept it out");
    lab.expires(NS);
    assert_eq!(lab.closed(), [accepted]);
    assert_eq!((lab.servers[0].counters().connections_unbound, lab.shared.quota.allocations()), (1, 2));
}

#[test]
fn connections_end_with_their_allocation_however_that_ends() {
    for end in 0..3 {
        let mut lab = Lab::new();
        let client = lab.client("anna", "192.0.2.1:5000").over(Transport::Tcp);
        let relayed = lab.allocate_tcp(&client);
        assert_eq!(lab.code(&client, permit(&[PEER])), 0);
        let (bound, dialing) = (lab.connect(&client, PEER), lab.dial(&client, "198.51.100.7:1"));
        assert_eq!(lab.bind_code(&data_connection(&client, DATA), bound), 0);
        let (pending, ..) = lab.attempt(relayed, "198.51.100.7:2").unwrap();
        assert_eq!(lab.shared.quota.allocations(), 4);
        match end {
            0 => assert_eq!(lab.code(&client, refresh(0)), 0),
            1 => lab.servers[0].disconnected(client.five_tuple),
            _ => lab.expires(secs(600)),
        }
        // The one that nobody bound, and the one that did not stand, have had their time before.
        let mut all = [bound, dialing.connection, pending];
        all.sort_unstable();
        assert_eq!(lab.closed(), all, "{end}");
        assert!(all.iter().all(|id| lab.shared.connections.get(*id).is_none()));
        let late = lab.servers[0].connected(dialing.connection, Ok(()), lab.now.instant, &mut Vec::new());
        assert_eq!((late, lab.shared.quota.allocations()), (None, 0));
        assert_eq!((lab.servers[0].connections.len(), lab.servers[0].next_expiry()), (0, None), "{end}");
    }
}

#[test]
fn a_connection_counts_as_an_allocation_does() {
    let mut lab = Lab::with(Setup { user: Limits { allocations: 2, ..MANY }, ..Setup::default() });
    let (client, relayed) = lab.tcp("anna", "192.0.2.1:5000");
    assert_eq!(lab.code(&client, permit(&[OTHER_PEER])), 0);
    let id = lab.connect(&client, PEER);
    assert_eq!(lab.code(&client, connect(OTHER_PEER)), 486);
    assert!(lab.attempt(relayed, OTHER_PEER).is_none());
    lab.servers[0].close_connection(id);
    assert!(lab.attempt(relayed, OTHER_PEER).is_some());

    let mut lab = Lab::with(Setup { total: Limits { allocations: 1, ..MANY }, ..Setup::default() });
    let (client, _) = lab.tcp("anna", "192.0.2.1:5000");
    assert_eq!(lab.code(&client, connect(PEER)), 508);
}

#[test]
fn a_bind_on_another_shard_is_handed_to_the_one_that_has_the_connection() {
    let mut lab = Lab::with(Setup { shards: 3, ..Setup::default() });
    let (client, _) = lab.tcp("anna", "192.0.2.1:5000");
    let id = lab.connect(&client, PEER);
    let data = lab.data(&client, DATA).on_shard(2);
    let (step, reply) = lab.step(&data, bind_connection(id));
    assert!(matches!(step, Step::HandOver(ShardId(0))) && reply.is_none(), "{step:?}");
    let unsigned = bind_connection(id).0.raw;
    let answer = lab.exchange(&data, &unsigned).reply();
    assert_eq!(code(&answer), 401, "for which it need not go anywhere");
    assert_eq!(lab.bind_code(&data.clone().on_shard(0), id), 0);
    lab.servers[0].close_connection(id);
    assert_eq!(lab.bind_code(&data, id), 400, "nobody has it any more");
}

#[test]
fn a_bind_takes_the_nonce_of_either_connection_and_a_credential_that_has_ended_meanwhile() {
    let mut lab = Lab::new();
    let (mut client, _) = lab.tcp("anna", "192.0.2.1:5000");
    assert_eq!(lifetime(&lab.ask(&client, refresh(3600))), 3600);
    lab.advance(secs(3500));
    client.nonce = lab.challenge(&data_connection(&client, "192.0.2.1:5001"));
    assert_eq!(lab.code(&client, refresh(3600)), 438, "that was for another connection");
    client.nonce = lab.shared.nonces.issue(client.five_tuple.client, lab.now.unix);
    assert_eq!(lifetime(&lab.ask(&client, refresh(3600))), 3600);
    lab.advance(secs(200));
    let ids = [PEER, OTHER_PEER].map(|peer| lab.connect(&client, peer));
    let data = data_connection(&client, DATA);
    assert_eq!(lab.bind_code(&data, ids[0]), 0, "the nonce of the control connection");
    let nonce = lab.challenge(&data);
    assert_eq!(lab.bind_code(&Client { nonce, ..data.clone() }, ids[1]), 0, "its own");
    let nonce = lab.shared.nonces.issue(at("192.0.2.1:9"), lab.now.unix);
    assert_eq!(lab.bind_code(&Client { nonce, ..data }, ids[1]), 438, "another's");
}

#[test]
fn members_of_a_room_connect_to_each_other_and_to_nobody_else() {
    let mut lab = Lab::new();
    let (anna, ben) = (lab.member(ANNA, "192.0.2.1:5000"), lab.member(BEN, "192.0.2.2:5000"));
    let (eve, carl) = (lab.member(EVE, "192.0.2.3:5000"), lab.client("carl", "192.0.2.4:5000"));
    let [anna, ben, eve, carl] = [anna, ben, eve, carl].map(|client| client.over(Transport::Tcp));
    let [at_anna, at_ben, at_eve, at_carl] =
        [&anna, &ben, &eve, &carl].map(|client| lab.allocate_tcp(client).to_string());
    let dial = lab.dial(&anna, &at_ben);
    assert_eq!(dial.to, at(&at_ben));
    assert!(lab.attempt(at(&at_ben), &at_anna).is_none(), "ben has not asked for it");
    for client in [&ben, &eve, &carl] {
        assert_eq!(lab.code(client, permit(&[&at_anna])), 0, "a permission names only the box");
    }
    let (_, to, indication) = lab.attempt(at(&at_ben), &at_anna).unwrap();
    assert_eq!((to, peer(&indication)), (ben.five_tuple, at(&at_anna)));
    for (from, to) in [(&anna, &at_eve), (&anna, &at_carl), (&eve, &at_ben), (&carl, &at_anna)] {
        assert_eq!(lab.code(from, connect(to)), 403, "{to}");
    }
    for (to, from) in [(&at_eve, &at_anna), (&at_carl, &at_anna), (&at_anna, &at_eve), (&at_ben, &at_carl)] {
        assert!(lab.attempt(at(to), from).is_none(), "{from} {to}");
    }
    assert!(lab.attempt(at(&at_ben), "192.168.1.5:22").is_none(), "another program on the box");
    assert_eq!(lab.code(&anna, connect("192.0.2.4:80")), 403, "carl is in no room");
    assert_eq!(lab.code(&anna, connect("192.0.2.2:80")), 403, "a room is no proxy, not even to where ben is");
    lab.closed();
    lab.revoke(ANNA);
    assert_eq!(lab.closed(), [dial.connection]);
}

#[test]
fn behind_a_nat_relayed_addresses_connect_by_where_they_are_bound() {
    let mut lab = Lab::with(Setup { external: Some(("192.168.1.5", "203.0.113.7")), ..Setup::default() });
    let (anna, ben) = (lab.member(ANNA, "192.0.2.1:5000"), lab.member(BEN, "192.0.2.2:5000"));
    let (anna, ben) = (anna.over(Transport::Tcp), ben.over(Transport::Tcp));
    let (at_anna, at_ben) = (lab.allocate_tcp(&anna), lab.allocate_tcp(&ben));
    let inner = |outer: SocketAddr| SocketAddr::new(at(SERVER).ip(), outer.port());
    let dial = lab.dial(&anna, &at_ben.to_string());
    assert_eq!((dial.from, dial.to), (inner(at_anna), inner(at_ben)));
    assert_eq!(lab.code(&ben, permit(&[&at_anna.to_string()])), 0);
    let (_, _, indication) = lab.attempt(inner(at_ben), &inner(at_anna).to_string()).unwrap();
    assert_eq!(peer(&indication), at_anna, "as ben knows it");
}

#[test]
fn bandwidth_makes_a_connection_wait_and_loses_nothing() {
    let mut lab = Lab::with(Setup { user: Limits { bandwidth: 800, ..MANY }, ..Setup::default() });
    let (client, _) = lab.tcp("anna", "192.0.2.1:5000");
    let id = lab.connect(&client, PEER);
    assert_eq!(lab.bind_code(&data_connection(&client, DATA), id), 0);
    // 800 kbit/s is 100,000 bytes a second. As many as can be are passed on in ten seconds, 10,000 at a time.
    let (start, mut passed) = (lab.now.instant, 0);
    while lab.now.instant < start + secs(10) {
        let wait = lab.servers[0].wait_of(id, Direction::Up, lab.now.instant);
        if wait.is_zero() {
            lab.servers[0].passed(id, Direction::Up, 10_000, lab.now.instant);
            passed += 10_000;
        }
        lab.advance(wait);
    }
    assert!((1_000_000..=1_050_000).contains(&passed), "{passed}");
    assert!(lab.servers[0].wait_of(id, Direction::Down, lab.now.instant).is_zero());
    assert_eq!(lab.servers[0].counters().bytes_up, passed);
}

#[test]
fn ids_are_of_the_whole_box_and_not_in_order() {
    let mut lab = Lab::with(Setup { shards: 2, ..Setup::default() });
    let first = lab.client("anna", "192.0.2.1:5000").over(Transport::Tcp);
    let second = lab.client("anna", "192.0.2.2:5000").over(Transport::Tcp).on_shard(1);
    let mut ids = Vec::new();
    for client in [first, second] {
        lab.allocate_tcp(&client);
        for port in 1..=200 {
            ids.push((lab.connect(&client, &format!("198.51.100.7:{port}")), client.shard as u16));
        }
    }
    assert!(ids.iter().all(|(id, shard)| lab.shared.connections.get(*id) == Some(ShardId(*shard))));
    let gaps: std::collections::HashSet<u32> = ids.windows(2).map(|two| two[1].0.0.wrapping_sub(two[0].0.0)).collect();
    assert!(gaps.len() > 390, "{}", gaps.len());
    ids.sort_unstable();
    ids.dedup_by_key(|(id, _)| *id);
    assert_eq!(ids.len(), 400);
}

#[test]
fn an_allocation_of_both_families_connects_from_the_one_that_the_peer_has() {
    let mut lab = Lab::new();
    let client = lab.client("anna", "192.0.2.1:5000").over(Transport::Tcp);
    let answer = lab.ask(&client, allocate_of(TCP).raw(AttrType(0x8000), &[2, 0, 0, 0]));
    assert_eq!((code(&answer), lab.sockets.len()), (0, 2));
    for peer in [PEER, "[2001:db8:9::1]:7000"] {
        let dial = lab.dial(&client, peer);
        assert_eq!((dial.from.is_ipv4(), dial.to), (at(peer).is_ipv4(), at(peer)));
        lab.dialed(&client, dial, Ok(()));
    }
    assert_eq!(lab.code(&client, refresh(0)), 0);
    assert_eq!((lab.closed().len(), lab.servers[0].connections.len()), (2, 0));
}
