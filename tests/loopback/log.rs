//! What the server logs of its rooms.

use serde_json::json;

use super::support::room::Member;
use super::support::server::{LOOPBACK, Server};

/// All that is logged while somebody enters a room, says something and leaves it.
async fn log_of_a_visit(server: Server) -> String {
    let (mut anna, joined) = Member::join(&server, server.address(), "kitchen", "Anna").await;
    let (mut ben, _) = Member::join(&server, server.address(), "kitchen", "Ben").await;
    ben.say(json!({ "type": "signal", "to": joined["self"]["id"], "data": "the PIN is 4711" })).await;
    while anna.hear().await["type"] != "signal" {}
    ben.leave().await;
    while anna.hear().await["type"] != "peer-left" {}
    anna.leave().await;
    server.signal("TERM");
    tokio::task::spawn_blocking(|| server.wait()).await.unwrap().1
}

#[tokio::test]
async fn visits_leave_nothing_in_the_log() {
    let log = log_of_a_visit(Server::start_logging("info", LOOPBACK)).await;
    let (_, after) = log.split_once("\nready\n").unwrap();
    let lines: Vec<_> = after.lines().map(|line| line.rsplit("Z ").next().unwrap().trim()).collect();
    assert_eq!(lines, ["INFO stopping"]);
}

#[tokio::test]
async fn what_is_said_stays_out_of_the_log_at_every_level() {
    let log = log_of_a_visit(Server::start_logging("trace", LOOPBACK)).await;
    assert!(log.contains("DEBUG"), "the level is taken: {log}");
    assert!(!log.contains("4711"), "{log}");
}
