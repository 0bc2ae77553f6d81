//! Lets the network fragment what a socket sends: a relay passes on datagrams of any size (RFC 8656 section 14).

use std::os::fd::AsRawFd;

#[cfg(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple"))]
use super::option::set;

#[cfg(any(target_os = "linux", target_os = "android"))]
pub(super) fn allow(socket: &impl AsRawFd) {
    set(socket, libc::IPPROTO_IP, libc::IP_MTU_DISCOVER, libc::IP_PMTUDISC_DONT);
    // On an IPv4 socket these two fail, and there is nothing for them to do.
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_MTU_DISCOVER, libc::IPV6_PMTUDISC_DONT);
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
}

#[cfg(any(target_os = "freebsd", target_vendor = "apple"))]
pub(super) fn allow(socket: &impl AsRawFd) {
    set(socket, libc::IPPROTO_IP, libc::IP_DONTFRAG, 0);
    set(socket, libc::IPPROTO_IPV6, libc::IPV6_DONTFRAG, 0);
}

#[cfg(not(any(target_os = "linux", target_os = "android", target_os = "freebsd", target_vendor = "apple")))]
pub(super) fn allow(_socket: &impl AsRawFd) {}
