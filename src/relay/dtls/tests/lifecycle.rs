//! From the handshake to the goodbye.

use dimpl::crypto::Dtls12CipherSuite;

use super::*;

#[test]
fn messages_pass_both_ways_and_the_certificate_is_shown() {
    let mut world = World::new();
    let mut client = world.connect("192.0.2.1:5000");
    assert_eq!(client.shown.as_ref(), Some(&BOX.0.certificate));
    for length in [0, 1, 1200, MAX_PLAINTEXT] {
        client.say(&vec![7; length]);
        let said = world.talk(&mut client);
        assert_eq!(said.concat(), vec![7; length], "{length} bytes to the server");
        client.heard.clear();
        let message = vec![8; length];
        let (head, rest) = message.split_at(length / 2);
        world.sessions.send(&client.from, [head, rest, &[]]);
        world.talk(&mut client);
        assert_eq!(client.heard.concat(), message, "{length} bytes to the client");
    }
    assert_eq!((world.count("dtls_opened"), world.count("dtls_challenged")), (1, 1));
}

#[test]
fn every_suite_is_spoken() {
    use Dtls12CipherSuite as Suite;
    for suite in [
        Suite::ECDHE_ECDSA_AES128_GCM_SHA256,
        Suite::ECDHE_ECDSA_AES256_GCM_SHA384,
        Suite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256,
    ] {
        let mut world = World::new();
        let config = Config::builder().with_crypto_provider(provider()).dtls12_cipher_suites(&[suite]).build().unwrap();
        let mut client = Client::with(&Arc::new(config), "192.0.2.1:5000", world.now.instant);
        client.say(b"hello");
        assert_eq!(world.talk(&mut client), [b"hello"], "{suite:?}");
    }
}

#[test]
fn a_record_is_a_datagram_and_what_does_not_fit_one_is_dropped() {
    let mut world = World::new();
    let client = world.connect("192.0.2.1:5000");
    world.sessions.send(&client.from, [b"one", b"", b""]);
    world.sessions.send(&client.from, [b"two", b"", b""]);
    assert_eq!(world.take().len(), 2);
    world.sessions.send(&client.from, [&[0; MAX_PLAINTEXT - 1], &[0], &[0]]);
    assert!(world.take().is_empty());
    assert_eq!((world.count("dtls_oversized"), world.sessions.len()), (1, 1));
}

#[test]
fn a_key_with_random_nonces_is_used_up_in_time() {
    use Dtls12CipherSuite as Suite;
    for (suite, is_counted) in
        [(Suite::ECDHE_ECDSA_AES128_GCM_SHA256, true), (Suite::ECDHE_ECDSA_CHACHA20_POLY1305_SHA256, false)]
    {
        let mut world = World::new();
        let config = Config::builder().with_crypto_provider(provider()).dtls12_cipher_suites(&[suite]).build().unwrap();
        let mut client = Client::with(&Arc::new(config), "192.0.2.1:5000", world.now.instant);
        world.talk(&mut client);
        let key = world.sessions.by_five_tuple[&client.from];
        assert_eq!(world.sessions.sessions[key].left.is_some(), is_counted);
        world.sessions.sessions[key].left = world.sessions.sessions[key].left.map(|_| 1);
        for _ in 0..2 {
            world.sessions.send(&client.from, [b"hello", b"", b""]);
        }
        world.talk(&mut client);
        let heard = if is_counted { 1 } else { 2 };
        assert_eq!((client.heard.len(), client.is_closed, world.is_empty()), (heard, is_counted, is_counted));
    }
}

#[test]
fn several_records_of_one_datagram_are_several_messages() {
    let mut world = World::new();
    let mut client = world.connect("192.0.2.1:5000");
    let mut datagram = Vec::new();
    for message in [&b"one"[..], b"two", b"three"] {
        client.say(message);
        datagram.extend(client.take().concat());
    }
    assert_eq!(world.deliver(client.from, &datagram), [&b"one"[..], b"two", b"three"]);
    assert!(world.deliver(client.from, &datagram).is_empty(), "once each");
}

#[test]
fn what_was_lost_is_said_again_by_the_clock_of_the_shard() {
    let mut world = World::new();
    let mut client = world.client("192.0.2.1:5000");
    let hello = client.take();
    world.deliver(client.from, &hello[0]);
    client.dtls.handle_packet(&world.take()[0].1).unwrap();
    let again = client.take();
    world.deliver(client.from, &again[0]);
    let lost = world.take();
    assert!(!lost.is_empty(), "the first flight");
    let due = world.sessions.next_due().unwrap();
    assert!(due > world.now.instant && due < world.now.instant + Duration::from_secs(2));
    world.sessions.expire(world.now.instant);
    assert!(world.take().is_empty(), "too early");
    world.wait(Duration::from_secs(2));
    world.sessions.expire(world.now.instant);
    for (_, datagram) in world.take() {
        client.dtls.handle_packet(&datagram).unwrap();
    }
    world.talk(&mut client);
    assert!(client.is_open && world.sessions.next_due().is_none());
}

#[test]
fn a_client_that_repeats_its_hello_is_not_out_of_step() {
    let mut world = World::new();
    let mut client = world.client("192.0.2.1:5000");
    client.take();
    let mut hello = Vec::new();
    for seconds in [2, 4, 8] {
        world.wait(Duration::from_secs(seconds));
        client.dtls.handle_timeout(world.now.instant).unwrap();
        hello = client.take();
    }
    world.deliver(client.from, &hello[0]);
    let verify = world.take();
    assert_eq!(verify[0].1[5..11], hello[0][5..11], "RFC 6347 section 4.2.1: the number of the ClientHello");
    client.dtls.handle_packet(&verify[0].1).unwrap();
    let again = client.take();
    world.deliver(client.from, &again[0]);
    let flight = world.take();
    assert_eq!(flight[0].1[5..11], again[0][5..11], "and that of the second in the ServerHello");
    flight.iter().for_each(|(_, datagram)| client.dtls.handle_packet(datagram).unwrap());
    world.talk(&mut client);
    assert!(client.is_open);
}

#[test]
fn a_handshake_that_takes_too_long_is_given_up() {
    let mut world = World::new();
    let mut client = world.client("192.0.2.1:5000");
    world.deliver(client.from, &client.take()[0]);
    client.dtls.handle_packet(&world.take()[0].1).unwrap();
    world.deliver(client.from, &client.take()[0]);
    for _ in 0..10 {
        assert_eq!((world.sessions.take_ended(), world.sessions.len()), (None, 1));
        world.wait(Duration::from_secs(1));
        world.sessions.expire(world.now.instant);
    }
    assert!(world.is_empty());
    assert_eq!(world.sessions.take_ended(), Some(client.from));
}

#[test]
fn one_without_an_allocation_ends_and_says_so() {
    let mut world = World::new();
    let mut client = world.connect("192.0.2.1:5000");
    world.wait(Duration::from_secs(30));
    world.sessions.sweep(world.now.instant, |_| false);
    assert_eq!(world.sessions.len(), 1);
    world.wait(Duration::from_secs(1));
    world.sessions.sweep(world.now.instant, |_| false);
    world.talk(&mut client);
    assert!(client.is_closed && world.is_empty());
    assert_eq!(world.sessions.take_ended(), Some(client.from));
}

#[test]
fn every_message_that_can_be_read_starts_the_time_anew() {
    let mut world = World::new();
    let mut client = world.connect("192.0.2.1:5000");
    for _ in 0..3 {
        world.wait(Duration::from_secs(20));
        client.say(b"here");
        assert_eq!(world.talk(&mut client), [b"here"]);
        world.sessions.sweep(world.now.instant, |_| false);
        assert_eq!(world.sessions.len(), 1);
    }
    world.wait(Duration::from_secs(20));
    client.say(b"forged");
    let mut forged = client.take().concat();
    *forged.last_mut().unwrap() ^= 1;
    world.deliver(client.from, &forged);
    world.wait(Duration::from_secs(11));
    world.sessions.sweep(world.now.instant, |_| false);
    assert!(world.is_empty());
}

#[test]
fn a_session_outlasts_its_allocation_by_the_time_for_another() {
    let mut world = World::new();
    let mut client = world.connect("192.0.2.1:5000");
    for _ in 0..10 {
        world.wait(Duration::from_secs(60));
        world.sessions.sweep(world.now.instant, |from| *from == client.from);
    }
    world.wait(Duration::from_secs(30));
    world.sessions.sweep(world.now.instant, |_| false);
    assert_eq!(world.sessions.len(), 1);
    world.wait(Duration::from_secs(1));
    world.sessions.sweep(world.now.instant, |_| false);
    world.talk(&mut client);
    assert!(client.is_closed && world.is_empty());
}

#[test]
fn a_goodbye_ends_it() {
    let mut world = World::new();
    let mut client = world.connect("192.0.2.1:5000");
    client.dtls.close().unwrap();
    let goodbye = client.take();
    assert!(world.deliver(client.from, &goodbye[0]).is_empty());
    assert!(world.is_empty());
    assert_eq!(world.sessions.take_ended(), Some(client.from));
    assert_eq!(world.sessions.take_ended(), None);
}

#[test]
fn who_begins_anew_has_lost_what_was_before() {
    let mut world = World::new();
    let first = world.connect("192.0.2.1:5000");
    let mut second = world.client("192.0.2.1:5000");
    let hello = second.take();
    world.deliver(second.from, &hello[0]);
    assert_eq!(world.sessions.take_ended(), None, "anybody may say so who has shown no cookie");
    second.dtls.handle_packet(&world.take()[0].1).unwrap();
    world.talk(&mut second);
    assert!(second.is_open);
    assert_eq!((world.sessions.take_ended(), world.sessions.len()), (Some(first.from), 1));
}

#[test]
fn another_certificate_is_for_those_who_come_then() {
    let (old, new) = (certificate(), certificate());
    let mut world = World::showing(&identity(&old));
    let mut before = world.connect("192.0.2.1:5000");
    world.sessions.show(Some(identity(&new)));
    let after = world.connect("192.0.2.2:5000");
    assert_eq!((before.shown.as_ref(), after.shown.as_ref()), (Some(&old.certificate), Some(&new.certificate)));
    before.say(b"still here");
    assert_eq!(world.talk(&mut before), [b"still here"]);
    world.sessions.show(None);
    let mut late = world.client("192.0.2.3:5000");
    world.talk(&mut late);
    assert!(!late.is_open);
}

#[test]
fn a_key_that_is_not_spoken_is_said_to_be_none() {
    let other = rcgen::KeyPair::generate_for(&rcgen::PKCS_ED25519).unwrap();
    assert!(Identity::new(&certificate().certificate, &other.serialize_der()).is_err());
    let p384 = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P384_SHA384).unwrap();
    let signed = rcgen::CertificateParams::new(["localhost".into()]).unwrap().self_signed(&p384).unwrap();
    let shown = DtlsCertificate { certificate: signed.der().to_vec(), private_key: p384.serialize_der() };
    World::showing(&identity(&shown)).connect("192.0.2.1:5000");
}
