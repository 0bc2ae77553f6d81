//! A router, in whichever of three languages it speaks: PCP (RFC 6887), NAT-PMP (RFC 6886), UPnP IGD.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::Duration;

use crab_nat::{InternetProtocol, PortMapping, PortMappingOptions, PortMappingType, TimeoutConfig, natpmp, pcp};
use igd_next::aio::Gateway;
use igd_next::aio::tokio::{Tokio, search_gateway};
use igd_next::{
    AddPortError, GetExternalIpError, GetGenericPortMappingEntryError, PortMappingProtocol, RequestError, SearchError,
    SearchOptions,
};
use thiserror::Error;

use super::place::Place;
use super::port::{Port, Protocol};

/// For how long a router is asked to let a port in, in seconds. If nobody can take it back, it ends by itself.
const LIFETIME: u32 = 1200;
/// What a router shows for a mapping by UPnP.
const DESCRIPTION: &str = "lanturn";
/// How long to wait for a router on the same network: 0.25 s, and then twice as long each time.
const PATIENCE: TimeoutConfig =
    TimeoutConfig { initial_timeout: Duration::from_millis(250), max_retries: 3, max_retry_timeout: None };
/// How long to search for one that speaks UPnP.
const SEARCH: Duration = Duration::from_secs(4);

/// A router that has answered.
#[derive(Clone, Debug)]
pub(super) enum Router {
    Pcp { place: Place, nonce: pcp::Nonce },
    NatPmp { place: Place },
    Upnp { place: Place, gateway: Box<Gateway<Tokio>> },
}

/// What a router has granted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Granted {
    /// For how long.
    pub(super) lifetime: Duration,
    /// The seconds that the router has kept its mappings for, if it tells.
    pub(super) epoch: Option<u32>,
    /// Its address outside, if it tells with each mapping.
    outer: Option<Ipv4Addr>,
}

/// Why a router does not let a port in.
#[derive(Debug, Error)]
pub(super) enum Refusal {
    /// Nothing answers in that language.
    #[error("no answer")]
    Silent,
    /// It would let in another port in its place.
    #[error("that port is taken")]
    Taken,
    /// It says no.
    #[error("{0}")]
    Refused(String),
}

impl Refusal {
    /// The outcome, as it is counted.
    pub(super) fn name(&self) -> &'static str {
        match self {
            Self::Silent => "silent",
            Self::Taken => "taken",
            Self::Refused(_) => "refused",
        }
    }
}

impl Router {
    /// Finds out which language the router speaks, by having it let in `port`. One that has the port for somebody else
    /// has answered, too. `nonce` tells our mappings from others' in PCP.
    ///
    /// # Errors
    /// What the router said, or [`Refusal::Silent`].
    pub(super) async fn find(place: Place, nonce: pcp::Nonce, port: Port) -> Result<Self, Refusal> {
        let mut said = Refusal::Silent;
        for router in [Self::Pcp { place, nonce }, Self::NatPmp { place }] {
            match router.map(port).await {
                Ok(_) | Err(Refusal::Taken) => return Ok(router),
                Err(Refusal::Silent) => {}
                Err(refusal) => said = refusal,
            }
        }
        let mut options = SearchOptions::default();
        options.bind_addr = SocketAddr::new(place.inner.into(), 0);
        options.timeout = Some(SEARCH);
        match search_gateway(options).await {
            Ok(gateway) if !place.is_gateway(gateway.addr.ip()) => {
                tracing::info!(
                    "{} answers as a UPnP router and is not the default gateway: not asked",
                    gateway.addr.ip()
                );
                Err(said)
            }
            Ok(gateway) => Ok(Self::Upnp { place, gateway: Box::new(gateway) }),
            Err(SearchError::NoResponseWithinTimeout | SearchError::IoError(_)) => Err(said),
            Err(error) => Err(Refusal::Refused(error.to_string())),
        }
    }

    /// Has it let in a port, under the same number, for another while.
    ///
    /// # Errors
    /// [`Refusal`]
    pub(super) async fn map(&self, port: Port) -> Result<Granted, Refusal> {
        match self {
            Self::Pcp { place, nonce } => {
                let asked = pcp::port_mapping(request(*place, port), Some(*nonce), None, options(port)).await;
                self.checked(port, asked.map_err(of_pcp)?).await
            }
            Self::NatPmp { place } => {
                let gateway = place.gateway.into();
                let asked = natpmp::port_mapping(gateway, protocol(port), port.number, options(port)).await;
                self.checked(port, asked.map_err(of_natpmp)?).await
            }
            Self::Upnp { place, gateway } => {
                let inner = SocketAddr::new(place.inner.into(), port.number.get());
                let ask = async |lifetime| {
                    gateway.add_port(upnp(port), port.number.get(), inner, lifetime, DESCRIPTION).await
                };
                match ask(LIFETIME).await {
                    Err(AddPortError::OnlyPermanentLeasesSupported) => ask(0).await,
                    asked => asked,
                }
                .map_err(of_upnp)?;
                Ok(Granted { lifetime: Duration::from_secs(LIFETIME.into()), epoch: None, outer: None })
            }
        }
    }

    /// Whether it says that it has fewer mappings than `held`, of anybody. By UPnP that is all there is to see of a router
    /// that has restarted; the other languages tell with each mapping.
    pub(super) async fn has_fewer_than(&self, held: usize) -> bool {
        let (Self::Upnp { gateway, .. }, Some(last)) = (self, held.checked_sub(1)) else { return false };
        let entry = gateway.get_generic_port_mapping_entry(last as u32).await;
        matches!(entry, Err(GetGenericPortMappingEntryError::SpecifiedArrayIndexInvalid))
    }

    /// Has it let in a port no longer.
    ///
    /// # Errors
    /// What it said.
    pub(super) async fn unmap(&self, port: Port) -> Result<(), Refusal> {
        match self {
            Self::Pcp { place, nonce } => {
                let one = pcp::DropMappingRange::Single { protocol: protocol(port), internal_port: port.number };
                let (gateway, inner) = (place.gateway.into(), place.inner.into());
                pcp::try_drop_mapping(gateway, inner, *nonce, one, Some(PATIENCE)).await.map_err(of_pcp)
            }
            Self::NatPmp { place } => {
                let (gateway, number) = (place.gateway.into(), Some(port.number));
                natpmp::try_drop_mapping(gateway, protocol(port), number, Some(PATIENCE)).await.map_err(of_natpmp)
            }
            Self::Upnp { gateway, .. } => {
                let removed = gateway.remove_port(upnp(port), port.number.get()).await;
                removed.map_err(|error| Refusal::Refused(error.to_string()))
            }
        }
    }

    /// Its address outside, once it has granted something.
    ///
    /// # Errors
    /// What it said.
    pub(super) async fn outer(&self, granted: Granted) -> Result<Ipv4Addr, Refusal> {
        if let Some(outer) = granted.outer {
            return Ok(outer);
        }
        match self {
            Self::Pcp { .. } => Err(Refusal::Refused("it has no IPv4 address".into())),
            Self::NatPmp { place } => {
                natpmp::external_address(place.gateway.into(), Some(PATIENCE)).await.map_err(of_natpmp)
            }
            Self::Upnp { gateway, .. } => match gateway.get_external_ip().await {
                Ok(IpAddr::V4(outer)) => Ok(outer),
                Ok(IpAddr::V6(_)) => Err(Refusal::Refused("it has no IPv4 address".into())),
                Err(GetExternalIpError::RequestError(RequestError::IoError(_))) => Err(Refusal::Silent),
                Err(error) => Err(Refusal::Refused(error.to_string())),
            },
        }
    }

    /// A router may let in another port in place of one that is taken: that is of no use, and given back.
    async fn checked(&self, port: Port, mapping: PortMapping) -> Result<Granted, Refusal> {
        if mapping.external_port() != port.number {
            // If that does not arrive, it ends by itself.
            let _ = self.unmap(port).await;
            return Err(Refusal::Taken);
        }
        let outer = match mapping.mapping_type() {
            PortMappingType::Pcp { external_ip, .. } => match external_ip.to_canonical() {
                IpAddr::V4(outer) => Some(outer),
                IpAddr::V6(_) => None,
            },
            PortMappingType::NatPmp => None,
        };
        let lifetime = Duration::from_secs(mapping.lifetime().into());
        Ok(Granted { lifetime, epoch: Some(mapping.gateway_epoch()), outer })
    }

    /// The language.
    pub(super) fn language(&self) -> &'static str {
        match self {
            Self::Pcp { .. } => "PCP",
            Self::NatPmp { .. } => "NAT-PMP",
            Self::Upnp { .. } => "UPnP",
        }
    }
}

impl fmt::Display for Router {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Pcp { place, .. } | Self::NatPmp { place } => write!(f, "{} ({})", place.gateway, self.language()),
            Self::Upnp { gateway, .. } => write!(f, "{} ({})", gateway.addr.ip(), self.language()),
        }
    }
}

fn request(place: Place, port: Port) -> pcp::BaseMapRequest {
    pcp::BaseMapRequest::new(place.gateway.into(), place.inner.into(), protocol(port), port.number)
}

fn options(port: Port) -> PortMappingOptions {
    PortMappingOptions {
        external_port: Some(port.number),
        lifetime_seconds: Some(LIFETIME),
        timeout_config: Some(PATIENCE),
    }
}

fn protocol(port: Port) -> InternetProtocol {
    match port.protocol {
        Protocol::Udp => InternetProtocol::Udp,
        Protocol::Tcp => InternetProtocol::Tcp,
    }
}

fn upnp(port: Port) -> PortMappingProtocol {
    match port.protocol {
        Protocol::Udp => PortMappingProtocol::UDP,
        Protocol::Tcp => PortMappingProtocol::TCP,
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it said is told as it said it")]
fn of_pcp(failure: pcp::Failure) -> Refusal {
    match failure {
        // Where nothing listens, the system says so by an error of the socket.
        pcp::Failure::Socket(_) | pcp::Failure::Timeout | pcp::Failure::UnsupportedVersion(_) => Refusal::Silent,
        other => Refusal::Refused(other.to_string()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it said is told as it said it")]
fn of_natpmp(failure: natpmp::Failure) -> Refusal {
    match failure {
        natpmp::Failure::Socket(_) | natpmp::Failure::Timeout | natpmp::Failure::UnsupportedVersion(_) => {
            Refusal::Silent
        }
        other => Refusal::Refused(other.to_string()),
    }
}

#[expect(clippy::wildcard_enum_match_arm, reason = "whatever else it said is told as it said it")]
fn of_upnp(error: AddPortError) -> Refusal {
    match error {
        AddPortError::PortInUse => Refusal::Taken,
        AddPortError::RequestError(RequestError::IoError(_) | RequestError::HyperClientError(_)) => Refusal::Silent,
        other => Refusal::Refused(other.to_string()),
    }
}
