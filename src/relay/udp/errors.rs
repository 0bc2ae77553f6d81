//! Linux: what routers and peers say by ICMP of datagrams that a socket has sent.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::SocketAddr;
use std::os::fd::AsRawFd;
use std::ptr;

use super::Errors;
use super::linux::{Control, Name, address};
use super::option::set;
use crate::stun::Icmp;

/// Has the kernel keep such errors for the socket. For each, one call on the socket fails as well, whatever it is for; and
/// until they are taken they fill its receive buffer.
pub(super) fn keep(socket: &impl AsRawFd, is_v6: bool) {
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_RECVERR, 1);
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_RECVERR, 1);
    }
}

/// Takes errors, as many as there is room for.
pub(super) fn take(socket: &impl AsRawFd) -> Errors {
    let mut errors = Errors { told: Default::default(), is_drained: false };
    for _ in 0..Errors::AT_ONCE {
        match take_one(socket) {
            Ok(told) => errors.told.extend(told),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => {
                errors.is_drained = true;
                break;
            }
        }
    }
    errors
}

/// The next one: to whom the datagram was sent, and what was said of it. `None` if it is none that clients are told.
#[expect(unsafe_code, reason = "no safe crate of ours reads a socket's error queue")]
fn take_one(socket: &impl AsRawFd) -> io::Result<Option<(SocketAddr, Icmp)>> {
    // SAFETY: an address of zeroes is one of no family, control memory of zeroes has no message in it, and a header of
    // zeroes is one without anything.
    let (mut name, mut control, mut header): (Name, Control, libc::msghdr) = unsafe { zeroed() };
    header.msg_name = ptr::from_mut(&mut name).cast();
    header.msg_namelen = size_of::<Name>() as libc::socklen_t;
    header.msg_control = ptr::from_mut(&mut control).cast();
    header.msg_controllen = size_of::<Control>() as _;
    // SAFETY: the header points to a name and control memory that live until it returns, and says how long they are.
    let length = unsafe { libc::recvmsg(socket.as_raw_fd(), &raw mut header, libc::MSG_ERRQUEUE | libc::MSG_DONTWAIT) };
    if length < 0 {
        return Err(io::Error::last_os_error());
    }
    if header.msg_namelen == 0 {
        return Ok(None);
    }
    // SAFETY: the kernel has filled in the header, its control messages and, as it says, its name.
    Ok(unsafe { said(&header).map(|icmp| (address(&name), icmp)) })
}

/// # Safety
/// The kernel has filled in the header, and its control memory is still there.
#[expect(unsafe_code, reason = "control messages are read through pointers")]
unsafe fn said(header: &libc::msghdr) -> Option<Icmp> {
    // SAFETY: these macros stay within the control memory, whose length the kernel has written. What is read of a message
    // is of the type that its level and kind stand for, wherever it is aligned.
    unsafe {
        let mut next = libc::CMSG_FIRSTHDR(header);
        while let Some(message) = next.as_ref() {
            let kind = (message.cmsg_level, message.cmsg_type);
            if [(libc::IPPROTO_IP, libc::IP_RECVERR), (libc::IPPROTO_IPV6, libc::IPV6_RECVERR)].contains(&kind) {
                let error: libc::sock_extended_err = ptr::read_unaligned(libc::CMSG_DATA(message).cast());
                return match error.ee_origin {
                    libc::SO_EE_ORIGIN_ICMP => Icmp::new(false, error.ee_type, error.ee_code, error.ee_info),
                    libc::SO_EE_ORIGIN_ICMP6 => Icmp::new(true, error.ee_type, error.ee_code, error.ee_info),
                    _ => None,
                };
            }
            next = libc::CMSG_NXTHDR(header, message);
        }
    }
    None
}
