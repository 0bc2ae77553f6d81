//! Clients with credentials who do anything in any order, while time passes and rooms empty: whatever is relayed was
//! permitted, nobody reaches into another room, and all that was taken is given back.

#![no_main]

use arbitrary::Arbitrary;
use lanturn_fuzz::clients::{CLIENTS, World};
use lanturn_fuzz::messages::{Asked, Peer};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Op {
    Allocate {
        who: u8,
        lifetime: Option<u32>,
        v6: Option<bool>,
        even: Option<bool>,
    },
    Refresh {
        who: u8,
        lifetime: Option<u32>,
    },
    Permit {
        who: u8,
        peers: Vec<Peer>,
    },
    Bind {
        who: u8,
        channel: u8,
        peer: Peer,
    },
    Send {
        who: u8,
        peer: Peer,
        length: u8,
    },
    ChannelData {
        who: u8,
        channel: u8,
        length: u16,
    },
    FromPeer {
        who: u8,
        peer: Peer,
        length: u16,
    },
    /// The last request of a client again, with a bit changed.
    Damaged {
        who: u8,
        at: u16,
        bit: u8,
    },
    /// The last request of a client, sent by another.
    Stolen {
        who: u8,
        by: u8,
    },
    Repeated {
        who: u8,
    },
    Wait {
        milliseconds: u32,
    },
    Expire,
    Leave {
        who: u8,
    },
    Disconnect {
        who: u8,
    },
}

fuzz_target!(|ops: Vec<Op>| {
    let mut world = World::new();
    let index = |who: u8| usize::from(who) % CLIENTS;
    for op in ops {
        match op {
            Op::Allocate { who, lifetime, v6, even } => {
                world.request(index(who), Asked::allocate(lifetime, v6, even));
            }
            Op::Refresh { who, lifetime } => {
                world.request(index(who), Asked::refresh(lifetime));
            }
            Op::Permit { who, peers } => {
                let peers: Vec<_> = peers.iter().take(20).map(|peer| world.resolve(*peer)).collect();
                if world.request(index(who), Asked::permit(&peers)) {
                    peers.iter().for_each(|peer| world.permitted(index(who), peer.ip()));
                }
            }
            Op::Bind { who, channel, peer } => {
                let peer = world.resolve(peer);
                if world.request(index(who), Asked::bind(0x4000 + u16::from(channel), peer)) {
                    world.permitted(index(who), peer.ip());
                }
            }
            Op::Send { who, peer, length } => {
                let packet = Asked::send(world.resolve(peer), &vec![7; usize::from(length)]);
                world.data(index(who), &packet);
            }
            Op::ChannelData { who, channel, length } => {
                let [high, low] = length.to_be_bytes();
                let packet = [&[0x40, channel, high, low], &vec![7; usize::from(length)][..]].concat();
                world.data(index(who), &packet);
            }
            Op::FromPeer { who, peer, length } => world.from_peer(index(who), peer, usize::from(length)),
            Op::Damaged { who, at, bit } => world.damaged(index(who), usize::from(at), bit),
            Op::Stolen { who, by } if index(who) != index(by) => world.stolen(index(who), index(by)),
            Op::Stolen { .. } => {}
            Op::Repeated { who } => world.repeated(index(who)),
            Op::Wait { milliseconds } => world.wait(milliseconds % 7_200_000),
            Op::Expire => world.expire(),
            Op::Leave { who } => world.leave(index(who)),
            Op::Disconnect { who } => world.disconnect(index(who)),
        }
        world.check();
    }
    world.end();
});
