//! Which addresses are inside, and which can be outside.

use std::net::Ipv4Addr;

/// The carriers' own, behind their NATs (RFC 6598).
fn is_shared(ip: Ipv4Addr) -> bool {
    let [a, b, ..] = ip.octets();
    a == 100 && b & 0xC0 == 64
}

/// Whether an address of this machine has to be behind a NAT, if it has a way to the internet.
pub(super) fn is_inside(ip: Ipv4Addr) -> bool {
    ip.is_private() || is_shared(ip)
}

/// Whether others on the internet could send to it. Addresses of the documentation (RFC 5737) are let through.
pub(super) fn can_be_outside(ip: Ipv4Addr) -> bool {
    let [first, ..] = ip.octets();
    !is_inside(ip) && !ip.is_loopback() && !ip.is_link_local() && first != 0 && first < 224
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_that_others_can_send_to_are_outside() {
        for ip in ["203.0.113.7", "8.8.8.8", "100.128.0.1", "172.32.0.1", "223.255.255.1"] {
            let ip = ip.parse().unwrap();
            assert!(can_be_outside(ip) && !is_inside(ip), "{ip}");
        }
        for ip in ["192.168.1.5", "10.0.0.5", "172.16.0.1", "100.64.0.1", "100.127.255.1"] {
            let ip = ip.parse().unwrap();
            assert!(!can_be_outside(ip) && is_inside(ip), "{ip}");
        }
        for ip in ["0.0.0.0", "0.1.2.3", "127.0.0.1", "169.254.1.1", "224.0.0.1", "240.0.0.1", "255.255.255.255"] {
            let ip = ip.parse().unwrap();
            assert!(!can_be_outside(ip) && !is_inside(ip), "{ip}");
        }
    }
}
