//! What went wrong on the way through the relay, and what to do about it, in plain words.

use std::net::SocketAddr;

use super::path::Stage;
use super::trouble::Trouble;
use super::view::View;
use crate::turn::Transport;

/// What is known besides the failure itself.
#[derive(Clone, Copy, Debug)]
pub(in crate::cli) struct Context<'a> {
    pub(in crate::cli) transport: Transport,
    /// Where the box was asked.
    pub(in crate::cli) server: SocketAddr,
    /// What the box saw, if it says.
    pub(in crate::cli) view: Option<&'a View>,
    /// Whether the same port answered over another transport.
    pub(in crate::cli) others_work: bool,
    /// When the credential ends, in seconds since the Unix epoch, if its username says, and the time now.
    pub(in crate::cli) expiry: Option<(u64, u64)>,
}

/// What went wrong, and what to do.
pub(in crate::cli) fn explain(context: &Context<'_>, stage: Stage, trouble: &Trouble) -> (String, String) {
    if let Trouble::Refused { code, reason } = trouble {
        return refused(context, *code, reason);
    }
    match (context.transport, stage) {
        (Transport::Udp | Transport::Dtls, Stage::Connect | Stage::Binding) => no_udp(context, trouble),
        (Transport::Tcp | Transport::Tls, Stage::Connect | Stage::Binding) => no_stream(context, trouble),
        (_, Stage::Allocation) => {
            let text = format!("the address was told, but nothing came of the allocation: {trouble}");
            let next = "look for a firewall between that inspects STUN, and at the log of the box";
            (text, next.into())
        }
        (_, Stage::Packet) => {
            let text = format!("two allocations stand, but no packet came from one to the other: {trouble}");
            let next = "look at limits.*.bandwidth, and at lanturn_relay_total in the metrics of the box";
            (text, next.into())
        }
    }
}

fn no_udp(context: &Context<'_>, trouble: &Trouble) -> (String, String) {
    let port = context.server.port();
    if trouble.is_unreachable() {
        return (trouble.to_string(), no_route(context.server));
    }
    if trouble.is_refused_connection() {
        let text = format!("UDP {port} is refused");
        let next = format!("see that lanturn runs, and let the box's firewall accept UDP {port}");
        return (text, next);
    }
    if let Some(from) = context.view.and_then(|view| view.from(Transport::Udp)) {
        let text = format!("the request arrived over UDP, from {from}, but the answer never came back");
        let next = format!(
            "let the firewall or router that answers pass pass UDP from port {port} of the box back in; where the box \
             has several addresses, see that answers leave by the way that requests come in"
        );
        return (text, next);
    }
    let open = format!(
        "open UDP {port} on the box's firewall, forward it on its router, or have it let out of the network that this \
         machine is on"
    );
    if context.view.is_some() && context.others_work {
        return (format!("UDP never arrived, TCP did: a firewall blocks UDP {port}"), open);
    }
    if context.view.is_some() {
        return (format!("UDP never arrived: a firewall blocks UDP {port}"), open);
    }
    (format!("nothing came back over UDP {port}: it is blocked there or on the way back"), open)
}

fn no_stream(context: &Context<'_>, trouble: &Trouble) -> (String, String) {
    let port = context.server.port();
    if trouble.is_unreachable() {
        return (trouble.to_string(), no_route(context.server));
    }
    if trouble.is_refused_connection() {
        let next = format!("see that lanturn runs and listens on port {port}: `lanturn check` says on which it would");
        return (format!("nothing listens on TCP {port}"), next);
    }
    if context.transport == Transport::Tls && context.others_work {
        let text = format!("TLS does not get through, though the port does: {trouble}");
        let next = "look for a proxy or firewall between that opens TLS, or speaks only HTTP inside of it";
        return (text, next.into());
    }
    let text = format!("nothing came back over TCP {port}: {trouble}");
    let next =
        format!("open TCP {port} on the box's firewall and forward it on its router; an HTTP proxy relays no calls");
    (text, next)
}

fn no_route(server: SocketAddr) -> String {
    if server.is_ipv6() {
        return "use the box's IPv4 address, or a network with IPv6".into();
    }
    "see that this machine is on the network, and that the box's address is right".into()
}

/// An error response (RFC 8489 section 14.8), with the reason that only the box knows.
fn refused(context: &Context<'_>, code: u16, phrase: &str) -> (String, String) {
    let why = context.view.and_then(|view| view.why(context.transport, code));
    if let Some(words) = why.and_then(|(reason, rule)| known_reason(reason, rule)) {
        return words;
    }
    let (text, next) = match code {
        401 if context.expiry.is_some_and(|(ends, now)| ends <= now) => return expired(context.expiry),
        401 => (
            "the box does not take this username and password".to_owned(),
            "compare them with what the box gave out; it must have the same secret and realm as whoever minted them",
        ),
        403 => (
            "the box lets this credential not relay there".to_owned(),
            "look at relay.allow and relay.deny in its configuration",
        ),
        440 | 443 => (
            "the box has no relayed address of that family".to_owned(),
            "give the box an address of that family, or list one in relay.addresses",
        ),
        437 => ("an allocation from the same address and port is there already".to_owned(), "try again in a minute"),
        486 => (
            "this user or this address has as many allocations as it may".to_owned(),
            "end others, wait ten minutes, or raise limits.user.allocations and limits.prefix.allocations",
        ),
        508 => (
            "the box can open no relayed address".to_owned(),
            "see that relay.addresses are addresses of the box, that relay.ports has free ones, and limits.total",
        ),
        _ => (format!("refused with {code} {phrase}"), "look at the log of the box, with LANTURN_LOG=debug"),
    };
    (text, next.to_owned())
}

fn expired(expiry: Option<(u64, u64)>) -> (String, String) {
    let ago = expiry.map(|(ends, now)| format!(", {} s ago", now.saturating_sub(ends))).unwrap_or_default();
    let next = "get a new one; if it was new, set the clocks of the box and of whoever made it";
    (format!("the credential has expired{ago}"), next.into())
}

/// What the box calls by these ids.
fn known_reason(reason: &str, rule: Option<&str>) -> Option<(String, String)> {
    let (text, next) = match (reason, rule) {
        ("expired", _) => return Some(expired(None)),
        ("wrong-credential", _) => (
            "the box knows no such user with that password".to_owned(),
            "use a name and a password of credentials.users, or both as they came from `lanturn mint` or /turn; get them \
             anew if they were a room's; a program that makes them must have the secret of credentials.secret_file",
        ),
        ("wrong-realm", _) => (
            "the client names another realm than the box has".to_owned(),
            "let the client take the realm that the box tells, or set relay.realm",
        ),
        ("rule", Some(rule)) => (
            format!("refused by the rule `{rule}` in relay.deny"),
            "take the rule out, or make it narrower, if that peer is to be reached",
        ),
        ("not-allowed", _) => (
            "no rule in relay.allow names that peer".to_owned(),
            "add its network to relay.allow, if it may be reached",
        ),
        ("never" | "own", _) => {
            ("that address is never relayed to".to_owned(), "use the peer's address on the network")
        }
        ("not-in-room" | "page-scope" | "not-relayed", _) => {
            ("this credential reaches the members of its room alone".to_owned(), "use one made with an API key")
        }
        _ => return None,
    };
    Some((text, next.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn context(transport: Transport, view: Option<&View>) -> Context<'_> {
        let server = "192.0.2.5:3478".parse().unwrap();
        Context { transport, server, view, others_work: true, expiry: None }
    }

    fn refused_as(reason: &str, code: u16) -> View {
        View::of(&format!(
            r#"{{"sightings":[{{"transport":"udp","from":"192.0.2.9:1","method":"allocate","outcome":"refused",
               "code":{code},"reason":"{reason}","rule":"10.0.0.0/8","count":1}}]}}"#
        ))
    }

    #[test]
    fn both_ends_together_tell_where_udp_is_lost() {
        let nothing = View::default();
        let (text, next) = explain(&context(Transport::Udp, Some(&nothing)), Stage::Binding, &Trouble::Silent);
        assert_eq!(text, "UDP never arrived, TCP did: a firewall blocks UDP 3478");
        assert!(next.starts_with("open UDP 3478 on the box's firewall"), "{next}");
        let arrived = View::of(
            r#"{"sightings":[{"transport":"udp","from":"192.0.2.9:77","outcome":"challenged","method":"allocate"}]}"#,
        );
        let (text, _) = explain(&context(Transport::Udp, Some(&arrived)), Stage::Binding, &Trouble::Silent);
        assert_eq!(text, "the request arrived over UDP, from 192.0.2.9:77, but the answer never came back");
        let (text, _) = explain(&context(Transport::Udp, None), Stage::Binding, &Trouble::Silent);
        assert!(text.starts_with("nothing came back over UDP 3478"), "{text}");
    }

    #[test]
    fn the_box_says_why_it_refused() {
        let refusal = |code| Trouble::Refused { code, reason: "Unauthorized".into() };
        for (reason, code, expected) in [
            ("expired", 401, "the credential has expired"),
            ("wrong-credential", 401, "the box knows no such user with that password"),
            ("wrong-realm", 401, "the client names another realm than the box has"),
            ("rule", 403, "refused by the rule `10.0.0.0/8` in relay.deny"),
        ] {
            let view = refused_as(reason, code);
            let (text, next) = explain(&context(Transport::Udp, Some(&view)), Stage::Allocation, &refusal(code));
            assert!(text == expected && !next.is_empty(), "{reason}: {text}");
        }
    }

    #[test]
    fn what_the_box_does_not_say_is_made_out_as_far_as_it_can_be() {
        let refusal = Trouble::Refused { code: 401, reason: "Unauthorized".into() };
        let late = Context { expiry: Some((100, 160)), ..context(Transport::Tcp, None) };
        assert_eq!(explain(&late, Stage::Allocation, &refusal).0, "the credential has expired, 60 s ago");
        let (text, _) = explain(&context(Transport::Tcp, None), Stage::Allocation, &refusal);
        assert_eq!(text, "the box does not take this username and password");
        let odd = Trouble::Refused { code: 599, reason: "Odd".into() };
        assert_eq!(explain(&late, Stage::Allocation, &odd).0, "refused with 599 Odd");
    }
}
