use std::net::IpAddr;
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PeerRule {
    Public,
    Lan,
    Private,
    Net(ipnet::IpNet),
}
impl PeerRule {
    pub fn matches(&self, ip: IpAddr) -> bool {
        match self {
            Self::Public => true,
            Self::Lan => matches!(ip, IpAddr::V4(v4) if v4.is_private()),
            Self::Private => matches!(ip, IpAddr::V4(v4) if v4.is_private()),
            Self::Net(n) => n.contains(&ip),
        }
    }
}
