//! The self-test after the start.

use super::support::server::{LOOPBACK, Server};

#[test]
fn a_whole_box_says_so_once() {
    let mut server = Server::start_testing_itself(LOOPBACK);
    let expected = format!("self-test: over UDP, TCP and TLS a packet goes through the relay at {}", server.address());
    server.wait_for(&expected);
    assert!(!server.log().contains("does not work"), "{}", server.log());
}

#[test]
fn what_does_not_work_is_said_with_what_to_do() {
    let config = "[listen]\naddresses = ['127.0.0.1:0']\nshards = 1\n[relay]\naddresses = ['203.0.113.7']\n";
    let mut server = Server::start_testing_itself(config);
    for name in ["UDP", "TCP", "TLS"] {
        let at = server.address();
        let expected = format!("WARN self-test: {name} does not work at {at}: the box can open no relayed address.");
        server.wait_for(&expected);
    }
    assert!(server.log().contains("What to do: see that relay.addresses are addresses of the box"));
    server.signal("TERM");
    assert_eq!(server.wait().0.code(), Some(0));
}

#[test]
fn limits_that_leave_it_no_room_are_no_fault() {
    let limits = "[limits.user]\nallocations = 1\n";
    let mut server = Server::start_testing_itself(&format!("{LOOPBACK}{limits}"));
    server.wait_for("self-test: over UDP, TCP and TLS Bindings are answered at ");
    assert!(!server.log().contains("does not work"), "{}", server.log());
}
