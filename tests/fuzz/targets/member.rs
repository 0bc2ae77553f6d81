//! Clients with credentials who do anything in any order, while time passes and rooms empty: whatever is relayed was
//! permitted, nobody reaches into another room, and all that was taken is given back.

#![no_main]

use arbitrary::Arbitrary;
use lanturn_fuzz::clients::{CLIENTS, Roaming, World};
use lanturn_fuzz::messages::{Asked, Peer, Wish};
use libfuzzer_sys::fuzz_target;

#[derive(Arbitrary, Debug)]
enum Op {
    Allocate {
        who: u8,
        wish: Wish,
        missing: [bool; 2],
    },
    /// Allocates what was held back for a client.
    Claim {
        who: u8,
        of: u8,
        mobile: bool,
    },
    Refresh {
        who: u8,
        lifetime: Option<u32>,
        v6: Option<bool>,
    },
    /// Moves what the ticket of a client is for.
    Roam {
        who: u8,
        of: u8,
        to: Roaming,
    },
    Connect {
        who: u8,
        peer: Peer,
    },
    /// A peer answers a connection, or refuses it.
    Dialed {
        which: u8,
        is_accepted: bool,
    },
    /// A peer connects.
    Attempt {
        who: u8,
        peer: Peer,
    },
    BindConnection {
        who: u8,
        which: u8,
        shard: bool,
    },
    CloseConnection {
        which: u8,
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
            Op::Allocate { who, wish, missing } => world.allocate(index(who), Asked::allocate(wish), missing),
            Op::Claim { who, of, mobile } => world.claim(index(who), index(of), mobile),
            Op::Refresh { who, lifetime, v6 } => {
                world.request(index(who), Asked::refresh(lifetime, v6));
            }
            Op::Roam { who, of, to } => world.roam(index(who), index(of), to),
            Op::Connect { who, peer } => {
                let peer = world.resolve(peer);
                world.request(index(who), Asked::connect(peer));
            }
            Op::Dialed { which, is_accepted } => world.dialed(usize::from(which), is_accepted),
            Op::Attempt { who, peer } => world.attempt(index(who), peer),
            Op::BindConnection { who, which, shard } => world.take_connection(index(who), usize::from(which), shard),
            Op::CloseConnection { which } => world.close_connection(usize::from(which)),
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
