//! What the certificate is for: its subject alternative names.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use rcgen::SanType;
use rcgen::string::Ia5String;
use rustls::pki_types::DnsName;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;

use super::Options;
use super::constraints::Constraints;
use super::error::Error;

/// Names and addresses, each once.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Names {
    dns: BTreeSet<String>,
    addresses: BTreeSet<IpAddr>,
}

impl Names {
    /// The machine's addresses, its name with and without `.local`, localhost, and what the owner wants besides.
    pub(super) fn new(options: &Options) -> Self {
        let mut names = Self {
            dns: BTreeSet::from(["localhost".into()]),
            addresses: BTreeSet::from([Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()]),
        };
        names.addresses.extend(options.addresses.iter().map(IpAddr::to_canonical));
        let label = options.hostname.split('.').next().unwrap_or_default();
        for name in
            [options.hostname.as_str(), label, &format!("{label}.local")].into_iter().filter(|_| !label.is_empty())
        {
            names.add(name);
        }
        options.names.iter().for_each(|name| names.add(name));
        names
    }

    /// Those that a certificate has.
    pub(super) fn of(certificate: &X509Certificate<'_>) -> Self {
        let mut names = Self { dns: BTreeSet::new(), addresses: BTreeSet::new() };
        let extension = certificate.subject_alternative_name().ok().flatten();
        for name in extension.iter().flat_map(|extension| &extension.value.general_names) {
            if let GeneralName::DNSName(name) = name {
                names.dns.insert((*name).to_owned());
            } else if let GeneralName::IPAddress(bytes) = name {
                names.addresses.extend(address(bytes));
            }
        }
        names
    }

    /// The names, in lower case.
    pub(super) fn dns(&self) -> impl Iterator<Item = &str> {
        self.dns.iter().map(String::as_str)
    }

    /// The addresses.
    pub(super) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        self.addresses.iter().copied()
    }

    /// Takes out what an authority may not sign for, and gives it back.
    pub(super) fn keep_permitted(&mut self, by: &Constraints) -> Vec<String> {
        let dns = self.dns.extract_if(.., |name| !by.permit_name(name));
        let addresses = self.addresses.extract_if(.., |ip| !by.permit_address(*ip));
        dns.chain(addresses.map(|ip| ip.to_string())).collect()
    }

    /// As a certificate lists them.
    pub(super) fn to_sans(&self) -> Result<Vec<SanType>, Error> {
        let dns = self.dns.iter().map(|name| Ok(SanType::DnsName(Ia5String::try_from(name.as_str())?)));
        let addresses = self.addresses.iter().map(|ip| Ok(SanType::IpAddress(*ip)));
        dns.chain(addresses).collect()
    }

    /// Adds a name or an address. A machine's name that no browser could write is passed over: verifiers may refuse a
    /// certificate with such a name for all the others as well.
    fn add(&mut self, text: &str) {
        if let Ok(ip) = text.parse::<IpAddr>() {
            self.addresses.insert(ip.to_canonical());
        } else if DnsName::try_from(text).is_ok() && !text.contains('_') && !text.ends_with('.') {
            self.dns.insert(text.to_ascii_lowercase());
        }
    }
}

fn address(bytes: &[u8]) -> Option<IpAddr> {
    let v4 = || <[u8; 4]>::try_from(bytes).map(IpAddr::from);
    v4().or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from)).ok()
}
