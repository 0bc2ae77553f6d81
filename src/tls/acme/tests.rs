use std::path::Path;
use std::sync::Arc;

use rcgen::{CertificateParams, KeyPair};
use rustls::ServerConfig;
use time::{Duration, OffsetDateTime};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use super::challenges::Posted;
use super::*;
use crate::tls::tests::{handshake, pem};
use crate::tls::{self, Identity, ServerConfigs};

const NAME: &str = "rooms.example.net";
const DIRECTORY: &str = "https://acme.example.org/directory";
const ACCOUNT: &str =
    r#"{ "id": "https://acme.example.org/1", "key_pkcs8": "", "directory": "https://acme.example.org/directory" }"#;

fn wanted(dir: &Path) -> Options {
    Options {
        dir: dir.into(),
        names: vec![NAME.into()],
        directory: DIRECTORY.into(),
        contact: None,
        kind: Kind::Http01,
        alternate: true,
        root_file: None,
        external_account: None,
    }
}

/// A certificate and its key in PEM, of an authority of its own, valid until so long from now.
fn issued(names: &[&str], left: Duration) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>()).unwrap();
    params.not_before = OffsetDateTime::now_utc() - Duration::days(60);
    params.not_after = OffsetDateTime::now_utc() + left;
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

/// Shows a certificate as if it had been ordered, and gives whom to trust for it.
fn show(configs: &ServerConfigs, dir: &Path, names: &[&str], left: Duration) -> String {
    let (chain, key) = issued(names, left);
    configs.public.show(Some(Certificate::keep(dir, &chain, &key).unwrap()));
    chain
}

fn loaded(dir: &Path) -> (Identity, ServerConfigs) {
    let identity = tls::load(&tls::tests::options(dir)).unwrap();
    let configs = identity.server_configs().unwrap();
    (identity, configs)
}

fn is_shown(root: &str, name: &str, config: &Arc<ServerConfig>) -> bool {
    handshake(root, name, &[], config).is_ok()
}

#[test]
fn each_certificate_is_shown_for_its_own_names() {
    let dir = tempfile::tempdir().unwrap();
    let (identity, configs) = loaded(dir.path());
    let own = pem(&identity);
    assert!(!is_shown(&own, NAME, &configs.bare) && !configs.public.vouches_for(NAME));
    let public = show(&configs, dir.path(), &[NAME, "Calls.example.org"], Duration::days(30));
    for config in [&configs.bare, &configs.web] {
        for name in [NAME, "calls.example.org", "ROOMS.example.net"] {
            assert!(is_shown(&public, name, config) && !is_shown(&own, name, config), "{name}");
            assert!(configs.public.vouches_for(name), "{name}");
        }
        for name in ["192.168.1.5", "127.0.0.1", "localhost", "box.local"] {
            assert!(is_shown(&own, name, config), "{name}");
            assert!(!configs.public.vouches_for(name), "{name}");
        }
    }
    let renewed = show(&configs, dir.path(), &[NAME], Duration::days(90));
    assert!(is_shown(&renewed, NAME, &configs.web) && !is_shown(&public, NAME, &configs.web));
    assert!(is_shown(&own, "calls.example.org", &configs.web), "no longer");
    configs.public.show(None);
    assert!(!configs.public.vouches_for(NAME));
}

#[test]
fn one_that_has_ended_vouches_for_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (identity, configs) = loaded(dir.path());
    show(&configs, dir.path(), &["calls.example.org"], -Duration::SECOND);
    assert!(!configs.public.vouches_for("calls.example.org"));
    assert!(is_shown(&pem(&identity), "calls.example.org", &configs.web));
}

#[test]
fn the_owners_certificate_is_shown_for_every_name() {
    let dir = tempfile::tempdir().unwrap();
    let (_, configs) = loaded(dir.path());
    let public = show(&configs, dir.path(), &[NAME], Duration::days(30));
    let (own, key) = issued(&[NAME], Duration::days(30));
    let certs = dir.path().join("certs");
    std::fs::write(certs.join("cert.pem"), &own).unwrap();
    std::fs::write(certs.join("key.pem"), key).unwrap();
    configs.resolver.swap(&loaded(dir.path()).0);
    assert!(is_shown(&own, NAME, &configs.web) && !is_shown(&public, NAME, &configs.web));
}

#[test]
fn answers_are_in_force_while_they_are_kept_and_for_their_names() {
    let dir = tempfile::tempdir().unwrap();
    let (_, configs) = loaded(dir.path());
    let (root, _) = issued(&[NAME], Duration::days(1));
    let asked = |name: &str, alpn: &[u8]| handshake(&root, name, &[alpn], &configs.challenge).unwrap_err();
    // No client that browses takes the critical extension: that it is told of it is how it is seen here.
    let is_answered = |name: &str| asked(name, ALPN).contains("UnsupportedCriticalExtension");
    let posted: Posted<'_> = configs.public.challenges.begin();
    posted.over_http("token", "token.thumbprint");
    posted.over_tls("Rooms.example.net", &[7; 32]).unwrap();
    assert_eq!(configs.public.key_authorization("token").as_deref(), Some("token.thumbprint"));
    assert_eq!(configs.public.key_authorization("other"), None);
    assert!(is_answered(NAME) && !is_answered("calls.example.org") && !is_answered("127.0.0.1"));
    assert!(!asked(NAME, b"h2").contains("CriticalExtension"));
    assert!(!handshake(&root, NAME, &[ALPN], &configs.web).unwrap_err().contains("CriticalExtension"));
    drop(posted);
    assert_eq!(configs.public.key_authorization("token"), None);
    assert!(!is_answered(NAME));
}

#[test]
fn what_an_order_left_is_read_again() {
    let dir = tempfile::tempdir().unwrap();
    let options = wanted(dir.path());
    assert!(Wanted::read(options.clone()).unwrap().certificate.is_none());
    let (chain, key) = issued(&[NAME], Duration::days(30));
    Certificate::keep(dir.path(), &chain, &key).unwrap();
    let kept = Wanted::read(options.clone()).unwrap().certificate.unwrap();
    assert!(kept.has_all(&options.names) && !kept.has_all(&["calls.example.org".into()]));
    assert!(
        Certificate::keep(dir.path(), "junk", &key).is_err() && Certificate::keep(dir.path(), &chain, "junk").is_err()
    );
    assert_eq!(
        std::fs::read_to_string(dir.path().join("acme.pem")).unwrap(),
        chain,
        "it stays where the new one is junk"
    );
    std::fs::write(dir.path().join("acme.key"), issued(&[NAME], Duration::days(30)).1).unwrap();
    assert!(Wanted::read(options).unwrap().certificate.is_none(), "it was cut off between the two files");
}

#[test]
fn what_cannot_be_kept_is_shown_all_the_same() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("acme.pem")).unwrap();
    let (chain, key) = issued(&[NAME], Duration::days(30));
    assert!(Certificate::keep(dir.path(), &chain, &key).unwrap().has_all(&[NAME.into()]));
}

#[tokio::test]
async fn nothing_is_ordered_that_could_not_be_kept() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    std::fs::write(&file, "").unwrap();
    let (options, public) = (wanted(&file), Public::default());
    let error = order::fill(&options, Kind::Http01, &public.challenges).await.unwrap_err();
    let said = error.to_string();
    assert!(said.starts_with(&format!("{}: cannot be written (", file.display())), "{said}");
    assert!(said.ends_with("a directory that lanturn may write to, in tls.dir"), "{said}");
    assert!(error.remedy(DIRECTORY).starts_with("let lanturn write there"));
}

/// An authority that takes connections, and says nothing.
struct Mute(TcpListener);

impl Mute {
    async fn is_asked(&self) -> Option<TcpStream> {
        timeout(std::time::Duration::from_millis(500), self.0.accept()).await.ok().map(|asked| asked.unwrap().0)
    }
}

#[tokio::test]
async fn an_order_under_way_goes_on_if_the_same_is_wanted() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("roots.pem"), issued(&[NAME], Duration::days(1)).0).unwrap();
    let authority = Mute(TcpListener::bind("127.0.0.1:0").await.unwrap());
    let options = Options {
        directory: format!("https://{}/directory", authority.0.local_addr().unwrap()),
        root_file: Some(dir.path().join("roots.pem")),
        ..wanted(dir.path())
    };
    let read = |options: &Options| Some(Wanted::read(options.clone()).unwrap());
    let mut keeper = Keeper::new(Arc::default());
    keeper.keep(read(&options));
    let asked = authority.is_asked().await.expect("an order");
    keeper.keep(read(&options));
    assert!(authority.is_asked().await.is_none(), "it was given up");
    // Now that one has failed, another begins at once.
    drop(asked);
    while authority.is_asked().await.is_some() {}
    keeper.keep(read(&options));
    let _asked = authority.is_asked().await.expect("another order");
    keeper.keep(read(&Options { names: vec!["calls.example.org".into()], ..options }));
    authority.is_asked().await.expect("an order of something else");
}

#[test]
fn a_file_that_cannot_be_used_is_named() {
    let file = |name: &str| wanted(Path::new("")).dir.join(name);
    for (broken, contents, error) in [
        ("acme.pem", "junk", "acme.pem: holds no certificate: remove it, and a new certificate is made"),
        ("acme.key", "junk", "acme.key: holds no private key: remove it, and a new private key is made"),
        ("acme.account", "junk", "acme.account: holds no account: remove it, and a new account is made"),
        ("acme.account", "{}", "acme.account: holds no account: remove it, and a new account is made"),
        ("roots.pem", "junk", "roots.pem: holds no certificate: a certificate in PEM"),
        ("external.key", "", "external.key: holds no key: the key in base64url, as the authority gave it"),
        ("external.key", "a+b/c", "external.key: holds no key: the key in base64url, as the authority gave it"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(file(name));
        let (chain, key) = issued(&[NAME], Duration::days(30));
        Certificate::keep(dir.path(), &chain, &key).unwrap();
        std::fs::write(path("acme.account"), ACCOUNT).unwrap();
        std::fs::write(path("roots.pem"), &chain).unwrap();
        std::fs::write(path("external.key"), "c2VjcmV0\n").unwrap();
        let external_account = Some(ExternalAccount { id: "customer".into(), key_file: path("external.key") });
        let options = Options { root_file: Some(path("roots.pem")), external_account, ..wanted(dir.path()) };
        Wanted::read(options.clone()).unwrap();
        std::fs::write(path(broken), contents).unwrap();
        let found = Wanted::read(options.clone()).unwrap_err().to_string();
        assert_eq!(found, dir.path().join(error).display().to_string());
        if options.root_file == Some(path(broken)) || broken == "external.key" {
            std::fs::remove_file(path(broken)).unwrap();
            let found = Wanted::read(options).unwrap_err().to_string();
            assert!(found.contains(&format!("{broken}: is missing: ")), "{found}");
        }
    }
}

#[test]
fn the_kinds_take_turns_only_where_they_may() {
    let mut options = wanted(Path::new(""));
    assert_eq!([0, 1, 2].map(|failures| options.kind_after(failures)), [Kind::Http01, Kind::TlsAlpn01, Kind::Http01]);
    options.alternate = false;
    assert_eq!([0, 1, 2].map(|failures| options.kind_after(failures)), [Kind::Http01; 3]);
}
