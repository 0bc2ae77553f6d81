//! The configuration as written. It has no defaults of its own: those are in `config.toml`, which is built in.

use std::collections::BTreeMap;

use serde::Deserialize;

/// Everything that can be configured, a field a table. See `config.toml` for what each key means.
#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub struct Config {
    pub(crate) listen: ListenTable,
    pub(crate) relay: RelayTable,
    pub(crate) outside: OutsideTable,
    pub(crate) credentials: CredentialsTable,
    pub(crate) limits: LimitsTable,
    pub(crate) rooms: RoomsTable,
    pub(crate) tls: TlsTable,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct ListenTable {
    pub(crate) addresses: Vec<String>,
    pub(crate) shards: u32,
    pub(crate) proxies: Vec<String>,
    pub(crate) behavior_discovery: Vec<String>,
    pub(crate) name: String,
    pub(crate) self_test: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct RelayTable {
    pub(crate) realm: String,
    pub(crate) addresses: Vec<String>,
    pub(crate) external: BTreeMap<String, String>,
    pub(crate) ports: String,
    pub(crate) alternate: Vec<String>,
    pub(crate) alternate_domain: String,
    pub(crate) allow: Vec<String>,
    pub(crate) deny: Vec<String>,
    pub(crate) icmp: bool,
    pub(crate) allow_loopback: bool,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct OutsideTable {
    pub(crate) stun: Vec<String>,
    pub(crate) router: bool,
    pub(crate) relay_ports: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct CredentialsTable {
    pub(crate) secret_file: String,
    pub(crate) keys_file: String,
    pub(crate) token_keys_file: String,
    pub(crate) ttl: String,
    pub(crate) users: Vec<UserTable>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct UserTable {
    pub(crate) name: String,
    pub(crate) password_file: String,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct LimitsTable {
    pub(crate) unauthorized_rate: u32,
    pub(crate) credential_rate: u32,
    pub(crate) half_open: u32,
    pub(crate) half_open_per_prefix: u32,
    pub(crate) connections: u32,
    pub(crate) connections_per_prefix: u32,
    pub(crate) user: QuotaTable,
    pub(crate) prefix: QuotaTable,
    pub(crate) total: QuotaTable,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct QuotaTable {
    pub(crate) allocations: u32,
    pub(crate) permissions: u32,
    pub(crate) channels: u32,
    pub(crate) bandwidth: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct RoomsTable {
    pub(crate) capacity: u32,
    pub(crate) roles: RolesTable,
    pub(crate) subscribers: u32,
    pub(crate) max_rooms: u32,
    pub(crate) max_rooms_per_prefix: u32,
    pub(crate) message_bytes: u32,
    pub(crate) message_rate: u32,
    pub(crate) join_rate: u32,
    pub(crate) hello_deadline: String,
    pub(crate) resume_window: String,
    pub(crate) origins: Vec<String>,
    pub(crate) hosts: Vec<String>,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct RolesTable {
    pub(crate) presenter: u32,
    pub(crate) member: u32,
    pub(crate) viewer: u32,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct TlsTable {
    pub(crate) dir: String,
    pub(crate) names: Vec<String>,
    pub(crate) acme: AcmeTable,
}

#[derive(Clone, Debug, Deserialize, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
pub(crate) struct AcmeTable {
    pub(crate) names: Vec<String>,
    pub(crate) terms_agreed: bool,
    pub(crate) contact: String,
    pub(crate) challenge: String,
    pub(crate) directory: String,
    pub(crate) root_file: String,
    pub(crate) external_id: String,
    pub(crate) external_key_file: String,
}
