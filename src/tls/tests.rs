use std::fs;
use std::io::{Read as _, Write as _};
use std::path::Path;

use rustls::pki_types::ServerName;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConnection};
use time::Duration;

use super::*;

pub(super) fn options(dir: &Path) -> Options {
    Options {
        dir: dir.join("certs"),
        names: vec!["calls.example.org".into(), "198.51.100.7".into()],
        addresses: vec!["192.168.1.5".parse().unwrap(), "fd00::5".parse().unwrap()],
        hostname: "Box".into(),
    }
}

fn file(options: &Options, name: &str) -> String {
    fs::read_to_string(options.dir.join(name)).unwrap()
}

pub(super) fn pem(identity: &Identity) -> String {
    identity.ca.as_ref().unwrap().pem.clone()
}

/// A whole handshake in memory. Gives the ALPN id agreed on.
pub(super) fn handshake(
    ca_pem: &str,
    name: &str,
    alpn: &[&[u8]],
    server: &Arc<ServerConfig>,
) -> Result<Option<Vec<u8>>, String> {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(ca_pem.as_bytes()).unwrap()).unwrap();
    let mut config = ClientConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots)
        .with_no_client_auth();
    config.alpn_protocols = alpn.iter().map(|id| id.to_vec()).collect();
    let name = ServerName::try_from(name.to_owned()).unwrap();
    let mut client = ClientConnection::new(Arc::new(config), name).unwrap();
    let mut server = ServerConnection::new(Arc::clone(server)).unwrap();
    client.writer().write_all(b"hello").unwrap();
    let mut wire = Vec::new();
    while client.is_handshaking() || server.is_handshaking() {
        wire.clear();
        client.write_tls(&mut wire).unwrap();
        server.read_tls(&mut wire.as_slice()).unwrap();
        server.process_new_packets().map_err(|error| error.to_string())?;
        wire.clear();
        server.write_tls(&mut wire).unwrap();
        client.read_tls(&mut wire.as_slice()).unwrap();
        client.process_new_packets().map_err(|error| error.to_string())?;
    }
    wire.clear();
    client.write_tls(&mut wire).unwrap();
    server.read_tls(&mut wire.as_slice()).unwrap();
    server.process_new_packets().unwrap();
    let mut heard = [0; 5];
    server.reader().read_exact(&mut heard).unwrap();
    assert_eq!(&heard, b"hello");
    Ok(server.alpn_protocol().map(<[u8]>::to_vec))
}

#[test]
fn a_device_that_trusts_the_authority_connects_by_every_name_and_address() {
    let dir = tempfile::tempdir().unwrap();
    let identity = load(&options(dir.path())).unwrap();
    let (ca, configs) = (pem(&identity), identity.server_configs().unwrap());
    for name in
        ["192.168.1.5", "fd00::5", "127.0.0.1", "::1", "localhost", "box.local", "calls.example.org", "198.51.100.7"]
    {
        assert_eq!(handshake(&ca, name, &[], &configs.bare), Ok(None), "{name}");
    }
    assert!(handshake(&ca, "192.168.1.6", &[], &configs.bare).unwrap_err().contains("not valid for name"));
    let stranger = tempfile::tempdir().unwrap();
    let other = load(&options(stranger.path())).unwrap();
    assert!(handshake(&pem(&other), "box.local", &[], &configs.bare).unwrap_err().contains("UnknownIssuer"));
}

#[test]
fn turn_and_the_web_are_told_apart_by_alpn() {
    let dir = tempfile::tempdir().unwrap();
    let identity = load(&options(dir.path())).unwrap();
    let (ca, configs) = (pem(&identity), identity.server_configs().unwrap());
    for id in ALPN {
        assert_eq!(handshake(&ca, "box.local", &[id], &configs.web), Ok(Some(id.to_vec())));
    }
    assert_eq!(handshake(&ca, "box.local", &[], &configs.web), Ok(None));
    assert!(handshake(&ca, "box.local", &[b"webrtc"], &configs.web).is_err());
    assert_eq!(handshake(&ca, "box.local", &[b"webrtc"], &configs.bare), Ok(None));
}

#[test]
fn the_certificates_are_what_browsers_accept() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    load(&options).unwrap();
    let der = |name| CertificateDer::from_pem_slice(file(&options, name).as_bytes()).unwrap();
    let (ca, leaf) = (der("ca.pem"), der("leaf.pem"));
    let (ca, leaf) = (store::parsed(&ca).unwrap(), store::parsed(&leaf).unwrap());
    let usage = ca.key_usage().unwrap().unwrap().value;
    assert!(usage.key_cert_sign() && usage.crl_sign() && !usage.digital_signature());
    assert_eq!(ca.basic_constraints().unwrap().unwrap().value.path_len_constraint, Some(0));
    assert!(leaf.key_usage().unwrap().unwrap().value.digital_signature());
    assert!(leaf.extended_key_usage().unwrap().unwrap().value.server_auth);
    let life = leaf.validity().not_after.to_datetime() - leaf.validity().not_before.to_datetime();
    assert_eq!(life, Duration::days(397));
    assert!(
        leaf.extensions().iter().any(|e| e.oid == x509_parser::oid_registry::OID_X509_EXT_AUTHORITY_KEY_IDENTIFIER)
    );
    assert!(ca.subject().to_string().contains("lanturn CA of Box"), "{}", ca.subject());
    let other = tempfile::tempdir().unwrap();
    assert_ne!(load(&self::options(other.path())).unwrap().fingerprint, load(&options).unwrap().fingerprint);
}

#[cfg(unix)]
#[test]
fn keys_are_for_their_owner_only() {
    use std::os::unix::fs::PermissionsExt as _;
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    load(&options).unwrap();
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&options.dir), 0o700);
    assert_eq!(["ca.key", "leaf.key"].map(|name| mode(&options.dir.join(name))), [0o600; 2]);
}

const ALL: [&str; 4] = ["ca.pem", "ca.key", "leaf.pem", "leaf.key"];

#[test]
fn a_second_run_changes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    check(&options.dir).unwrap();
    assert!(!options.dir.exists(), "checking makes nothing");
    let first = load(&options).unwrap();
    check(&options.dir).unwrap();
    let bytes = ALL.map(|name| file(&options, name));
    assert_eq!(first.fingerprint.len(), 32 * 3 - 1);
    assert_eq!(load(&options).unwrap().fingerprint, first.fingerprint);
    assert_eq!(ALL.map(|name| file(&options, name)), bytes);
    assert_eq!(fs::read_dir(&options.dir).unwrap().count(), ALL.len());
}

#[test]
fn a_first_run_that_was_cut_off_is_made_good() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    load(&options).unwrap();
    for name in ["ca.pem", "leaf.pem", "leaf.key"] {
        fs::remove_file(options.dir.join(name)).unwrap();
    }
    let identity = load(&options).unwrap();
    let configs = identity.server_configs().unwrap();
    handshake(&pem(&identity), "box.local", &[], &configs.bare).unwrap();
    assert_eq!(ALL.map(|name| options.dir.join(name).exists()), [true; 4]);
}

#[test]
fn the_leaf_is_issued_anew_when_it_no_longer_fits_and_the_authority_never() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    let now = OffsetDateTime::now_utc();
    load_at(&options, now).unwrap();
    let before = ALL.map(|name| file(&options, name));
    let reissued = |options: &Options, now| {
        let before = ALL.map(|name| file(options, name));
        load_at(options, now).unwrap();
        let after = ALL.map(|name| file(options, name));
        assert_eq!(before[..2], after[..2], "the authority");
        assert_eq!(before[2] == after[2], before[3] == after[3], "certificate and key go together");
        before[2] != after[2]
    };
    let validity = load_at(&options, now).unwrap().validity().unwrap();
    for (days, is_timely) in [(0, true), (365, true), (367, false), (-2, false)] {
        assert_eq!(validity.is_timely(now + Duration::days(days)), is_timely, "after {days} days, while it runs");
    }
    assert!(!reissued(&options, now + Duration::days(365)));
    assert!(reissued(&options, now + Duration::days(367)), "near its end");
    assert!(reissued(&options, now), "not valid yet, for a clock that was wrong");
    options.addresses[0] = "192.168.1.77".parse().unwrap();
    assert!(reissued(&options, now), "another address");
    options.names.push("more.calls.example.org".into());
    assert!(reissued(&options, now), "another name");
    fs::write(options.dir.join("leaf.pem"), &before[2]).unwrap();
    assert!(reissued(&options, now), "a certificate of another key");
    let stranger = tempfile::tempdir().unwrap();
    let other = Options { dir: stranger.path().into(), ..options.clone() };
    load_at(&other, now).unwrap();
    for name in ["leaf.pem", "leaf.key"] {
        fs::copy(other.dir.join(name), options.dir.join(name)).unwrap();
    }
    assert!(reissued(&options, now), "signed by another authority");
}

#[test]
fn the_owners_certificate_wins_and_a_reload_shows_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    let generated = load(&options).unwrap();
    let (ca, configs) = (pem(&generated), generated.server_configs().unwrap());
    let elsewhere = Options { dir: dir.path().join("other"), names: vec!["own.example.org".into()], ..options.clone() };
    let own_ca = pem(&load(&elsewhere).unwrap());
    fs::copy(elsewhere.dir.join("leaf.pem"), options.dir.join("cert.pem")).unwrap();
    fs::copy(elsewhere.dir.join("leaf.key"), options.dir.join("key.pem")).unwrap();
    options.addresses.clear();
    let own = load(&options).unwrap();
    assert_eq!(own.ca, None);
    assert_ne!(own.fingerprint, generated.fingerprint);
    handshake(&ca, "box.local", &[], &configs.web).unwrap();
    configs.resolver.swap(&own);
    assert!(handshake(&ca, "box.local", &[], &configs.web).is_err());
    handshake(&own_ca, "own.example.org", &[], &configs.web).unwrap();
    handshake(&own_ca, "own.example.org", &[], &configs.bare).unwrap();
}

#[test]
fn a_file_that_cannot_be_used_stops_the_start_and_says_which() {
    let trust = "a new authority is made, which every device must trust anew";
    let both = format!("restore it, or remove ca.pem and ca.key: {trust}");
    for (broken, contents, error) in [
        ("ca.pem", Some("junk"), format!("ca.pem: holds no certificate: {both}")),
        ("ca.key", Some("junk"), format!("ca.key: holds no private key: {both}")),
        ("ca.key", None, format!("ca.key: is missing while ca.pem is there: restore it, or remove ca.pem: {trust}")),
        ("ca.pem", None, format!("ca.pem: is missing while ca.key is there: restore it, or remove ca.key: {trust}")),
        ("leaf.pem", Some("junk"), "leaf.pem: holds no certificate: remove it, and a new certificate is made".into()),
        ("leaf.key", Some("junk"), "leaf.key: holds no private key: remove it, and a new private key is made".into()),
        ("cert.pem", Some("junk"), "key.pem: is missing while cert.pem is there: both, or neither".into()),
        ("key.pem", Some("junk"), "cert.pem: is missing while key.pem is there: both, or neither".into()),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let options = options(dir.path());
        load(&options).unwrap();
        let path = options.dir.join(broken);
        contents.map_or_else(|| fs::remove_file(&path), |text| fs::write(&path, text)).unwrap();
        assert!(check(&options.dir).is_err(), "{error}");
        let found = load(&options).unwrap_err().to_string();
        let start = options.dir.join(&error).display().to_string();
        assert!(found.starts_with(&start), "{found}\n{start}");
    }
}

#[test]
fn keys_of_something_else_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    load(&options).unwrap();
    let path = |name: &str| options.dir.join(name);
    fs::copy(path("leaf.pem"), path("cert.pem")).unwrap();
    fs::copy(path("ca.key"), path("key.pem")).unwrap();
    let error = load(&options).unwrap_err().to_string();
    assert!(error.contains("key.pem: does not belong to cert.pem: the private key of"), "{error}");
    fs::remove_file(path("cert.pem")).unwrap();
    fs::remove_file(path("key.pem")).unwrap();
    fs::copy(path("leaf.key"), path("ca.key")).unwrap();
    let error = load(&options).unwrap_err().to_string();
    assert!(error.contains("ca.key: does not belong to ca.pem: restore it"), "{error}");
}

/// What the server would show had somebody stolen the key of the authority in `options.dir` and signed for `names`.
fn forged(options: &Options, names: &[&str]) -> Arc<ServerConfig> {
    let authority = Authority::read(&options.dir, OffsetDateTime::now_utc()).unwrap().unwrap();
    let dir = tempfile::tempdir().unwrap();
    let names = Options {
        names: names.iter().map(|&name| name.into()).collect(),
        addresses: Vec::new(),
        hostname: String::new(),
        dir: dir.path().into(),
    };
    let Pair { certified, key } =
        leaf::issue(dir.path(), &authority, &Names::new(&names), OffsetDateTime::now_utc()).unwrap();
    let identity = Identity { ca: None, fingerprint: String::new(), certified: Arc::new(certified), key };
    identity.server_configs().unwrap().bare
}

#[test]
fn a_stolen_authority_is_good_for_this_box_only() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    options.addresses.extend(["2001:db8::5".parse::<IpAddr>().unwrap(), "203.0.113.7".parse().unwrap()]);
    let ca = pem(&load(&options).unwrap());
    let own = ["other.local", "10.1.2.3", "100.64.0.1", "172.31.0.1", "fd12::1", "fe80::1", "169.254.1.1"];
    let made_for = ["a.calls.example.org", "198.51.100.7", "203.0.113.7", "2001:db8::5", "2001:db8::6"];
    for name in own.into_iter().chain(made_for) {
        handshake(&ca, name, &[], &forged(&options, &[name])).unwrap();
    }
    let others = [
        "example.org",
        "notlocal",
        "box",
        "evil.box",
        "8.8.8.8",
        "172.32.0.1",
        "203.0.113.8",
        "2001:db8:0:1::5",
        "::2",
    ];
    for name in others {
        let error = handshake(&ca, name, &[], &forged(&options, &[name])).unwrap_err();
        assert!(error.contains("NameConstraintViolation"), "{name}: {error}");
        let error = handshake(&ca, "localhost", &[], &forged(&options, &[name])).unwrap_err();
        assert!(error.contains("NameConstraintViolation"), "nor under another name: {name}: {error}");
    }
}

#[test]
fn the_constraints_are_critical() {
    let dir = tempfile::tempdir().unwrap();
    let options = options(dir.path());
    load(&options).unwrap();
    let ca = CertificateDer::from_pem_slice(file(&options, "ca.pem").as_bytes()).unwrap();
    let constraints = store::parsed(&ca).unwrap().name_constraints().unwrap().map(|found| found.critical);
    assert_eq!(constraints, Some(true));
}

#[test]
fn what_the_authority_may_not_sign_for_is_left_out_and_the_rest_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    let ca = pem(&load(&options).unwrap());
    options.names.extend(["late.example.net".into(), "late.local".into()]);
    options.addresses = vec!["203.0.113.9".parse().unwrap(), "192.168.7.7".parse().unwrap()];
    options.hostname = "renamed".into();
    let later = load(&options).unwrap();
    assert_eq!(pem(&later), ca);
    let configs = later.server_configs().unwrap();
    for name in ["late.local", "192.168.7.7", "calls.example.org", "renamed.local", "localhost"] {
        assert_eq!(handshake(&ca, name, &[], &configs.bare), Ok(None), "{name}");
    }
    for name in ["late.example.net", "203.0.113.9", "renamed"] {
        assert!(handshake(&ca, name, &[], &configs.bare).unwrap_err().contains("not valid for name"), "{name}");
    }
    let leaf = file(&options, "leaf.pem");
    load(&options).unwrap();
    assert_eq!(file(&options, "leaf.pem"), leaf, "it is not issued anew for what it cannot have");
}

#[test]
fn an_authority_without_constraints_goes_on_for_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let mut options = options(dir.path());
    fs::create_dir_all(&options.dir).unwrap();
    Authority::make(&options.dir, "Box", &Constraints::default(), OffsetDateTime::now_utc()).unwrap();
    options.names.push("late.example.net".into());
    let identity = load(&options).unwrap();
    let configs = identity.server_configs().unwrap();
    for name in ["late.example.net", "198.51.100.7", "box.local"] {
        assert_eq!(handshake(&pem(&identity), name, &[], &configs.bare), Ok(None), "{name}");
    }
}
