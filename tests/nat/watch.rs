//! What goes by on the wire, headers and all.

use std::io::{self, Read as _};
use std::net::SocketAddrV4;
use std::time::Duration;

use socket2::{Domain, Protocol, Socket, Type};

use super::client::Seen;

/// IPv4, as Ethernet numbers it.
const IPV4: u16 = 0x0800;
const UDP: u8 = 17;
/// How long nothing goes by before all has.
const QUIET: Duration = Duration::from_millis(400);

/// Everything of IPv4 that comes into this namespace, from now on.
pub struct Watch(Socket);

impl Watch {
    pub fn start() -> io::Result<Self> {
        let protocol = Protocol::from(i32::from(IPV4.to_be()));
        let socket = Socket::new(Domain::PACKET, Type::DGRAM, Some(protocol))?;
        socket.set_recv_buffer_size(4 << 20)?;
        socket.set_read_timeout(Some(QUIET))?;
        Ok(Self(socket))
    }

    /// What has begun a UDP datagram to a port, in order.
    pub fn seen(&self, port: u16) -> Vec<Seen> {
        let mut buffer = vec![0; 70_000];
        let mut seen = Vec::new();
        while let Ok(length) = (&self.0).read(&mut buffer) {
            seen.extend(read(&buffer[..length], port));
        }
        seen
    }
}

/// ```text
/// 0                 1         6                 8     9          20 ..       24 or more
/// | version, length | service | flags, fragment | TTL | protocol | .. | UDP: | port, to | .. | data
/// ```
fn read(packet: &[u8], port: u16) -> Option<Seen> {
    let (header, datagram) = packet.split_at_checked(usize::from(packet.first()? & 0xF) * 4)?;
    let fragment = u16::from_be_bytes([header[6], header[7]]);
    let (is_first, is_udp) = (fragment & 0x1FFF == 0, header[9] == UDP);
    let to = u16::from_be_bytes([*datagram.get(2)?, *datagram.get(3)?]);
    (is_first && is_udp && to == port).then(|| Seen {
        first: datagram.get(8).copied().unwrap_or_default(),
        dont_fragment: fragment & 0x4000 != 0,
        more_fragments: fragment & 0x2000 != 0,
        service: header[1],
        time_to_live: header[8],
    })
}

/// Says to where a datagram came from that it is too long: ICMP "fragmentation needed", made up.
///
/// ```text
/// 0      1      2          6     8     28             30           32
/// | 3    | 4    | checksum | MTU | IP: | UDP: port, from | port, to | length, checksum
/// ```
pub fn complain(from: SocketAddrV4, to: SocketAddrV4, mtu: u16) -> io::Result<()> {
    let mut packet = vec![3, 4, 0, 0, 0, 0];
    packet.extend(mtu.to_be_bytes());
    packet.extend([0x45, 0, 0, 36, 0, 0, 0x40, 0, 64, UDP, 0, 0]);
    packet.extend(from.ip().octets().into_iter().chain(to.ip().octets()));
    packet.extend([from.port(), to.port(), 16, 0].into_iter().flat_map(u16::to_be_bytes));
    let sum: u32 = packet.chunks(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]]))).sum();
    let checksum = !((sum & 0xFFFF) + (sum >> 16)) as u16;
    packet[2..4].copy_from_slice(&checksum.to_be_bytes());
    let socket = Socket::new(Domain::IPV4, Type::RAW, Some(Protocol::ICMPV4))?;
    socket.send_to(&packet, &from.into()).map(drop)
}
