//! Whether the network may fragment what a socket sends: a relay passes on datagrams of any size, unless its client wants
//! them whole (RFC 8656 section 14). An IPv6 socket may send IPv4 as well.

use std::os::fd::AsRawFd;

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"))]
use super::option::set;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn allow(socket: &impl AsRawFd, is_v6: bool) {
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT);
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT);
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
    }
}

/// For the datagrams that follow. IPv4: DF is set whatever the kernel has heard of the way, for it is the client that
/// looks for the MTU.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn forbid(socket: &impl AsRawFd, is_v6: bool) {
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1);
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_PROBE);
    }
}

/// Takes [`forbid`] back. IPv4: DF is not set, as with [`allow`]; but by then "fragmentation needed" may be on its way
/// here, and where discovery is said to be none at all, the kernel keeps that from the socket.
#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn allow_again(socket: &impl AsRawFd, is_v6: bool) {
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_OMIT);
    }
}

#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
pub(super) fn allow(socket: &impl AsRawFd, is_v6: bool) {
    set(socket, libc::IPPROTO_IP, libc::IP_DONTFRAG, 0);
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
    }
}

/// For the datagrams that follow.
#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
pub(super) fn forbid(socket: &impl AsRawFd, is_v6: bool) {
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 1);
    } else {
        set(socket, libc::IPPROTO_IP, libc::IP_DONTFRAG, 1);
    }
}

/// Takes [`forbid`] back.
#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
pub(super) fn allow_again(socket: &impl AsRawFd, is_v6: bool) {
    allow(socket, is_v6);
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple")))]
mod unknown {
    use std::os::fd::AsRawFd;

    /// Whoever asks for it is told that it is not known here.
    const _: () = assert!(!crate::stun::CAN_FORBID_FRAGMENTS);

    pub(in super::super) fn allow(_socket: &impl AsRawFd, _is_v6: bool) {}
    pub(in super::super) fn forbid(_socket: &impl AsRawFd, _is_v6: bool) {}
    pub(in super::super) fn allow_again(_socket: &impl AsRawFd, _is_v6: bool) {}
}
#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple")))]
pub(super) use unknown::{allow, allow_again, forbid};
