//! Players that meet through a signaling server, as games with matchbox do.
//!
//! `lanturn-matchbox-tests PLAYERS URL TURN-URL USERNAME PASSWORD`: each player greets each other one, answers greetings,
//! and is done when all have answered. Prints who met whom when all are done.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::time::Duration;

use futures::future::{Either, join_all, select};
use futures_timer::Delay;
use matchbox_socket::{PeerId, PeerState, RtcIceServerConfig, WebRtcSocket};

const PATIENCE: Duration = Duration::from_secs(40);
const LOOK_EVERY: Duration = Duration::from_millis(20);

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [players, url, turn, username, password] = &arguments[..] else {
        panic!("say how many players, where they meet, and how to relay");
    };
    let ice = [turn, username, password].map(String::clone);
    let players: usize = players.parse().expect("a number of players");
    let done = Cell::new(0);
    let playing = join_all((0..players).map(|_| play(url, &ice, players, &done)));
    match futures::executor::block_on(select(playing, Delay::new(PATIENCE))) {
        Either::Left((met, _)) => met.iter().for_each(|met| println!("{met}")),
        Either::Right(_) => panic!("they did not all meet within {PATIENCE:?}"),
    }
}

/// Plays until all `players` are done, and counts itself among them when it is. Says who the others were.
async fn play(url: &str, ice: &[String; 3], players: usize, done: &Cell<usize>) -> String {
    let [turn, username, password] = ice;
    let ice = RtcIceServerConfig {
        urls: vec![turn.clone()],
        username: Some(username.clone()),
        credential: Some(password.clone()),
    };
    let builder = WebRtcSocket::builder(url).ice_server(ice).add_reliable_channel();
    let builder = builder.reconnect_attempts(Some(1));
    let (mut socket, run) = builder.build();
    let talk = Box::pin(async {
        let mut answered: BTreeMap<PeerId, bool> = BTreeMap::new();
        let mut to_answer: Vec<PeerId> = Vec::new();
        let mut is_done = false;
        // Who is done stays, so that the others can be.
        while done.get() < players {
            for (peer, state) in socket.update_peers() {
                if state == PeerState::Connected {
                    answered.insert(peer, false);
                    socket.channel_mut(0).send(b"hello".to_vec().into(), peer);
                }
            }
            for (peer, packet) in socket.channel_mut(0).receive() {
                match &packet[..] {
                    b"hello" => to_answer.push(peer),
                    b"hello yourself" => drop(answered.insert(peer, true)),
                    other => panic!("{peer} said {other:?}"),
                }
            }
            // The socket drops what is for a peer that it has not said is connected, though it may hear that peer before.
            for peer in to_answer.extract_if(.., |peer| answered.contains_key(peer)) {
                socket.channel_mut(0).send(b"hello yourself".to_vec().into(), peer);
            }
            if !is_done && answered.len() == players - 1 && answered.values().all(|answered| *answered) {
                is_done = true;
                done.set(done.get() + 1);
            }
            Delay::new(LOOK_EVERY).await;
        }
        let met: Vec<String> = answered.keys().map(PeerId::to_string).collect();
        format!("{} met {}", socket.id().expect("the server has said who I am"), met.join(" "))
    });
    match select(talk, run).await {
        Either::Left((met, _)) => met,
        Either::Right((ended, _)) => panic!("the connection has ended: {ended:?}"),
    }
}
