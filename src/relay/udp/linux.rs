//! Linux: many datagrams a system call, and of one length to one destination many a trip through the kernel.

use std::io::{self, IoSlice};
use std::mem::{MaybeUninit, size_of, zeroed};
use std::net::{IpAddr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::os::fd::{AsRawFd, RawFd};
use std::ptr;

use arrayvec::ArrayVec;

use super::Sent;
use super::option::set;
use crate::relay::batch::{Batch, MAX_DATAGRAM};
use crate::relay::departures::{MAX_SEGMENTS, Run};

/// Runs for one system call.
const MAX_RUNS: usize = 32;
/// Pieces of memory for one system call: more than one run can have.
const MAX_PIECES: usize = 256;
/// Room for what is told beside a datagram: an address of this machine, and a length.
const CONTROL_BYTES: usize = 128;

const _: () = assert!(MAX_PIECES >= 3 * MAX_SEGMENTS);

/// Has the kernel tell to which address a datagram was sent.
pub(super) fn tell_destination(socket: &impl AsRawFd) {
    // On a socket of the other family one of these fails, and there is nothing for it to do.
    set(socket, libc::IPPROTO_IP, libc::IP_PKTINFO, 1);
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO, 1);
}

/// Lets the kernel hand over datagrams of one sender together, where it has them so (Linux 5.0).
pub(super) fn accept_joined(socket: &impl AsRawFd) {
    set(socket, libc::SOL_UDP, libc::UDP_GRO, 1);
}

/// Memory for control messages, aligned as the first of them must be.
#[repr(C, align(8))]
#[derive(Clone, Copy)]
pub(super) struct Control([u8; CONTROL_BYTES]);

/// An address as the kernel writes and reads it.
#[repr(C)]
#[derive(Clone, Copy)]
pub(super) union Name {
    family: libc::sa_family_t,
    v4: libc::sockaddr_in,
    v6: libc::sockaddr_in6,
}

/// Receives into up to `most` free slots of the batch, at most all of them, without waiting, and says how many it took.
/// Fewer than that means that the socket is drained.
#[expect(unsafe_code, reason = "no safe crate of ours receives several datagrams with what is told of them")]
pub(super) fn receive(socket: &impl AsRawFd, batch: &mut Batch, most: usize) -> io::Result<usize> {
    let most = most.min(batch.free());
    let mut names = [const { MaybeUninit::<Name>::uninit() }; Batch::SLOTS];
    let mut controls = [const { MaybeUninit::<Control>::uninit() }; Batch::SLOTS];
    let mut pieces: ArrayVec<libc::iovec, { Batch::SLOTS }> = batch
        .slots()
        .take(most)
        .map(|slot| libc::iovec { iov_base: slot.as_mut_ptr().cast(), iov_len: MAX_DATAGRAM })
        .collect();
    let mut headers: ArrayVec<libc::mmsghdr, { Batch::SLOTS }> = ArrayVec::new();
    for ((piece, name), control) in pieces.iter_mut().zip(&mut names).zip(&mut controls) {
        // SAFETY: a header of zeroes is one without anything; it has fields on some systems that have no name here.
        let mut header: libc::mmsghdr = unsafe { zeroed() };
        header.msg_hdr.msg_name = name.as_mut_ptr().cast();
        header.msg_hdr.msg_namelen = size_of::<Name>() as libc::socklen_t;
        header.msg_hdr.msg_iov = piece;
        header.msg_hdr.msg_iovlen = 1;
        header.msg_hdr.msg_control = control.as_mut_ptr().cast();
        header.msg_hdr.msg_controllen = CONTROL_BYTES as _;
        headers.push(header);
    }
    // SAFETY: every header points to a name, a slot of the batch and control memory, which all live until it returns,
    // are used by nothing else meanwhile, and are as long as it says.
    let count = unsafe {
        libc::recvmmsg(
            socket.as_raw_fd(),
            headers.as_mut_ptr(),
            headers.len() as libc::c_uint,
            libc::MSG_DONTWAIT as _,
            ptr::null_mut(),
        )
    };
    let count = usize::try_from(count).map_err(|_| io::Error::last_os_error())?;
    for (header, name) in headers.iter().zip(&names).take(count) {
        // SAFETY: the kernel has filled in this header, its name and its control messages.
        let (from, told) = unsafe { (address(&name.assume_init()), told(&header.msg_hdr)) };
        let length = header.msg_len as usize;
        batch.push(length, told.stride.unwrap_or(length), from, told.to);
    }
    Ok(count)
}

/// What the kernel tells beside a datagram.
#[derive(Default)]
struct Told {
    to: Option<IpAddr>,
    stride: Option<usize>,
}

/// # Safety
/// The kernel has filled in the header, and its control memory is still there.
#[expect(unsafe_code, reason = "control messages are read through pointers")]
unsafe fn told(header: &libc::msghdr) -> Told {
    let mut told = Told::default();
    // SAFETY: these macros stay within the control memory, whose length the kernel has written. What is read of a
    // message is of the type that its level and kind stand for, wherever it is aligned.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            let data = libc::CMSG_DATA(message);
            match (message.cmsg_level, message.cmsg_type) {
                (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                    let info: libc::in_pktinfo = ptr::read_unaligned(data.cast());
                    told.to = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                }
                (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                    let info: libc::in6_pktinfo = ptr::read_unaligned(data.cast());
                    told.to = Some(IpAddr::from(info.ipi6_addr.s6_addr));
                }
                (libc::SOL_UDP, libc::UDP_GRO) => {
                    let stride: libc::c_int = ptr::read_unaligned(data.cast());
                    told.stride = usize::try_from(stride).ok();
                }
                _ => {}
            }
            next = libc::CMSG_NXTHDR(header, message);
        }
    }
    told
}

/// Sends runs by one socket without waiting. `is_v6` says of which family it is.
pub(super) fn send<'a>(socket: &impl AsRawFd, is_v6: bool, runs: impl Iterator<Item = Run<'a>>) -> Sent {
    let (socket, mut sent) = (socket.as_raw_fd(), Sent::default());
    let mut load = Load::default();
    for run in runs {
        if !load.has_room_for(&run) {
            load.ship(socket, &mut sent);
        }
        load.add_run(run, is_v6);
    }
    load.ship(socket, &mut sent);
    sent
}

/// What goes in one system call.
#[derive(Default)]
struct Load<'a> {
    pieces: ArrayVec<IoSlice<'a>, MAX_PIECES>,
    names: ArrayVec<Name, MAX_RUNS>,
    controls: ArrayVec<(Control, usize), MAX_RUNS>,
    /// The runs, and the number of pieces of each.
    runs: ArrayVec<(Run<'a>, usize), MAX_RUNS>,
    is_v6: bool,
}

impl<'a> Load<'a> {
    fn has_room_for(&self, run: &Run<'_>) -> bool {
        !self.runs.is_full() && self.pieces.remaining_capacity() >= 3 * run.count
    }

    fn add_run(&mut self, run: Run<'a>, is_v6: bool) {
        let before = self.pieces.len();
        self.pieces.extend(run.datagrams().flatten().filter(|piece| !piece.is_empty()).map(IoSlice::new));
        let segment = (run.count > 1).then_some(run.segment as u16);
        self.add(run, self.pieces.len() - before, segment, is_v6);
    }

    fn add(&mut self, run: Run<'a>, pieces: usize, segment: Option<u16>, is_v6: bool) {
        self.is_v6 = is_v6;
        self.names.push(name(run.to, is_v6));
        self.controls.push(control(run.from, segment));
        self.runs.push((run, pieces));
    }

    /// Sends all of it, and is empty then.
    fn ship(&mut self, socket: RawFd, sent: &mut Sent) {
        let mut headers: ArrayVec<libc::mmsghdr, MAX_RUNS> = ArrayVec::new();
        let mut pieces = &self.pieces[..];
        for (index, &(_, count)) in self.runs.iter().enumerate() {
            let (its, rest) = pieces.split_at(count);
            pieces = rest;
            headers.push(header(&self.names[index], self.is_v6, its, &self.controls[index]));
        }
        let (mut done, mut again) = (0, None);
        while done < headers.len() {
            match send_headers(socket, &mut headers[done..]) {
                Ok(count) => done += count,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                // What was said of another datagram before this one, which has not been tried yet.
                Err(error) if may_be_of_another(&error) && again != Some(done) => again = Some(done),
                Err(error) => {
                    self.failed(&error, done, socket, sent);
                    // A full buffer is as full for the others.
                    done = if error.kind() == io::ErrorKind::WouldBlock { headers.len() } else { done + 1 };
                }
            }
        }
        drop(headers);
        self.pieces.clear();
        self.names.clear();
        self.controls.clear();
        self.runs.clear();
    }

    /// The run at `index` could not be sent. Datagrams that the way does not take together, it may take alone: they are
    /// longer than its MTU, or no device on it can split them.
    fn failed(&self, error: &io::Error, index: usize, socket: RawFd, sent: &mut Sent) {
        if error.kind() == io::ErrorKind::WouldBlock {
            sent.unsent += self.runs[index..].iter().map(|(run, _)| run.count as u64).sum::<u64>();
            return;
        }
        let run = &self.runs[index].0;
        // Where the queue of the device is full, more of them would help nobody.
        if run.count == 1 || error.raw_os_error() == Some(libc::ENOBUFS) {
            tracing::trace!(%error, to = %run.to, "unsent");
            sent.unsent += run.count as u64;
            return;
        }
        sent.cannot_join |= error.raw_os_error() == Some(libc::EIO);
        for datagram in run.datagrams() {
            let mut alone = Load::default();
            alone.pieces.extend(datagram.into_iter().filter(|piece| !piece.is_empty()).map(IoSlice::new));
            let pieces = alone.pieces.len();
            alone.add(run.alone(), pieces, None, self.is_v6);
            alone.ship(socket, sent);
        }
    }
}

/// Whether it may stand for an ICMP error that came for an earlier datagram: a socket that keeps those fails once for each.
fn may_be_of_another(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(
            libc::ECONNREFUSED
                | libc::EHOSTUNREACH
                | libc::ENETUNREACH
                | libc::EMSGSIZE
                | libc::EHOSTDOWN
                | libc::ENONET
                | libc::ENOPROTOOPT
                | libc::EOPNOTSUPP
                | libc::EPROTO
                | libc::EACCES
        )
    )
}

#[expect(unsafe_code, reason = "a header has fields on some systems that have no name here")]
fn header(name: &Name, is_v6: bool, pieces: &[IoSlice<'_>], (control, length): &(Control, usize)) -> libc::mmsghdr {
    let size = if is_v6 { size_of::<libc::sockaddr_in6>() } else { size_of::<libc::sockaddr_in>() };
    // SAFETY: a header of zeroes is one without anything.
    let mut header: libc::mmsghdr = unsafe { zeroed() };
    header.msg_hdr.msg_name = ptr::from_ref(name).cast_mut().cast();
    header.msg_hdr.msg_namelen = size as libc::socklen_t;
    // An IoSlice has the form of an iovec.
    header.msg_hdr.msg_iov = pieces.as_ptr().cast_mut().cast();
    header.msg_hdr.msg_iovlen = pieces.len() as _;
    if *length > 0 {
        header.msg_hdr.msg_control = ptr::from_ref(control).cast_mut().cast();
        header.msg_hdr.msg_controllen = *length as _;
    }
    header
}

/// How many of them were sent, at least one.
#[expect(unsafe_code, reason = "no safe crate of ours sends several datagrams with what is told of them")]
fn send_headers(socket: RawFd, headers: &mut [libc::mmsghdr]) -> io::Result<usize> {
    // SAFETY: every header was made by `header` of names, pieces and control memory that are borrowed until now, and of
    // which the kernel only reads.
    let count = unsafe {
        let length = headers.len() as libc::c_uint;
        libc::sendmmsg(socket, headers.as_mut_ptr(), length, (libc::MSG_DONTWAIT | libc::MSG_NOSIGNAL) as _)
    };
    usize::try_from(count).map_err(|_| io::Error::last_os_error())
}

/// The control messages that go with a run, and their length together: where it comes from, and where it is to be split.
#[expect(unsafe_code, reason = "control messages are written through pointers")]
fn control(from: Option<IpAddr>, segment: Option<u16>) -> (Control, usize) {
    let mut control = Control([0; CONTROL_BYTES]);
    let mut length = 0;
    // SAFETY: an `in_pktinfo` of zeroes names no interface and no address.
    let nowhere: libc::in_pktinfo = unsafe { zeroed() };
    match from {
        Some(IpAddr::V4(v4)) => {
            let address = libc::in_addr { s_addr: u32::from_ne_bytes(v4.octets()) };
            let info = libc::in_pktinfo { ipi_spec_dst: address, ..nowhere };
            append(&mut control, &mut length, libc::IPPROTO_IP, libc::IP_PKTINFO, info);
        }
        Some(IpAddr::V6(v6)) => {
            let address = libc::in6_addr { s6_addr: v6.octets() };
            let info = libc::in6_pktinfo { ipi6_addr: address, ipi6_ifindex: 0 };
            append(&mut control, &mut length, libc::IPPROTO_IPV6, libc::IPV6_PKTINFO, info);
        }
        None => {}
    }
    if let Some(segment) = segment {
        append(&mut control, &mut length, libc::SOL_UDP, libc::UDP_SEGMENT, segment);
    }
    (control, length)
}

#[expect(unsafe_code, reason = "control messages are written through pointers")]
fn append<T: Copy>(control: &mut Control, length: &mut usize, level: libc::c_int, kind: libc::c_int, value: T) {
    // SAFETY: these compute lengths and touch no memory.
    let (space, all) = unsafe {
        let size = size_of::<T>() as libc::c_uint;
        (libc::CMSG_SPACE(size) as usize, libc::CMSG_LEN(size) as usize)
    };
    assert!(*length + space <= CONTROL_BYTES);
    // SAFETY: there is room for the message behind those that are there, at a place that is aligned for its header:
    // the memory is, and each message takes a multiple of that.
    unsafe {
        let message: *mut libc::cmsghdr = control.0.as_mut_ptr().add(*length).cast();
        (*message).cmsg_level = level;
        (*message).cmsg_type = kind;
        (*message).cmsg_len = all as _;
        ptr::write_unaligned(libc::CMSG_DATA(message).cast(), value);
    }
    *length += space;
}

/// An address for a socket of one family. IPv6 sockets reach IPv4 by mapped addresses.
fn name(to: SocketAddr, is_v6: bool) -> Name {
    match to {
        SocketAddr::V4(v4) if !is_v6 => Name {
            v4: libc::sockaddr_in {
                sin_family: libc::AF_INET as libc::sa_family_t,
                sin_port: v4.port().to_be(),
                sin_addr: libc::in_addr { s_addr: u32::from_ne_bytes(v4.ip().octets()) },
                sin_zero: [0; 8],
            },
        },
        SocketAddr::V4(v4) => name_v6(SocketAddrV6::new(v4.ip().to_ipv6_mapped(), v4.port(), 0, 0)),
        SocketAddr::V6(v6) => name_v6(v6),
    }
}

fn name_v6(to: SocketAddrV6) -> Name {
    Name {
        v6: libc::sockaddr_in6 {
            sin6_family: libc::AF_INET6 as libc::sa_family_t,
            sin6_port: to.port().to_be(),
            sin6_flowinfo: to.flowinfo(),
            sin6_addr: libc::in6_addr { s6_addr: to.ip().octets() },
            sin6_scope_id: to.scope_id(),
        },
    }
}

/// # Safety
/// The kernel has written it.
#[expect(unsafe_code, reason = "the kernel says in the union itself which address it is")]
pub(super) unsafe fn address(name: &Name) -> SocketAddr {
    // SAFETY: the family stands at the beginning of both, and says which of them the kernel has written.
    unsafe {
        if libc::c_int::from(name.family) == libc::AF_INET {
            let ip = name.v4.sin_addr.s_addr.to_ne_bytes();
            return SocketAddr::new(ip.into(), u16::from_be(name.v4.sin_port));
        }
        let libc::sockaddr_in6 { sin6_port, sin6_flowinfo, sin6_addr, sin6_scope_id, .. } = name.v6;
        let ip = Ipv6Addr::from(sin6_addr.s6_addr);
        SocketAddrV6::new(ip, u16::from_be(sin6_port), sin6_flowinfo, sin6_scope_id).into()
    }
}
