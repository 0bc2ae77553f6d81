//! From [`Config`] to [`Settings`]: each key checked once.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::net::IpAddr;
use std::time::Duration;

use super::acme;
use super::error::ConfigError;
use super::layers::Origin;
use super::parse::{self, Wrong};
use super::schema::{
    Config, CredentialsTable, LimitsTable, ListenTable, OutsideTable, QuotaTable, RelayTable, RoomsTable, TlsTable,
};
use super::settings::{Credentials, Limits, Listen, Outside, Quota, Relay, Roles, Rooms, Settings, Tls, User};

const SECOND: Duration = Duration::from_secs(1);
const MAX_TTL: Duration = Duration::from_secs(30 * 24 * 3600);
const MAX_HELLO: Duration = Duration::from_secs(300);
const MAX_RESUME: Duration = Duration::from_secs(300);
const MAX_SHARDS: u32 = 256;
/// A router has room for so many, and each is asked for by itself.
const MAX_MAPPED: u32 = 1024;
const MAX_STUN: usize = 8;

/// Checks every value.
///
/// # Errors
/// [`ConfigError::Key`] for the first that is wrong.
pub(super) fn settings(config: &Config, origin: &Origin) -> Result<Settings, ConfigError> {
    let keys = Keys { origin };
    Ok(Settings {
        listen: keys.listen(&config.listen)?,
        relay: keys.relay(&config.relay)?,
        outside: keys.outside(&config.outside)?,
        credentials: keys.credentials(&config.credentials)?,
        limits: keys.limits(&config.limits)?,
        rooms: keys.rooms(&config.rooms)?,
        tls: keys.tls(&config.tls)?,
    })
}

/// Puts place and key to what is wrong with a value.
pub(super) struct Keys<'a> {
    origin: &'a Origin,
}

impl Keys<'_> {
    pub(super) fn at<T>(&self, key: &str, result: Result<T, Wrong>) -> Result<T, ConfigError> {
        result.map_err(|(wrong, right)| self.origin.error(key, wrong, right))
    }

    pub(super) fn list<T>(
        &self,
        key: &str,
        items: &[String],
        parse: fn(&str) -> Result<T, Wrong>,
    ) -> Result<Vec<T>, ConfigError> {
        items.iter().map(|item| self.at(key, parse(item))).collect()
    }

    fn listen(&self, table: &ListenTable) -> Result<Listen, ConfigError> {
        let key = "listen.addresses";
        let addresses = self.list(key, &table.addresses, parse::socket_address)?;
        if addresses.is_empty() {
            return Err(self.origin.error(key, "is empty", "at least one address, such as [::]:3478"));
        }
        let mut seen = HashSet::new();
        if let Some(twice) = addresses.iter().find(|address| address.port() != 0 && !seen.insert(**address)) {
            return Err(self.origin.error(key, format!("`{twice}` is there twice"), "each address once"));
        }
        let shards = self.at("listen.shards", parse::number(table.shards, 0..=MAX_SHARDS))? as usize;
        let cores = || std::thread::available_parallelism().map_or(1, usize::from).min(MAX_SHARDS as usize);
        let proxies = self.list("listen.proxies", &table.proxies, parse::proxy)?;
        let behavior = self.at("listen.behavior_discovery", parse::behavior(&table.behavior_discovery))?;
        let name = self.at("listen.name", parse::label(&table.name))?;
        let shards = if shards == 0 { cores() } else { shards };
        Ok(Listen { addresses, shards, proxies, behavior, name, self_test: table.self_test })
    }

    fn relay(&self, table: &RelayTable) -> Result<Relay, ConfigError> {
        let alternate = self.list("relay.alternate", &table.alternate, parse::socket_address)?;
        if let Some(odd) = alternate.iter().find(|address| address.port() == 0 || address.ip().is_unspecified()) {
            let wrong = format!("`{odd}` is nowhere that a client could go");
            return Err(self.origin.error("relay.alternate", wrong, "an address and port, such as 203.0.113.9:3478"));
        }
        let domain = Some(&table.alternate_domain).filter(|domain| !domain.is_empty());
        let domain = domain.map(|domain| self.at("relay.alternate_domain", parse::host(domain))).transpose()?;
        if domain.is_some() && alternate.is_empty() {
            let wrong = "names a server that has no address";
            return Err(self.origin.error("relay.alternate_domain", wrong, "its address in relay.alternate as well"));
        }
        Ok(Relay {
            realm: self.at("relay.realm", parse::realm(&table.realm))?,
            addresses: self.list("relay.addresses", &table.addresses, parse::unicast)?,
            external: self.external(&table.external)?,
            ports: self.at("relay.ports", parse::ports(&table.ports))?,
            alternate,
            alternate_domain: domain,
            allow: self.list("relay.allow", &table.allow, parse::peer_rule)?,
            deny: self.list("relay.deny", &table.deny, parse::peer_rule)?,
            allow_loopback: table.allow_loopback,
            icmp: table.icmp,
        })
    }

    fn outside(&self, table: &OutsideTable) -> Result<Outside, ConfigError> {
        let key = "outside.stun";
        let stun = self.list(key, &table.stun, parse::stun_server)?;
        if stun.len() > MAX_STUN {
            let wrong = format!("names {} servers", stun.len());
            return Err(self.origin.error(
                key,
                wrong,
                format!("up to {MAX_STUN}, of which one that answers is enough"),
            ));
        }
        let relay_ports = self.at("outside.relay_ports", parse::number(table.relay_ports, 0..=MAX_MAPPED))? as u16;
        Ok(Outside { stun, router: table.router, relay_ports })
    }

    /// Two allocations with the same port could not be told apart from outside if their addresses were one there.
    fn external(&self, table: &BTreeMap<String, String>) -> Result<HashMap<IpAddr, IpAddr>, ConfigError> {
        let key = "relay.external";
        let pair = |(from, to): (&String, &String)| self.at(key, parse::external(from, to));
        let pairs = table.iter().map(pair).collect::<Result<HashMap<_, _>, _>>()?;
        let mut seen = HashSet::new();
        match pairs.values().find(|outer| !seen.insert(**outer)) {
            Some(twice) => Err(self.origin.error(key, format!("`{twice}` stands for two addresses"), "one for each")),
            None => Ok(pairs),
        }
    }

    fn credentials(&self, table: &CredentialsTable) -> Result<Credentials, ConfigError> {
        let mut names = HashSet::new();
        let mut users = Vec::new();
        for (index, user) in table.users.iter().enumerate() {
            let key = format!("credentials.users[{index}]");
            let name = self.at(&format!("{key}.name"), parse::user_name(&user.name))?;
            let password_file = self.at(&format!("{key}.password_file"), parse::path(&user.password_file))?;
            if !names.insert(name.clone()) {
                return Err(self.origin.error(&key, format!("`{name}` is there twice"), "another name for each user"));
            }
            users.push(User { name, password_file });
        }
        Ok(Credentials {
            secret_file: self.at("credentials.secret_file", parse::path(&table.secret_file))?,
            keys_file: self.at("credentials.keys_file", parse::path(&table.keys_file))?,
            token_keys_file: Some(&table.token_keys_file).filter(|file| !file.is_empty()).map(Into::into),
            ttl: self.at("credentials.ttl", parse::duration(&table.ttl, SECOND..=MAX_TTL))?,
            users,
        })
    }

    fn limits(&self, table: &LimitsTable) -> Result<Limits, ConfigError> {
        let some = |key: &str, value| self.at(&format!("limits.{key}"), parse::number(value, 1..=u32::MAX));
        Ok(Limits {
            user: self.quota("user", &table.user)?,
            prefix: self.quota("prefix", &table.prefix)?,
            total: self.quota("total", &table.total)?,
            unauthorized_rate: some("unauthorized_rate", table.unauthorized_rate)?,
            credential_rate: some("credential_rate", table.credential_rate)?,
            half_open: some("half_open", table.half_open)?,
            half_open_per_prefix: some("half_open_per_prefix", table.half_open_per_prefix)?,
            connections: some("connections", table.connections)?,
            connections_per_prefix: some("connections_per_prefix", table.connections_per_prefix)?,
        })
    }

    fn quota(&self, whose: &str, table: &QuotaTable) -> Result<Quota, ConfigError> {
        let some = |key: &str, value| self.at(&format!("limits.{whose}.{key}"), parse::number(value, 1..=u32::MAX));
        Ok(Quota {
            allocations: some("allocations", table.allocations)?,
            permissions: some("permissions", table.permissions)?,
            channels: some("channels", table.channels)?,
            bandwidth: table.bandwidth,
        })
    }

    fn rooms(&self, table: &RoomsTable) -> Result<Rooms, ConfigError> {
        let number = |key: &str, value, range| self.at(&format!("rooms.{key}"), parse::number(value, range));
        let deadline = parse::duration(&table.hello_deadline, SECOND..=MAX_HELLO);
        let window = parse::duration(&table.resume_window, Duration::ZERO..=MAX_RESUME);
        Ok(Rooms {
            capacity: number("capacity", table.capacity, 2..=1000)?,
            roles: Roles {
                presenter: number("roles.presenter", table.roles.presenter, 0..=1000)?,
                member: number("roles.member", table.roles.member, 0..=1000)?,
                viewer: number("roles.viewer", table.roles.viewer, 0..=1000)?,
            },
            subscribers: number("subscribers", table.subscribers, 1..=u32::MAX)?,
            max_rooms: number("max_rooms", table.max_rooms, 1..=u32::MAX)?,
            max_rooms_per_prefix: number("max_rooms_per_prefix", table.max_rooms_per_prefix, 1..=u32::MAX)?,
            message_bytes: number("message_bytes", table.message_bytes, 4096..=1024 * 1024)?,
            message_rate: number("message_rate", table.message_rate, 1..=u32::MAX)?,
            join_rate: number("join_rate", table.join_rate, 1..=u32::MAX)?,
            hello_deadline: self.at("rooms.hello_deadline", deadline)?,
            resume_window: self.at("rooms.resume_window", window)?,
            origins: self.list("rooms.origins", &table.origins, parse::origin)?,
            hosts: self.list("rooms.hosts", &table.hosts, parse::host)?,
        })
    }

    fn tls(&self, table: &TlsTable) -> Result<Tls, ConfigError> {
        Ok(Tls {
            dir: self.at("tls.dir", parse::path(&table.dir))?,
            names: self.list("tls.names", &table.names, parse::host)?,
            acme: acme::acme(self, &table.acme)?,
        })
    }
}
