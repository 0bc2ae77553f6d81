use std::io::Write as _;

use super::*;
use crate::tls::acme::Kind;
use crate::turn::PeerRule;

fn from_file(text: &str) -> Result<Settings, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("config.toml");
    std::fs::File::create(&path).unwrap().write_all(text.as_bytes()).unwrap();
    let place = format!("{}/", dir.path().display());
    load_from(Some(&path), []).map(|(settings, _)| settings).map_err(|error| error.to_string().replace(&place, ""))
}

fn from_variables(variables: &[(&str, &str)]) -> Result<Settings, String> {
    let variables = variables.iter().map(|(name, value)| (name.into(), value.into()));
    load_from(None, variables).map(|(settings, _)| settings).map_err(|error| error.to_string())
}

fn defaults() -> Settings {
    from_variables(&[]).unwrap()
}

/// Every table of the sample, as a path of keys.
fn tables(table: &toml::Table, path: &str, found: &mut Vec<String>) {
    found.push(path.to_owned());
    for (key, value) in table {
        if let Some(inner) = value.as_table().filter(|_| key != "external") {
            tables(inner, format!("{path}.{key}").trim_start_matches('.'), found);
        }
    }
}

#[test]
fn the_defaults_are_those_promised() {
    let settings = defaults();
    assert_eq!(settings.listen.addresses, ["[::]:3478".parse().unwrap()]);
    assert!(settings.listen.shards >= 1 && settings.listen.proxies.is_empty());
    assert_eq!(settings.listen.name.as_deref(), Some("lanturn"));
    assert_eq!((settings.relay.realm.as_str(), settings.relay.ports), ("lanturn", 49152..=65535));
    assert_eq!(settings.relay.allow, [PeerRule::Public, PeerRule::Lan]);
    assert!(!settings.relay.allow_loopback);
    assert!(settings.outside.stun.is_empty() && !settings.outside.router, "nobody is asked");
    assert_eq!(settings.credentials.ttl.as_secs(), 3600);
    assert_eq!(settings.limits.user.allocations, 100);
    assert_eq!(settings.rooms.hello_deadline.as_secs(), 10);
    assert_eq!((settings.tls.dir.as_path(), settings.tls.acme), (Path::new("certs"), None));
}

#[test]
fn the_sample_is_the_defaults() {
    assert_eq!(from_file(SAMPLE).unwrap(), defaults());
    assert_eq!(from_file("").unwrap(), defaults());
}

#[test]
fn the_sample_names_every_key_with_prose_above() {
    let mut sample: toml::Table = SAMPLE.parse().unwrap();
    let without = |sample: &toml::Table| toml::from_str::<Config>(&sample.to_string()).unwrap_err().to_string();
    for section in sample.clone().keys() {
        for key in sample[section].as_table().unwrap().clone().keys() {
            let value = sample[section].as_table_mut().unwrap().remove(key).unwrap();
            assert!(without(&sample).contains(&format!("missing field `{key}`")), "{section}.{key}");
            sample[section].as_table_mut().unwrap().insert(key.clone(), value);
        }
    }
    let lines: Vec<&str> = SAMPLE.lines().collect();
    for pair in lines.windows(2).filter(|pair| pair[1].contains('=') && !pair[1].starts_with('#')) {
        let grouped = pair[0].starts_with("[limits.") || pair[0].contains('=');
        assert!(pair[0].starts_with('#') || grouped, "no prose above {}", pair[1]);
    }
}

#[test]
fn a_junk_key_is_refused_in_every_table() {
    let mut found = Vec::new();
    tables(&SAMPLE.parse().unwrap(), "", &mut found);
    assert_eq!(found.len(), 13, "{found:?}");
    for table in found {
        let full = format!("{table}.junk").trim_start_matches('.').to_owned();
        let text = if table.is_empty() { "junk = 1".into() } else { format!("[{table}]\njunk = 1") };
        let error = from_file(&text).unwrap_err();
        assert!(error.starts_with(&format!("config.toml: {full}: unknown key: one of ")), "{error}");
        let variable = format!("LANTURN__{}", full.to_uppercase().replace('.', "__"));
        let error = from_variables(&[(&variable, "1")]).unwrap_err();
        assert!(error.starts_with(&format!("{variable}: {full}: unknown key: one of ")), "{error}");
    }
    let user = "credentials.users = [{ name = 'a', password_file = 'b', password = 'c' }]";
    let error = "config.toml: credentials.users[0].password: unknown key: one of name, password_file";
    assert_eq!(from_file(user).unwrap_err(), error);
}

#[test]
fn a_slip_in_a_key_gets_a_suggestion() {
    let error = from_file("[relay]\nportz = '1-2'").unwrap_err();
    let all = "addresses, allow, allow_loopback, alternate, alternate_domain, deny, external, icmp, ports, realm";
    assert_eq!(error, format!("config.toml: relay.portz: unknown key: did you mean ports? It is one of {all}"));
}

#[test]
fn each_wrong_value_says_what_would_be_right() {
    for (text, error) in [
        ("listen.addresses = []", "listen.addresses: is empty: at least one address, such as [::]:3478"),
        (
            "listen.addresses = ['3478']",
            "listen.addresses: `3478` is no socket address: an address and a port, such as [::]:3478 or 192.168.1.5:443",
        ),
        ("listen.addresses = ['[::]:1', '[::]:1']", "listen.addresses: `[::]:1` is there twice: each address once"),
        ("listen.addresses = 5", "listen.addresses: is 5: a list, such as [\"a\", \"b\"]"),
        (
            "listen.behavior_discovery = ['203.0.113.5']",
            "listen.behavior_discovery: `203.0.113.5` is no socket address: an address and a port, such as [::]:3478 or 192.168.1.5:443",
        ),
        (
            "listen.behavior_discovery = ['203.0.113.5:3478']",
            "listen.behavior_discovery: has 1 addresses: two addresses of this machine with another port each, such as 203.0.113.5:3478 and 203.0.113.6:3479, or none",
        ),
        (
            "listen.behavior_discovery = ['[::]:3478', '203.0.113.6:3479']",
            "listen.behavior_discovery: `[::]:3478` is no single address and port: two addresses of this machine with another port each, such as 203.0.113.5:3478 and 203.0.113.6:3479, or none",
        ),
        (
            "listen.behavior_discovery = ['203.0.113.5:3478', '[2001:db8::6]:3479']",
            "listen.behavior_discovery: has an IPv4 and an IPv6 address: two addresses of this machine with another port each, such as 203.0.113.5:3478 and 203.0.113.6:3479, or none",
        ),
        (
            "listen.behavior_discovery = ['203.0.113.5:3478', '[::ffff:203.0.113.5]:3479']",
            "listen.behavior_discovery: has `203.0.113.5` twice: two addresses of this machine with another port each, such as 203.0.113.5:3478 and 203.0.113.6:3479, or none",
        ),
        (
            "listen.behavior_discovery = ['203.0.113.5:3478', '203.0.113.6:3478']",
            "listen.behavior_discovery: has port 3478 twice: two addresses of this machine with another port each, such as 203.0.113.5:3478 and 203.0.113.6:3479, or none",
        ),
        (
            "listen.name = 'lanturn.local'",
            "listen.name: `lanturn.local` is no name for a machine: up to 59 letters, digits and hyphens, such as lanturn, \
             or nothing",
        ),
        ("listen.shards = 257", "listen.shards: 257 is out of range: from 0 to 256"),
        ("listen.shards = -1", "listen.shards: is -1: a whole number from 0 to 4294967295, such as 0"),
        ("listen.shards = 2.5", "listen.shards: is 2.5: a whole number from 0 to 4294967295, such as 0"),
        ("listen.shards = true", "listen.shards: is true: a whole number from 0 to 4294967295, such as 0"),
        ("listen.addresses = [3478]", "listen.addresses: holds 3478: text in quotes"),
        (
            "listen.proxies = ['caddy']",
            "listen.proxies: `caddy` is no address and no network: the address of a proxy or a network of proxies, such \
             as 192.168.1.2 or 172.16.0.0/12",
        ),
        (
            "listen.proxies = ['172.16.0.1/12']",
            "listen.proxies: `172.16.0.1/12` has bits set beyond the prefix: 172.16.0.0/12, or another prefix length",
        ),
        (
            "listen.proxies = ['::/0']",
            "listen.proxies: `::/0` is everybody, who could then pass for anybody: the address of a proxy or a network \
             of proxies, such as 192.168.1.2 or 172.16.0.0/12",
        ),
        (
            "listen.proxies = ['::ffff:10.0.0.0/104']",
            "listen.proxies: `::ffff:10.0.0.0/104` is IPv4 written as IPv6: such as 172.16.0.0/12",
        ),
        ("relay.realm = 123", "relay.realm: is 123: text in quotes"),
        ("relay.external = { a = 1 }", "relay.external: holds 1: text in quotes"),
        ("credentials.users = 'a'", "credentials.users: is \"a\": a list, such as [\"a\", \"b\"]"),
        (
            "credentials.users = [{ name = 1, password_file = 'p' }]",
            "credentials.users[0].name: holds 1: text in quotes",
        ),
        ("listen = 1", "listen: is a value: a table, written [listen]"),
        (
            "relay.alternate = ['0.0.0.0:3478']",
            "relay.alternate: `0.0.0.0:3478` is nowhere that a client could go: an address and port, such as 203.0.113.9:3478",
        ),
        (
            "relay.alternate_domain = 'turn2.example.org'",
            "relay.alternate_domain: names a server that has no address: its address in relay.alternate as well",
        ),
        (
            "relay.realm = ''",
            "relay.realm: `` is no realm: 1 to 127 characters without quotes or backslashes, such as lanturn",
        ),
        (
            "relay.addresses = ['0.0.0.0']",
            "relay.addresses: `0.0.0.0` is not the address of one machine: an address of a network card, such as \
             192.168.1.5 or fd00::5",
        ),
        (
            "relay.external = { '10.0.0.1' = '203.0.113.7', '10.0.0.2' = '203.0.113.7' }",
            "relay.external: `203.0.113.7` stands for two addresses: one for each",
        ),
        (
            "relay.external = { '10.0.0.1' = 'fd00::1' }",
            "relay.external: `10.0.0.1` and `fd00::1` are of two families: both IPv4 or both IPv6",
        ),
        (
            "relay.ports = '0-9'",
            "relay.ports: `0-9` is no range of ports: first and last port, from 1 to 65535, such as 49152-65535",
        ),
        ("relay.ports = '9-8'", "relay.ports: `9-8` ends before it begins: 8-9"),
        (
            "outside.stun = ['stun.example.org:0']",
            "outside.stun: `stun.example.org:0` is no STUN server: a name or an IPv4 address, and a port, such as \
             stun.example.org:3478",
        ),
        (
            "outside.stun = ['[2001:db8::1]:3478']",
            "outside.stun: `[2001:db8::1]:3478` is no STUN server: a name or an IPv4 address, and a port, such as \
             stun.example.org:3478",
        ),
        (
            "outside.stun = ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i']",
            "outside.stun: names 9 servers: up to 8, of which one that answers is enough",
        ),
        ("outside.router = 'upnp'", "outside.router: is \"upnp\": true or false"),
        ("outside.relay_ports = 1025", "outside.relay_ports: 1025 is out of range: from 0 to 1024"),
        (
            "relay.allow = ['world']",
            "relay.allow: `world` names no peers: one of public, lan, private, or a network such as 192.168.1.0/24",
        ),
        (
            "relay.deny = ['10.0.0.1/8']",
            "relay.deny: `10.0.0.1/8` has bits set beyond the prefix: 10.0.0.0/8, or another prefix length",
        ),
        ("relay.allow_loopback = 'maybe'", "relay.allow_loopback: is \"maybe\": true or false"),
        (
            "credentials.ttl = '1'",
            "credentials.ttl: `1` is no length of time: a number with a unit, from 1s to 30days, such as 10s, 5min or 1h",
        ),
        (
            "credentials.ttl = '31d'",
            "credentials.ttl: `31d` is out of range: a number with a unit, from 1s to 30days, such as 10s, 5min or 1h",
        ),
        ("credentials.keys_file = ''", "credentials.keys_file: is empty: the name of a file or directory"),
        (
            "credentials.users = [{ name = 'a' }]",
            "credentials.users[0]: has no password_file: { name = \"camera\", password_file = \"certs/camera.password\" }",
        ),
        (
            "credentials.users = [{ name = 'a:b', password_file = 'p' }]",
            "credentials.users[0].name: `a:b` is no user name: 1 to 256 characters without a colon, such as camera",
        ),
        (
            "credentials.users = [{ name = 'a', password_file = 'p' }, { name = 'a', password_file = 'q' }]",
            "credentials.users[1]: `a` is there twice: another name for each user",
        ),
        ("limits.half_open = 0", "limits.half_open: 0 is out of range: 1 or more"),
        ("limits.user.allocations = 0", "limits.user.allocations: 0 is out of range: 1 or more"),
        ("rooms.capacity = 1", "rooms.capacity: 1 is out of range: from 2 to 1000"),
        ("rooms.roles.viewer = 2000", "rooms.roles.viewer: 2000 is out of range: from 0 to 1000"),
        (
            "rooms.resume_window = '1h'",
            "rooms.resume_window: `1h` is out of range: a number with a unit, from 0s to 5m, such as 10s, 5min or 1h",
        ),
        ("rooms.message_bytes = 10", "rooms.message_bytes: 10 is out of range: from 4096 to 1048576"),
        (
            "rooms.hello_deadline = '0s'",
            "rooms.hello_deadline: `0s` is out of range: a number with a unit, from 1s to 5m, such as 10s, 5min or 1h",
        ),
        (
            "rooms.origins = ['https://example.org/page']",
            "rooms.origins: `https://example.org/page` is no origin: scheme and host without a path, such as \
             https://example.org",
        ),
        (
            "rooms.hosts = ['box:80']",
            "rooms.hosts: `box:80` is no host name: a name or an address without a port, such as calls.example.org",
        ),
        (
            "tls.names = ['a b']",
            "tls.names: `a b` is no host name: a name or an address without a port, such as calls.example.org",
        ),
        (
            "tls.acme.names = ['*.example.org']",
            "tls.acme.names: `*.example.org` is no host name: a name that the DNS of the internet knows, such as \
             calls.example.org",
        ),
        (
            "tls.acme.names = ['203.0.113.7']",
            "tls.acme.names: `203.0.113.7` is no name on the internet: a name that the DNS of the internet knows, such as \
             calls.example.org",
        ),
        (
            "tls.acme.names = ['box.local']",
            "tls.acme.names: `box.local` is no name on the internet: a name that the DNS of the internet knows, such as \
             calls.example.org",
        ),
        (
            "tls.acme.names = ['a.example.org', 'A.example.org.']",
            "tls.acme.names: `a.example.org` is there twice: each name once",
        ),
        (
            "tls.acme.names = ['a.example.org']",
            "tls.acme.terms_agreed: is false: true if you agree to the terms of service of \
             https://acme-v02.api.letsencrypt.org/directory, or no tls.acme.names",
        ),
        (
            "tls.acme.contact = 'admin'",
            "tls.acme.contact: `admin` is no e-mail address: one such as admin@example.org, or nothing",
        ),
        (
            "tls.acme.challenge = 'dns-01'",
            "tls.acme.challenge: `dns-01` is no challenge: one of auto, http-01, tls-alpn-01",
        ),
        (
            "tls.acme.directory = 'http://acme.example.org'",
            "tls.acme.directory: `http://acme.example.org` is no URL of a directory: one with https, such as \
             https://acme.example.org/directory",
        ),
        (
            "tls.acme.external_id = 'kid'",
            "tls.acme.external_key_file: is empty: one that belongs to tls.acme.external_id, or neither",
        ),
        (
            "tls.acme.external_key_file = 'key'",
            "tls.acme.external_id: is empty: one that belongs to tls.acme.external_key_file, or neither",
        ),
    ] {
        assert_eq!(from_file(text).unwrap_err(), format!("config.toml: {error}"), "{text}");
    }
}

#[test]
fn a_file_that_is_no_file_or_no_toml_is_refused() {
    let error = load_from(Some(Path::new("/nowhere/lanturn.toml")), []).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/lanturn.toml: cannot be read (No such file"), "{error}");
    let error = from_file("[relay]\nrealm = 0123").unwrap_err();
    assert!(error.starts_with("config.toml: line 2, column 9: "), "{error}");
    assert!(error.ends_with(": TOML, such as realm = \"lanturn\""), "{error}");
}

#[test]
fn the_environment_wins_and_its_values_are_not_guessed_at() {
    let settings = from_variables(&[
        ("LANTURN__LISTEN__ADDRESSES", "127.0.0.1:0, [::1]:0"),
        ("LANTURN__LISTEN__SHARDS", "3"),
        ("LANTURN__LISTEN__PROXIES", "127.0.0.1, ::ffff:10.0.0.2, 172.16.0.0/12"),
        ("LANTURN__RELAY__REALM", "0123"),
        ("LANTURN__RELAY__ADDRESSES", ""),
        ("LANTURN__RELAY__EXTERNAL", "192.168.1.5=203.0.113.7, fd00::5=2001:db8::7"),
        ("LANTURN__RELAY__ALLOW", "10.0.0.0/8"),
        ("LANTURN__OUTSIDE__STUN", "Stun.Example.org, 203.0.113.1:19302"),
        ("LANTURN__RELAY__ALLOW_LOOPBACK", "true"),
        ("LANTURN__LIMITS__USER__BANDWIDTH", "5000"),
        ("LANTURN__CREDENTIALS__TTL", "90s"),
        ("LANTURN_LOG", "not ours"),
    ])
    .unwrap();
    assert_eq!(settings.listen.addresses, ["127.0.0.1:0".parse().unwrap(), "[::1]:0".parse().unwrap()]);
    assert_eq!((settings.listen.shards, settings.relay.realm.as_str()), (3, "0123"));
    let proxies = ["127.0.0.1/32", "10.0.0.2/32", "172.16.0.0/12"].map(|net| net.parse().unwrap());
    assert_eq!(settings.listen.proxies, proxies);
    assert_eq!(settings.relay.external.len(), 2);
    assert_eq!(settings.relay.external[&"192.168.1.5".parse().unwrap()].to_string(), "203.0.113.7");
    assert_eq!(settings.relay.allow, ["10.0.0.0/8".parse().unwrap()]);
    assert_eq!(settings.outside.stun, ["stun.example.org:3478", "203.0.113.1:19302"]);
    assert!(settings.relay.allow_loopback);
    assert_eq!((settings.limits.user.bandwidth, settings.credentials.ttl.as_secs()), (5000, 90));
}

#[test]
fn an_error_in_the_environment_names_the_variable() {
    for (name, value, error) in [
        ("LANTURN__RELAY__PORTS", "many", "relay.ports: `many` is no range of ports: first and last port, from 1 to"),
        ("LANTURN__LISTEN__SHARDS", "many", "listen.shards: is \"many\": a whole number from 0 to"),
        ("LANTURN__RELAY", "1", "relay: is a value: a variable for each key: LANTURN__RELAY__…"),
        ("LANTURN__RELAY__EXTERNAL", "1", "relay.external: `1` is not a pair: 192.168.1.5=203.0.113.7"),
        ("LANTURN__CREDENTIALS__USERS", "a", "credentials.users: cannot be set by a variable: write the users in"),
    ] {
        let found = from_variables(&[(name, value)]).unwrap_err();
        assert!(found.starts_with(&format!("{name}: {error}")), "{found}");
    }
}

#[test]
fn a_public_certificate_is_ordered_only_when_names_are_asked_for_and_the_terms_agreed_to() {
    assert_eq!(from_file("tls.acme.terms_agreed = true\ntls.acme.contact = 'a@example.org'").unwrap().tls.acme, None);
    let text = "tls.acme = { names = ['Calls.example.org'], terms_agreed = true, challenge = 'http-01' }";
    let acme = from_file(text).unwrap().tls.acme.unwrap();
    assert_eq!((acme.names, acme.challenge), (vec!["calls.example.org".into()], Some(Kind::Http01)));
    let lets_encrypt = instant_acme::LetsEncrypt::Production.url();
    assert_eq!((acme.directory.as_str(), acme.contact, acme.root_file), (lets_encrypt, None, None));
}

#[test]
fn a_file_adds_to_the_defaults_and_its_external_addresses_keep_their_dots() {
    let text = "[relay]\nexternal = { '192.168.1.5' = '203.0.113.7' }\n[rooms]\norigins = ['HTTPS://Example.org:443']";
    let settings = from_file(text).unwrap();
    assert_eq!(settings.relay.external[&"192.168.1.5".parse().unwrap()].to_string(), "203.0.113.7");
    assert_eq!(settings.rooms.origins, ["https://example.org"]);
    assert_eq!(settings.rooms.capacity, defaults().rooms.capacity);
}
