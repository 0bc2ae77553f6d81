//! What was found, as steps of the report.

use std::net::SocketAddr;

use hyper::StatusCode;

use super::certificate::{Fault, Verdict};
use super::inquiry::Tried;
use super::outside::Outside;
use super::path::{Stage, Walk};
use super::report::Step;
use super::room::RoomError;
use super::target::Target;
use super::trouble::Trouble;
use super::web::Answer;
use super::words::{Context, explain};
use crate::turn::Transport;

/// Clocks that are so far apart, in seconds, make certificates fail and credentials end at the wrong time.
const MAX_SKEW: u64 = 120;

pub(super) fn resolved(target: &Target, found: &[SocketAddr]) -> Step {
    if found.is_empty() {
        let text = format!("`{}` cannot be resolved", target.host);
        let next = "see that it is written right, or use the address; a name in .local needs mDNS on this network";
        return Step::failed("name", text, next).needed();
    }
    let list: Vec<String> = found.iter().map(|address| address.ip().to_string()).collect();
    Step::ok("name", format!("`{}` is {}", target.host, list.join(", ")))
}

pub(super) fn web(target: &Target, remote: SocketAddr, health: Result<&Answer, &Trouble>) -> Step {
    let name = "web";
    match health {
        Ok(answer) if answer.status == StatusCode::OK && answer.body.starts_with(b"ok") => {
            Step::ok(name, format!("HTTPS answers at {remote}"))
        }
        Ok(answer) if answer.status == StatusCode::MISDIRECTED_REQUEST => {
            let text = format!("the box does not go by the name `{}`", target.host);
            Step::failed(name, text, "list it in rooms.hosts and tls.names of the box, or use its address").needed()
        }
        Ok(answer) => {
            let text = format!("something else answers at {remote}: HTTP {}", answer.status.as_u16());
            Step::failed(name, text, "see that the port is lanturn's, or that the proxy there passes all paths on")
                .needed()
        }
        Err(trouble) => {
            let text = format!("{remote} takes connections but does not answer over HTTPS: {trouble}");
            Step::failed(name, text, "see that the port is lanturn's, and at the log of the box").needed()
        }
    }
}

pub(super) fn certificate(target: &Target, verdict: &Verdict) -> Step {
    let name = "certificate";
    let fault = match verdict {
        Verdict::Trusted => return Step::ok(name, "valid, and this machine trusts its authority"),
        Verdict::Expected => return Step::ok(name, "it has the expected fingerprint"),
        Verdict::OwnAuthority { fingerprint, is_expected: true } => {
            return Step::ok(name, format!("valid, of the box's own authority, as expected: {fingerprint}"));
        }
        Verdict::OwnAuthority { fingerprint, is_expected: false } => {
            let text = format!("valid, of the box's own authority: {fingerprint}");
            let next = format!(
                "compare that with what the box has printed; browsers warn, and `turns:` fails in some, until \
                 http://{}/trust has been followed",
                target.authority()
            );
            return Step::ok(name, text).and(next);
        }
        Verdict::Faulty(fault) => fault,
    };
    let (text, next) = match fault {
        Fault::Expired => ("it has expired".to_owned(), "renew it, and see that the clocks are right".to_owned()),
        Fault::NotYetValid => {
            ("it is not valid yet".to_owned(), "set the clocks of the box and of this machine".into())
        }
        Fault::WrongName => (
            format!("it is not for `{}`", target.host),
            "list the name or address in tls.names of the box, or use one that is in it".into(),
        ),
        Fault::UnknownIssuer => (
            "nobody that this machine trusts vouches for it, and it is not of the box's own authority".into(),
            "give --fingerprint with what the box has printed, or use a certificate of a public authority".into(),
        ),
        Fault::OtherFingerprint(found) => (
            format!("the box's authority has another fingerprint than expected: {found}"),
            "compare it with what the box has printed: if they differ, somebody else answers in its place".into(),
        ),
        Fault::Other(error) => (format!("it is refused: {error}"), "use another certificate".into()),
    };
    Step::failed(name, text, next).needed()
}

pub(super) fn clock(ahead: Option<i64>) -> Step {
    let Some(ahead) = ahead else { return Step::unknown("clock", "not known: the answer has no date") };
    let relation = if ahead < 0 { "behind" } else { "ahead of" };
    let text = format!("the box's clock is {} s {relation} this machine's", ahead.unsigned_abs());
    match ahead.unsigned_abs() {
        0..=2 => Step::ok("clock", "the clocks agree"),
        3..=MAX_SKEW => Step::ok("clock", text),
        _ => Step::failed("clock", text, "set both by NTP: certificates and credentials end at the wrong time"),
    }
}

pub(super) fn no_socket(trouble: &Trouble) -> Step {
    let next = "try again; limits.connections of the box may be used up";
    Step::failed("websocket", format!("no second connection: {trouble}"), next).needed()
}

pub(super) fn websocket(error: Option<&RoomError>) -> Step {
    let name = "websocket";
    let Some(error) = error else { return Step::ok(name, "a room can be joined") };
    let next = match error {
        RoomError::Status(403) => "list the site in rooms.origins of the box",
        RoomError::Status(503) => "try again; limits.connections of the box may be used up",
        RoomError::Status(_) => "let the proxy in front of the box pass on WebSocket upgrades",
        RoomError::Broken | RoomError::Silent => "look for a proxy between that does not pass on WebSockets",
        RoomError::Refused(_) => "try again later, or raise that limit in rooms.* of the box",
    };
    Step::failed(name, error.to_string(), next).needed()
}

pub(super) fn by_key(is_there: bool, answer: Result<&Answer, &Trouble>) -> Step {
    let name = "credential";
    match answer {
        Ok(_) if is_there => Step::ok(name, "made by the box for the API key"),
        Ok(answer) if answer.status == StatusCode::FORBIDDEN => {
            let next = "take the last line of certs/api.keys on the box";
            Step::failed(name, "the API key is none of the box's", next).needed()
        }
        Ok(answer) => {
            let text = format!("the box gives none: HTTP {}", answer.status.as_u16());
            Step::failed(name, text, "try again in a minute, and look at the log of the box").needed()
        }
        Err(trouble) => {
            Step::failed(name, format!("the box gives none: {trouble}"), "look at the log of the box").needed()
        }
    }
}

pub(super) fn untold(transport: Transport, target: &Target) -> Step {
    let text = format!("the box tells clients to relay at `{}`, which cannot be resolved", target.host);
    let next = "say where it is in relay.external of the box, or mend the name";
    Step::failed(&format!("{} binding", transport.name()), text, next)
}

/// What people call a transport.
pub(super) fn name(transport: Transport) -> &'static str {
    match transport {
        Transport::Udp => "UDP",
        Transport::Tcp => "TCP",
        Transport::Tls => "TLS",
        Transport::Dtls => "DTLS",
    }
}

/// Binding, allocation and packet of one transport.
pub(super) fn transport(context: &Context<'_>, walk: &Walk, has_login: bool) -> [Step; 3] {
    let named = |what: &str| format!("{} {what}", context.transport.name());
    let failed = |name: &str, failure: &(Stage, Trouble)| {
        let (text, next) = explain(context, failure.0, &failure.1);
        Step::failed(name, text, next)
    };
    let step = |what: &str, found: Option<String>, is_due: bool| {
        let name = named(what);
        match (found, walk.failure.as_ref()) {
            (Some(found), _) => Step::ok(&name, found),
            (None, Some(failure)) if is_due => failed(&name, failure),
            (None, _) if !has_login => Step::unknown(&name, "not tried: there is no credential"),
            (None, _) => Step::unknown(&name, "not tried"),
        }
    };
    let seen = walk.mapped.map(|mapped| format!("{} sees this machine at {mapped}", context.server));
    let relayed = walk.relayed.map(|relayed| format!("the box relays at {relayed}"));
    let passed = walk
        .round_trip
        .map(|time| format!("a packet went through the relay and back in {:.1} ms", time.as_secs_f64() * 1000.0));
    let (is_seen, is_relayed) = (seen.is_some(), relayed.is_some());
    [step("binding", seen, true), step("allocation", relayed, is_seen), step("relay", passed, is_relayed)]
}

/// Whether somebody who does not relay here reaches a relayed address. Two who both do meet inside the box.
pub(super) fn relay_ports(outside: Option<(&Result<Outside, Trouble>, Context<'_>)>, is_here: bool) -> Step {
    let name = "relay ports";
    let Some((outside, context)) = outside else {
        return Step::unknown(name, "not tried: that takes UDP and a way through");
    };
    if is_here {
        return Step::unknown(name, "not known: this is the box itself; probe from another machine");
    }
    match outside {
        Ok(Outside { is_answered: true, .. }) => {
            Step::ok(name, "a packet from outside got to the relayed address, and its answer came back")
        }
        Ok(Outside { at_relay: Some(_), .. }) => {
            let text = "a packet from outside got to the relayed address, but its answer never came back";
            Step::failed(name, text, "let UDP from relay.ports of the box pass to this network")
        }
        Ok(Outside { at_relay: None, .. }) => {
            let text = "no packet from outside got to the relayed address";
            let next = "open relay.ports (UDP 49152-65535) to the box, if it is to relay for someone whose other end \
                        uses no relay here; calls on its own page do without";
            Step::failed(name, text, next)
        }
        Err(trouble @ Trouble::Refused { .. }) => {
            let (text, next) = explain(&context, Stage::Packet, trouble);
            Step::unknown(name, format!("not known, for the box relays nothing to this machine's address: {text}"))
                .and(next)
        }
        Err(trouble) => Step::unknown(name, format!("not known: {trouble}")),
    }
}

/// What NATs between here and the box make of one socket that talks to two ports of the box.
pub(super) fn nat(tried: &[Tried], outside: Option<&Result<Outside, Trouble>>) -> Step {
    let name = "nat";
    let udp = tried.iter().find(|tried| tried.way.transport == Transport::Udp);
    let Some((local, mapped)) = udp.and_then(|udp| udp.walk.local.zip(udp.walk.mapped)) else {
        return Step::unknown(name, "not known: no UDP gets to the box");
    };
    if local.ip() == mapped.ip() {
        return Step::ok(name, "none between this machine and the box");
    }
    let two = match outside {
        Some(Ok(Outside { mapped, at_relay: Some(at_relay), .. })) => Some(mapped == at_relay),
        Some(_) | None => None,
    };
    match two {
        Some(true) => {
            Step::ok(name, "there is one; it shows the same outer port to two ports of the box (easy to cross)")
        }
        Some(false) => {
            let text = "there is one; it shows another outer port to each port of the box (symmetric): calls with others \
                        behind such a NAT take the relay";
            Step::ok(name, text)
        }
        None => {
            let text = "there is one, its kind is not known: a packet to a second port of the box would tell, such as \
                        one of relay.ports, were they open";
            Step::unknown(name, text)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::report::State;
    use super::*;

    #[test]
    fn clocks_may_differ_a_little() {
        assert_eq!(clock(Some(-2)).text, "the clocks agree");
        assert_eq!(clock(Some(60)), Step::ok("clock", "the box's clock is 60 s ahead of this machine's"));
        let far = clock(Some(-3600));
        assert_eq!((far.state, far.text.as_str()), (State::Failed, "the box's clock is 3600 s behind this machine's"));
        assert!(!far.is_needed && far.next.is_some());
    }

    #[test]
    fn a_certificate_that_browsers_refuse_is_a_failure() {
        let target = Target { host: "box.local".into(), port: 3478 };
        let own = Verdict::OwnAuthority { fingerprint: "AB:CD".into(), is_expected: false };
        let step = certificate(&target, &own);
        assert!(step.state == State::Ok && step.text.ends_with("AB:CD"), "{step:?}");
        assert!(step.next.unwrap().contains("http://box.local:3478/trust"));
        for fault in [Fault::Expired, Fault::NotYetValid, Fault::WrongName, Fault::UnknownIssuer] {
            let step = certificate(&target, &Verdict::Faulty(fault));
            assert!(step.state == State::Failed && step.is_needed && step.next.is_some(), "{step:?}");
        }
    }
}
