//! Lets the network fragment what a socket sends: a relay passes on datagrams of any size (RFC 8656 section 14). An IPv6
//! socket may send IPv4 as well.

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

#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
pub(super) fn allow(socket: &impl AsRawFd, is_v6: bool) {
    set(socket, libc::IPPROTO_IP, libc::IP_DONTFRAG, 0);
    if is_v6 {
        set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple")))]
pub(super) fn allow(_socket: &impl AsRawFd, _is_v6: bool) {}
