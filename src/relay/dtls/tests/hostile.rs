//! Those who say that they come from elsewhere, who come too often, and who talk nonsense.

use proptest::prelude::*;

use super::*;

/// What a client says first, and with its cookie.
fn hellos(world: &mut World, address: &str) -> [Vec<u8>; 2] {
    let mut client = world.client(address);
    let first = client.take().remove(0);
    world.deliver(client.from, &first);
    client.dtls.handle_packet(&world.take()[0].1).unwrap();
    [first, client.take().remove(0)]
}

#[test]
fn spoofed_hellos_leave_nothing_behind() {
    let mut world = World::new();
    let [hello, _] = hellos(&mut world, "192.0.2.1:5000");
    let room = (world.sessions.sessions.capacity(), world.sessions.by_five_tuple.capacity());
    for number in 0..50_000u32 {
        let client = SocketAddr::new((0x0A00_0000 + number).to_be_bytes().into(), 5000);
        let from = FiveTuple::new(client, five_tuple("192.0.2.1:1").server, Transport::Dtls);
        assert!(world.deliver(from, &hello).is_empty());
        let answers = world.take();
        assert_eq!((answers.len(), answers[0].0), (1, from));
        assert!(answers[0].1.len() < hello.len(), "an answer is shorter than what it answers");
    }
    assert!(world.is_empty());
    assert_eq!((world.sessions.sessions.capacity(), world.sessions.by_five_tuple.capacity()), room);
    assert_eq!(world.count("dtls_challenged"), 50_001);
}

#[test]
fn a_cookie_is_good_for_nobody_else_and_not_for_long() {
    let mut world = World::new();
    let [_, hello] = hellos(&mut world, "192.0.2.1:5000");
    for stranger in ["192.0.2.2:5000", "192.0.2.1:5001", "[2001:db8::1]:5000"] {
        world.deliver(five_tuple(stranger), &hello);
        assert!(world.is_empty(), "replayed from {stranger}");
    }
    let mut wrong = hello.clone();
    let cookie = ClientHello::parse(&hello).unwrap().cookie().to_vec();
    let at = hello.windows(cookie.len()).position(|window| window == cookie).unwrap();
    wrong[at] ^= 1;
    world.deliver(five_tuple("192.0.2.1:5000"), &wrong);
    assert!(world.is_empty(), "a wrong one");
    world.wait(Duration::from_secs(61));
    world.deliver(five_tuple("192.0.2.1:5000"), &hello);
    assert!(world.is_empty(), "an old one");
    let answers = world.take();
    assert!(answers.len() == 5 && answers.iter().all(|(_, answer)| answer[13] == 3), "each is asked for a new one");
    let [_, hello] = hellos(&mut world, "192.0.2.1:5000");
    world.deliver(five_tuple("192.0.2.1:5000"), &hello);
    assert_eq!(world.sessions.len(), 1);
}

#[test]
fn half_open_sessions_are_bounded() {
    let mut world = World::new();
    let begin = |world: &mut World, address: &str| {
        let [_, hello] = hellos(world, address);
        world.deliver(five_tuple(address), &hello);
        world.take();
    };
    (0..10).for_each(|port| begin(&mut world, &format!("192.0.2.1:{}", 5000 + port)));
    assert_eq!((world.sessions.len(), world.count("dtls_refused")), (4, 6), "of one source");
    (2..20).for_each(|last| begin(&mut world, &format!("192.0.2.{last}:5000")));
    assert_eq!((world.sessions.len(), world.count("dtls_refused")), (10, 18), "in all");
    for _ in 0..11 {
        world.wait(Duration::from_secs(1));
        world.sessions.expire(world.now.instant);
        world.take();
    }
    assert!(world.is_empty());
    begin(&mut world, "192.0.2.1:5000");
    assert_eq!(world.sessions.len(), 1, "there is room again");
}

#[test]
fn sessions_are_bounded() {
    let mut world = World::new();
    let try_one = |world: &mut World, address: String| {
        let mut client = world.client(&address);
        world.talk(&mut client);
        client.is_open
    };
    let of_one = (0..10).filter(|port| try_one(&mut world, format!("192.0.2.1:{}", 5000 + port))).count();
    assert_eq!(of_one, 6);
    let of_others = (2..40).filter(|last| try_one(&mut world, format!("192.0.2.{last}:5000"))).count();
    assert_eq!((of_others, world.sessions.len()), (14, 20));
    assert_eq!(world.count("dtls_refused"), 4 + 24);
}

#[test]
fn who_offers_no_dtls_1_2_is_told_and_forgotten() {
    let mut world = World::new();
    let [mut hello, _] = hellos(&mut world, "192.0.2.1:5000");
    hello[26] = 0xFF;
    world.deliver(five_tuple("192.0.2.1:5000"), &hello);
    assert_eq!(world.take()[0].1[13..], [2, 70]);
    assert!(world.is_empty());
}

#[test]
fn who_offers_nothing_that_is_spoken_is_told_and_forgotten() {
    let mut world = World::new();
    let from = five_tuple("192.0.2.1:5000");
    let [_, hello] = hellos(&mut world, "192.0.2.1:5000");
    let mut other = hello.clone();
    // The cipher suites stand behind the cookie, and its length was 32.
    let suites = 13 + 12 + 2 + 32 + 1 + 1 + 32 + 2;
    let length = usize::from(hello[suites - 1]);
    other[suites..suites + length].fill(0);
    world.deliver(from, &other);
    assert_eq!(world.take()[0].1[13..], [2, 40]);
    assert!(world.is_empty());
    assert_eq!(world.count("dtls_failed"), 1);
}

#[test]
fn without_a_session_there_is_no_answer() {
    let mut world = World::new();
    let mut client = world.connect("192.0.2.1:5000");
    client.say(b"hello");
    let record = client.take().remove(0);
    assert!(world.deliver(five_tuple("192.0.2.2:5000"), &record).is_empty(), "to another client");
    world.sessions.send(&five_tuple("192.0.2.2:5000"), [b"hello", b"", b""]);
    assert!(world.take().is_empty());
    assert_eq!(world.deliver(client.from, &record), [b"hello"]);
}

/// A record in the clear, of a type, with a number.
fn in_the_clear(record_type: u8, number: u16, content: &[u8]) -> Vec<u8> {
    let (number, length) = (number.to_be_bytes(), (content.len() as u16).to_be_bytes());
    [&[record_type, 0xFE, 0xFD, 0, 0, 0, 0, 0, 0], &number[..], &length, content].concat()
}

#[test]
fn what_is_in_the_clear_ends_no_session() {
    let mut world = World::new();
    let mut client = world.connect("192.0.2.1:5000");
    for number in 100..300u16 {
        let [high, low] = number.to_be_bytes();
        for kind in [1, 11, 16, 20] {
            let fragment = [kind, 0, 0, 12, high, low, 0, 0, 0, 0, 0, 4, 1, 2, 3, 4];
            world.deliver(client.from, &in_the_clear(22, number, &fragment));
        }
        world.deliver(client.from, &in_the_clear(20, number, &[1]));
        world.deliver(client.from, &in_the_clear(21, number, &[2, 40]));
        world.deliver(client.from, &in_the_clear(21, number, &[1, 0]));
        assert!(world.deliver(client.from, &in_the_clear(23, number, b"not encrypted")).is_empty());
    }
    world.take();
    client.say(b"still here");
    assert_eq!(world.talk(&mut client), [b"still here"]);
}

fn nonsense() -> impl Strategy<Value = Vec<u8>> {
    (20..=63u8, prop::collection::vec(any::<u8>(), 0..200)).prop_map(|(first, rest)| [vec![first], rest].concat())
}

/// Some bytes of a datagram changed, and the end cut off.
fn spoiled() -> impl Strategy<Value = (Vec<(usize, u8)>, usize)> {
    (prop::collection::vec((any::<usize>(), any::<u8>()), 0..6), 0..40usize)
}

fn spoil(datagram: &[u8], (changes, cut): &(Vec<(usize, u8)>, usize)) -> Vec<u8> {
    let mut datagram = datagram.to_vec();
    for (at, byte) in changes {
        let length = datagram.len();
        datagram[at % length] = *byte;
    }
    datagram.truncate(datagram.len().saturating_sub(*cut).max(1));
    datagram[0] = datagram[0].clamp(20, 63);
    datagram
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    /// Whatever strangers say, nothing is kept of them, and no answer is longer than what it answers.
    #[test]
    fn strangers_leave_nothing_behind(
        said in prop::collection::vec((nonsense(), spoiled(), any::<bool>()), 1..20)
    ) {
        let mut world = World::new();
        let hello = world.client("192.0.2.1:5000").take().remove(0);
        for (nonsense, spoiled, is_nonsense) in said {
            let datagram = if is_nonsense { nonsense } else { spoil(&hello, &spoiled) };
            prop_assert!(world.deliver(five_tuple("192.0.2.9:5000"), &datagram).is_empty());
            let answered: usize = world.take().iter().map(|(_, answer)| answer.len()).sum();
            prop_assert!(answered <= datagram.len());
            prop_assert!(world.is_empty());
        }
    }

    /// Whatever comes from the address of a client, before, while and after it has a session, nothing breaks, and what
    /// it says is heard as it was said.
    #[test]
    fn nothing_breaks_a_session_from_outside(
        said in prop::collection::vec((nonsense(), spoiled(), any::<bool>()), 1..12)
    ) {
        let mut world = World::new();
        let [first, second] = hellos(&mut world, "192.0.2.1:5000");
        let mut client = world.connect("192.0.2.1:5000");
        client.say(b"a record");
        let record = client.take().remove(0);
        for (nonsense, spoiled, is_nonsense) in said {
            for datagram in [&first, &second, &record] {
                let datagram = if is_nonsense { nonsense.clone() } else { spoil(datagram, &spoiled) };
                for message in world.deliver(client.from, &datagram) {
                    prop_assert_eq!(&message[..], b"a record");
                }
            }
        }
        prop_assert!(world.sessions.len() <= 1);
        world.wait(Duration::from_secs(60));
        world.sessions.sweep(world.now.instant, |_| false);
        world.sessions.expire(world.now.instant);
        prop_assert!(world.is_empty());
    }

    /// A handshake that is spoiled on its way ends, one way or the other.
    #[test]
    fn a_spoiled_handshake_ends(which in 0..3usize, spoiled in spoiled()) {
        let mut world = World::new();
        let mut client = world.client("192.0.2.1:5000");
        for round in 0..6 {
            for datagram in client.take() {
                let datagram = if round == which { spoil(&datagram, &spoiled) } else { datagram };
                world.deliver(client.from, &datagram);
            }
            for (_, datagram) in world.take() {
                let _ = client.dtls.handle_packet(&datagram);
            }
        }
        world.wait(Duration::from_secs(60));
        world.sessions.expire(world.now.instant);
        world.sessions.sweep(world.now.instant, |_| false);
        prop_assert!(world.is_empty());
    }
}
