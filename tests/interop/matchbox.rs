//! Players of matchbox, unmodified from its registry, in a program of their own: `tests/interop/matchbox`.

use std::collections::{BTreeMap, BTreeSet};

use super::support::server::{LOOPBACK, Server};
use super::{program, run};

/// Whom each player met.
fn play(server: &Server, players: u32, path: &str) -> BTreeMap<String, BTreeSet<String>> {
    let (username, password) = server.credential("player");
    let address = server.address();
    let (url, turn) = (format!("ws://{address}/{path}"), format!("turn:{address}"));
    let program = program::build("matchbox");
    let text = run(program.to_str().unwrap(), &[&players.to_string(), &url, &turn, &username, &password]);
    let met = text.lines().filter_map(|line| line.split_once(" met "));
    met.map(|(who, whom)| (who.to_owned(), whom.split(' ').map(str::to_owned).collect())).collect()
}

#[test]
fn every_player_meets_every_other() {
    let server = Server::start(LOOPBACK);
    for path in ["my%20game", "matchbox/my%20game"] {
        let met = play(&server, 3, path);
        assert_eq!(met.len(), 3, "{met:?}");
        for (who, whom) in &met {
            let others: BTreeSet<String> = met.keys().filter(|other| *other != who).cloned().collect();
            assert_eq!(whom, &others, "{who}");
        }
    }
}

#[test]
fn two_who_ask_for_one_more_meet() {
    let server = Server::start(LOOPBACK);
    let met = play(&server, 2, "game?next=2");
    let both: Vec<_> = met.keys().collect();
    assert_eq!((both.len(), met[both[0]].first(), met[both[1]].first()), (2, Some(both[1]), Some(both[0])));
}
